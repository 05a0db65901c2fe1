import jax
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.importers import engine
from ifmdm_jax.nn import stylegan

BUFFERS = [('*kernel', 'constant filter'), ('noise.weight', 'noise is never passed')]
RULES = [
  *((f'{place}.weight', 'conv/kernel', 'OIHW->HWIO') for place in range(3)),
  *((f'{place}.bias', 'bias', '1C11->C') for place in range(3)),
  *((f'{{part}}.{place}.weight', '{part}/conv/kernel', 'OIHW->HWIO') for place in range(3)),
  *((f'{{part}}.{place}.bias', '{part}/bias', '1C11->C') for place in range(3)),
  ('conv.weight', 'conv/kernel', '1OIHW->HWIO'),
  ('conv.modulation.weight', 'conv/modulation/kernel', 'OI->IO'),
  ('conv.modulation.bias', 'conv/modulation/bias', ''),
  ('activate.bias', 'bias', '1C11->C'),
  ('bias', 'bias', '1C11->C'),
]
TO_RGB_RULES = [
  ('conv.0.weight', 'layer/conv/kernel', 'OIHW->HWIO'),
  ('conv.1.bias', 'layer/bias', '1C11->C'),
  ('bias', 'bias', '1C11->C'),
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
  rules = TO_RGB_RULES if unit.startswith('to_rgb') else RULES
  params = engine.convert(weights, rules, BUFFERS, target)
  np.testing.assert_allclose(block.apply({'params': params}, *inputs), expected['y'], atol=1e-5)


def test_widths_follow_the_table():
  widths = [stylegan.channels(2**i) for i in range(2, 11)]
  assert widths == [512, 512, 512, 512, 256, 128, 64, 32, 16]
