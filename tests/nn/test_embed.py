"""Timestep features, embedders, positions, dropped inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.importers import engine
from ifmdm_jax.nn import embed

RULES = [
  ('mlp.0.weight', 'hidden/kernel', 'OI->IO'),
  ('mlp.0.bias', 'hidden/bias', ''),
  ('mlp.2.weight', 'out/kernel', 'OI->IO'),
  ('mlp.2.bias', 'out/bias', ''),
]


def test_timestep_features_equal_the_original():
  golden = testing.golden('units')
  got = embed.timestep_features(jnp.asarray(golden['timestep_embedding/in/t'].astype(np.int32)))
  np.testing.assert_allclose(got, golden['timestep_embedding/out/y'], atol=1e-5)


@pytest.mark.parametrize('unit', ['timestep_mlp', 'motion_embedder'])
def test_embedder_equals_the_original(unit):
  golden = testing.golden('units')
  if unit == 'timestep_mlp':
    x = embed.timestep_features(jnp.asarray(golden[f'{unit}/in/t'].astype(np.int32)))
  else:
    x = jnp.asarray(golden[f'{unit}/in/x'])
  module = embed.Embedder(32)
  prefix = f'{unit}/in/w/'
  state = {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}
  target = jax.eval_shape(module.init, jax.random.key(0), x)['params']
  params = engine.convert(state, RULES, [], target)
  got = module.apply({'params': params}, x)
  np.testing.assert_allclose(got, golden[f'{unit}/out/y'], atol=1e-5)


def test_positions_equal_the_original_table():
  table = testing.recipe().sincos_positions(67, 512)[0]
  np.testing.assert_allclose(embed.positions(67, 512), table, atol=1e-7)


def test_dropped_samples_are_whole_and_as_frequent_as_asked():
  dropped = embed.drop_samples(jnp.ones((4000, 2, 3)), 0.3, jax.random.key(0))
  per_sample = np.asarray(dropped).reshape(4000, -1)
  assert set(per_sample.sum(1)) == {0.0, 6.0}
  assert abs((per_sample[:, 0] == 0).mean() - 0.3) < 0.03  # four standard deviations


def test_nothing_is_dropped_outside_training():
  module = embed.Embedder(8, drop=1.0)
  x = jax.random.normal(jax.random.key(1), (2, 3, 4))
  params = module.init(jax.random.key(0), x)
  trained = module.apply(params, x, train=True, rngs={'drop': jax.random.key(2)})
  np.testing.assert_array_equal(trained, module.apply(params, jnp.zeros_like(x)))
  assert np.abs(module.apply(params, x) - trained).max() > 0
