import jax
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.autoencoder.flow import FlowHead
from ifmdm_jax.importers import engine

IGNORED = [(r'upsample\.kernel', 'constant filter')]
RULES = [
  (r'bias', 'bias', '1C11->C'),
  (r'(conv|conv_gen)\.weight', r'\1/kernel', '1OIHW->HWIO'),
  (r'(conv|conv_gen)\.modulation\.weight', r'\1/modulation/kernel', 'OI->IO'),
  (r'(conv|conv_gen)\.modulation\.bias', r'\1/modulation/bias', ''),
]


@pytest.mark.parametrize('unit', ['to_flow_first', 'to_flow_skip'])
def test_flow_head_agrees_with_the_original(unit):
  given, weights, expected = testing.golden_unit(unit)
  inputs = [given[name] for name in ('x', 'style', 'feat', 'skip') if name in given]
  head = FlowHead()
  target = jax.eval_shape(head.init, jax.random.key(0), *inputs)['params']
  params = engine.convert(weights, RULES, IGNORED, target)
  outputs = head.apply({'params': params}, *inputs)
  for name, value in zip(('warp', 'out', 'raw'), outputs, strict=True):
    np.testing.assert_allclose(value, expected[name], atol=1e-5)
