import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.nn.modulated import ModulatedConv

CASES = {
  'modconv_k3': ModulatedConv(5, 3),
  'modconv_k3_up': ModulatedConv(5, 3, up=True),
  'modconv_k1_nodemod': ModulatedConv(3, 1, demodulate=False),
}


def params_of(w):
  return {
    'kernel': w['weight'][0].transpose(2, 3, 1, 0),
    'modulation': {'kernel': w['modulation.weight'].T, 'bias': w['modulation.bias']},
  }


@pytest.mark.parametrize('unit', CASES)
def test_convolution_agrees_with_the_original(unit):
  given, w, expected = testing.golden_unit(unit)
  y = CASES[unit].apply({'params': params_of(w)}, given['x'], given['style'])
  np.testing.assert_allclose(y, expected['y'], atol=1e-5)


def test_demodulated_output_does_not_depend_on_the_size_of_the_style():
  rng_x, rng_w, rng_init = jax.random.split(jax.random.key(0), 3)
  x, latent = jax.random.normal(rng_x, (2, 8, 8, 4)), jax.random.normal(rng_w, (2, 6))
  conv = ModulatedConv(5, 3)
  params = conv.init(rng_init, x, latent)['params']
  larger = params | {'modulation': jax.tree.map(lambda p: 3 * p, params['modulation'])}
  y, z = (conv.apply({'params': p}, x, latent) for p in (params, larger))
  np.testing.assert_allclose(y, z, atol=1e-5)
  assert float(jnp.abs(y).max()) > 0.1
