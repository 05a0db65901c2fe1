import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.configs import sync_network as configs
from ifmdm_jax.perception import sync_network

WIDTHS = {'whisper_tiny': 384, 'mfcc': 13}


def made(size, frames=12, batch=2):
  config = configs.get_config(size).model
  shapes = jax.eval_shape(lambda key: sync_network.init(key, config), jax.random.key(0))
  params = testing.random_params(shapes, scale=0.1)
  rng, rate = np.random.default_rng(0), sync_network.RATES[config.audio]
  given = dict(
    lips=rng.integers(0, 255, (batch, frames, 48, 48)).astype(np.uint8),
    points=rng.normal(size=(batch, frames - 4, 80)).astype(np.float32),
    features=rng.normal(size=(batch, (frames + 30) * rate, WIDTHS[config.audio])).astype(
      np.float32
    ),
    valid=np.ones((batch, frames + 26), np.float32),
  )
  return config, params, given


@pytest.mark.parametrize('size', ['tiny', 'mfcc'])
def test_similarities_are_cosines_over_all_shifts(size):
  config, params, batch = made(size)
  cosines, others, points, _, valid = jax.jit(lambda p, b: sync_network.similarities(p, b, config))(
    params, batch
  )
  assert cosines.shape == (2, 8, 31) and others.shape == (2, 8, 2) and points.shape == (2, 8, 80)
  assert valid.shape == cosines.shape and np.abs(cosines).max() <= 1 + 1e-5
  # Shift 0 of one's own clip is what other clips are compared with.
  np.testing.assert_allclose(cosines[..., 15], others[jnp.arange(2), :, jnp.arange(2)], atol=1e-5)


def test_voices_that_the_clip_does_not_hold_are_no_candidates():
  logits = jnp.zeros((1, 31)).at[0, 30].set(50.0)
  known = jnp.ones((1, 31)).at[0, 30].set(0.0)
  lost, masked = sync_network.cross_entropy(logits, known)
  assert lost == pytest.approx(np.log(30), rel=1e-3) and masked.argmax() != 30
  assert sync_network.cross_entropy(logits, jnp.ones((1, 31)))[0] > 40


def test_loss_sees_the_right_voice():
  """Labels are soft: the best is the true shift, a frame beside it costs less than ten."""
  costs = [
    float(
      sync_network.cross_entropy(jnp.zeros((1, 31)).at[0, 15 + s].set(20.0), jnp.ones((1, 31)))[0]
    )
    for s in (0, 1, 10)
  ]
  assert costs[0] < costs[1] < costs[2]
