import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.nn import spectral

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(2, 6, 6, 4)), jnp.float32)


def largest(kernel):
  return np.linalg.svd(np.float64(kernel).reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


@pytest.fixture(scope='module')
def conv():
  module = spectral.SpectralConv(5)
  return module, module.init(jax.random.key(0), X)


def test_one_forward_pass_is_one_power_iteration_of_the_paper(conv):
  module, variables = conv
  kernel, state = variables['params']['kernel'], variables['spectral']
  w = np.float64(kernel).reshape(-1, 5).T
  v = w.T @ np.float64(state['u'])
  v /= np.linalg.norm(v)
  u = w @ v
  u /= np.linalg.norm(u)
  y, changed = jax.jit(lambda v, x: module.apply(v, x, mutable=['spectral']))(variables, X)
  np.testing.assert_allclose(changed['spectral']['u'], u, atol=1e-6)
  np.testing.assert_allclose(changed['spectral']['v'], v, atol=1e-6)
  plain = jax.lax.conv_general_dilated(
    X, kernel / (u @ w @ v), (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )
  np.testing.assert_allclose(y, plain, rtol=1e-4, atol=1e-5)


def test_iterations_reach_the_largest_singular_value(conv):
  module, variables = conv
  run = jax.jit(lambda v: module.apply(v, X, mutable=['spectral'])[1])
  for _ in range(100):
    variables = {**variables, **run(variables)}
  kernel, state = variables['params']['kernel'], variables['spectral']
  sigma = state['u'] @ (np.asarray(kernel).reshape(-1, 5).T @ state['v'])
  np.testing.assert_allclose(sigma, largest(kernel), rtol=1e-5)


def test_use_moves_nothing_and_does_not_depend_on_its_batch(conv):
  module, variables = conv
  both, one = module.apply(variables, X), module.apply(variables, X[:1])
  np.testing.assert_allclose(both[:1], one, atol=1e-6)


def test_the_gradient_takes_the_singular_vectors_as_fixed():
  module = spectral.SpectralDense(3, use_bias=False)
  x = jnp.asarray(RNG.normal(size=(4, 5)), jnp.float32)
  variables = module.init(jax.random.key(1), x)
  u, v = (np.float64(variables['spectral'][name]) for name in 'uv')
  kernel, g = np.float64(variables['params']['kernel']), RNG.normal(size=(4, 3))
  loss = lambda params: (module.apply({**variables, 'params': params}, x) * g).sum()
  found = jax.grad(loss)(variables['params'])['kernel']
  sigma, direct = u @ kernel.T @ v, np.float64(x).T @ g
  # d(W / sigma): the direct part, less the part along u v^T.
  expected = direct / sigma - (direct * kernel).sum() / sigma**2 * np.outer(v, u)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_table_is_divided_as_a_whole():
  module = spectral.SpectralEmbed(7, 3)
  variables = module.init(jax.random.key(0), jnp.arange(2))
  for _ in range(50):
    _, changed = module.apply(variables, jnp.arange(2), mutable=['spectral'])
    variables = {**variables, **changed}
  table = np.asarray(variables['params']['embedding'])
  assert np.abs(table).max() <= 0.1
  rows = module.apply(variables, jnp.array([4, 0]))
  np.testing.assert_allclose(rows, table[[4, 0]] / largest(table), rtol=1e-4)
