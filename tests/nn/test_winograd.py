import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.nn import winograd


class Network(nn.Module):
  """A plain convolution, a strided one, and one whose map is not a multiple of the tile."""

  @nn.compact
  def __call__(self, x):
    x = nn.Conv(6, (3, 3))(x)
    x = nn.Conv(5, (3, 3), (2, 2))(nn.relu(x))
    return nn.Conv(4, (1, 1))(nn.Conv(3, (3, 3))(x))


def drawn(*shape, seed=0):
  return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize('size', [(2, 16, 8), (1, 4, 4)])
def test_it_is_the_convolution(size):
  x, kernel = drawn(*size, 5), drawn(3, 3, 5, 7, seed=1)
  direct = jax.lax.conv_general_dilated(
    x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )
  ours = jax.jit(winograd.conv)(x, winograd.kernels({'kernel': kernel})['kernel'])
  # Rounding: tiles hold sums of up to ten times a pixel, which cancel again.
  np.testing.assert_allclose(ours, direct, atol=2e-5 * np.abs(direct).max())


def test_a_network_says_the_same_with_and_without():
  x, network = drawn(2, 12, 12, 3), Network()
  params = jax.jit(network.init)(jax.random.key(0), x)['params']
  params = jax.tree.map(lambda p: p + 0.1, params)  # biases that are there
  plain = network.apply({'params': params}, x)
  variables = {'params': params, 'winograd': winograd.kernels(params)}
  with winograd.in_place_of_convolutions():
    fast = network.apply(variables, x)
    untouched = network.apply({'params': params}, x)
  np.testing.assert_allclose(fast, plain, atol=1e-5 * np.abs(plain).max())
  np.testing.assert_array_equal(untouched, plain)
  assert (fast != plain).any()  # it was not the same arithmetic


def test_only_3x3_kernels_are_taken_through():
  params = {
    'a': {'kernel': drawn(3, 3, 2, 5), 'bias': drawn(5)},
    'b': {'kernel': drawn(1, 1, 2, 5)},
  }
  found = winograd.kernels(params)
  assert jax.tree.map(np.shape, found) == {'a': {'kernel': (36, 2, 5)}}
