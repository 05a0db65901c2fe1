import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.audio import mel_encoder


def test_one_vector_for_every_feature_pair_and_it_hears_a_third_of_a_second():
  encoder = mel_encoder.MelEncoder(width=16)
  mel = np.random.default_rng(0).standard_normal((1, 80, 160)).astype(np.float32)
  variables = jax.jit(encoder.init)(jax.random.key(0), mel)
  listen = lambda x: (encoder.apply(variables, x)[0, 40] ** 2 * jnp.arange(16.0)).sum()
  gradient = jax.jit(jax.grad(listen))(mel)
  assert encoder.apply(variables, mel).shape == (1, 80, 16)
  heard = np.flatnonzero(jnp.abs(gradient[0]).sum(-1) > 0)
  assert 40 - 17 <= heard.min() <= 30 and 50 <= heard.max() <= 40 + 17
