import jax
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.importers import engine
from ifmdm_jax.systems.ifmdm.autoencoder.flow import FlowHead

IGNORED = [('upsample.kernel', 'constant filter')]
RULES = [
  ('bias', 'bias', '1C11->C'),
  ('{conv}.weight', '{conv}/kernel', '1OIHW->HWIO'),
  ('{conv}.modulation.weight', '{conv}/modulation/kernel', 'OI->IO'),
  ('{conv}.modulation.bias', '{conv}/modulation/bias', ''),
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


def still(**options):
  """What a head that neither moves nor hides makes of a feature map and of what goes in."""
  draw = np.random.default_rng(0).standard_normal
  x, feature = (draw((1, 8, 8, 3)).astype(np.float32) for _ in range(2))
  latent = np.ones((1, 4), np.float32)
  head = FlowHead(**options)
  shapes = jax.eval_shape(head.init, jax.random.key(0), x, latent, feature)['params']
  params = testing.random_params(shapes)
  params['conv']['kernel'] = np.zeros_like(params['conv']['kernel'])
  params['bias'] = np.float32([0, 0, 2])
  warp, out, _ = head.apply({'params': params}, x, latent, feature)
  return x, feature, warp, out


def test_zero_flow_is_the_identity_in_clean_mode_only():
  mask = 1 / (1 + np.exp(-2.0))
  _, feature, warp, _ = still(clean=True)
  np.testing.assert_allclose(warp, feature * mask, atol=1e-5)
  _, feature, warp, _ = still()
  assert np.abs(warp - feature * mask).max() > 0.1


def test_lia_hands_on_what_came_in_where_the_source_is_hidden():
  x, _, warp, out = still(generate=False)
  np.testing.assert_allclose(out, warp + x * (1 - 1 / (1 + np.exp(-2.0))), atol=1e-5)
