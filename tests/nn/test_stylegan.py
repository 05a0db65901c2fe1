import jax
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.importers import engine
from ifmdm_jax.nn import stylegan

BUFFERS = [(r'.*kernel', 'constant filter'), (r'noise\.weight', 'noise is never passed')]
RULES = [
  (r'\d\.weight', 'conv/kernel', 'OIHW->HWIO'),
  (r'\d\.bias', 'bias', '1C11->C'),
  (r'(conv\d|skip)\.\d\.weight', r'\1/conv/kernel', 'OIHW->HWIO'),
  (r'(conv\d|skip)\.\d\.bias', r'\1/bias', '1C11->C'),
  (r'conv\.weight', 'conv/kernel', '1OIHW->HWIO'),
  (r'conv\.modulation\.weight', 'conv/modulation/kernel', 'OI->IO'),
  (r'conv\.modulation\.bias', 'conv/modulation/bias', ''),
  (r'activate\.bias', 'bias', '1C11->C'),
  (r'bias', 'bias', '1C11->C'),
  (r'conv\.0\.weight', 'layer/conv/kernel', 'OIHW->HWIO'),
  (r'conv\.1\.bias', 'layer/bias', '1C11->C'),
]
CASES = {
  'convlayer_k3': stylegan.ConvLayer(6, 3),
  'convlayer_k3_down': stylegan.ConvLayer(6, 3, down=True),
  'convlayer_k1_down_plain': stylegan.ConvLayer(6, 1, down=True, activate=False),
  'resblock': stylegan.ResBlock(6),
  'styledconv_up': stylegan.StyledConv(5, up=True),
  'to_rgb_first': stylegan.ToRGB(),
  'to_rgb_skip': stylegan.ToRGB(),
}


@pytest.mark.parametrize('unit', CASES)
def test_block_agrees_with_the_original(unit):
  given, weights, expected = testing.golden_unit(unit)
  block, inputs = CASES[unit], [given[name] for name in ('x', 'style', 'skip') if name in given]
  target = jax.eval_shape(block.init, jax.random.key(0), *inputs)['params']
  params = engine.convert(weights, RULES, BUFFERS, target)
  np.testing.assert_allclose(block.apply({'params': params}, *inputs), expected['y'], atol=1e-5)


def test_widths_follow_the_table():
  widths = [stylegan.channels(2**i) for i in range(2, 11)]
  assert widths == [512, 512, 512, 512, 256, 128, 64, 32, 16]
