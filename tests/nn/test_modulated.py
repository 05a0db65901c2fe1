import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.nn.modulated import ModulatedConv, transposed_conv

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


def test_the_transposed_convolution_and_its_slopes_are_those_of_scattering_the_kernel():
  draw = np.random.default_rng(0).standard_normal
  x, kernel, weight = (draw(s, np.float32) for s in ((2, 4, 3, 5), (3, 3, 5, 6), (2, 9, 7, 6)))

  def scattered(x, kernel):
    out = jnp.zeros(weight.shape)
    for row, column in np.ndindex(3, 3):
      out = out.at[:, row : row + 7 : 2, column : column + 5 : 2].add(x @ kernel[row, column])
    return out

  ways = scattered, transposed_conv
  values, slopes = zip(*(
    jax.jit(jax.value_and_grad(lambda *args, way=way: (weight * way(*args)).sum(), (0, 1)))(
      x, kernel
    )
    for way in ways
  ))  # fmt: skip
  np.testing.assert_allclose(*(jax.jit(way)(x, kernel) for way in ways), rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(*values, rtol=1e-4)
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), *slopes)
