"""Layers with state say the same compiled, not compiled, and over several devices."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.nn.spectral import SpectralDense
from ifmdm_jax.nn.transformer import Attention, empty_cache
from ifmdm_jax.nn.vq import VectorQuantizer
from tests.nn.reference import drawn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype(np.float32)


class VariantsTest(chex.TestCase):
  @chex.variants(with_jit=True, without_jit=True)
  def test_a_power_iteration_is_the_same_compiled_or_not(self):
    layer = SpectralDense(3)
    variables = drawn(layer, X)
    apply = self.variant(lambda v, x: layer.apply(v, x, mutable=['spectral']))
    _, state = apply(variables, X)
    kernel, u = variables['params']['kernel'], variables['spectral']['u']
    v = kernel @ u
    v = v / np.linalg.norm(v)
    np.testing.assert_allclose(state['spectral']['v'], v, rtol=1e-5, atol=1e-6)

  @chex.variants(with_jit=True, without_jit=True)
  def test_a_cache_is_the_same_compiled_or_not(self):
    attention = Attention(2, causal=True, window=3)
    x = RNG.normal(size=(1, 5, 4)).astype(np.float32)
    variables = drawn(attention, x)
    step = self.variant(lambda x, cache: attention.apply(variables, x, None, cache))
    cache, rows = empty_cache(1, 3, 2, 2), []
    for i in range(5):
      y, cache = step(x[:, i : i + 1], cache)
      rows.append(y)
    whole = attention.apply(variables, x)
    np.testing.assert_allclose(jnp.concatenate(rows, 1), whole, rtol=1e-4, atol=1e-5)

  def test_averages_of_a_batch_on_many_devices_are_those_of_one(self):
    """Sums over a batch that is split must be sums over the whole of it."""
    module = VectorQuantizer(4, averages=True)
    state = {'codebook': dict(sums=X[:4], counts=np.ones(4, np.float32))}
    run = lambda state, x: module.apply(state, x, mutable=['codebook'])[1]
    mesh = jax.make_mesh((4,), ('data',), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.device_put(X, jax.NamedSharding(mesh, jax.P('data')))
    many, one = jax.jit(run)(state, split), run(state, X)
    chex.assert_trees_all_close(jax.device_get(many), jax.device_get(one), rtol=1e-5)
