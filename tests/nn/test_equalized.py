import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.nn.equalized import EqualConv, EqualLinear, fused_leaky_relu


@pytest.mark.parametrize('unit', ['equal_linear', 'equal_linear_fused_lrelu'])
def test_linear_agrees_with_the_original(unit):
  given, w, expected = testing.golden_unit(unit)
  params = {'kernel': w['weight'].T, 'bias': w['bias']}
  y = EqualLinear(7).apply({'params': params}, given['x'])
  y = fused_leaky_relu(y) if unit.endswith('lrelu') else y
  np.testing.assert_allclose(y, expected['y'], atol=1e-5)


def test_motion_head_layer_leaves_its_bias_out():
  given, w, expected = testing.golden_unit('equal_linear_tanh_ignores_bias')
  params = {'kernel': w['weight'].T}
  y = jnp.tanh(EqualLinear(7, use_bias=False).apply({'params': params}, given['x']))
  np.testing.assert_allclose(y, expected['y'], atol=1e-5)


def test_fresh_layers_keep_unit_variance():
  x = jax.random.normal(jax.random.key(0), (4, 16, 16, 64))
  conv = EqualConv(64, 3, padding=1)
  y, _ = conv.init_with_output(jax.random.key(1), x)
  assert 0.8 < float(y[:, 1:-1, 1:-1].std()) < 1.2
