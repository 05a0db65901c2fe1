"""What training adds to its windows: silence, pasts that are off their way, people half unknown."""

import jax
import jax.numpy as jnp

VAGUE = 0.4  # of what is known of the reference, in deviations among people
STRAY = 0.5  # share of windows that begin astray
FURTHEST = 3.0  # how far, in deviations from the reference
KNOWN = 24  # frames, at most, of which such a window's past consists
BACK = 20.0, 3.0, 8.0  # frames in which pose, lips, and lids and brows come back, to 1 / e


def quieten(batch, normalizer):
  """Rests the lips of a batch where `quiet` [B, T + 1] says that no voice is there; 0: the hint.

  Of a clip whose sound was taken away the face goes on as it did, all but the lips.
  """
  if batch.get('quiet') is None or not normalizer.fixed:
    return batch
  rest = normalizer.origin(batch['hint'], batch['reference'])
  share = jnp.where(normalizer.conditioned[None, None], 0.0, batch['quiet'][..., None])  # lips
  toward = lambda x, share: x + share * (rest - x)
  return dict(batch, x=toward(batch['x'], share[:, 1:]), hint=toward(batch['hint'], share[:, :1]))


def stray(batch, normalizer, rng):
  """Moves the past of a batch, the hint and a few frames, off its way, and lets it come back.

  What a sampler made is never quite what people do. A network that has seen real pasts alone goes
  on from there; one that has seen how it ends comes home, from anywhere.
  """
  x, hint = batch['x'], batch['hint']
  count, frames, _ = x.shape
  keys = jax.random.split(rng, 5)
  uniform = lambda key, low, high: jax.random.uniform(key, (count, 1, 1), x.dtype, low, high)
  size = jnp.where(uniform(keys[0], 0, 1) < STRAY, uniform(keys[1], 0.1, FURTHEST), 0.1)
  known = jnp.where(uniform(keys[2], 0, 1) < 0.5, 0.0, jnp.floor(uniform(keys[3], 0, KNOWN)))
  scale = jnp.asarray(normalizer.statistics['reference_std'])[None, None]
  away = size * scale * jax.random.normal(keys[4], hint.shape, x.dtype)
  pose, lips, rest = BACK
  conditioned = normalizer.conditioned[None, None]
  before_lips = jnp.cumsum(~conditioned, axis=-1) == 0  # the pose
  pace = jnp.where(before_lips, pose, jnp.where(conditioned, rest, lips))
  after = jnp.maximum(jnp.arange(1, frames + 1, dtype=x.dtype)[None, :, None] - known, 0.0)
  return dict(batch, x=x + away * jnp.exp(-after / pace), hint=hint + away)


def vague(hint, rng):
  """Blurs who it is in a hint token [B, 1, 2M], its second half.

  Few people are learned from: who somebody is shall not be known by heart.
  """
  half = hint[..., hint.shape[-1] // 2 :]
  blur = VAGUE * jax.random.normal(rng, half.shape, hint.dtype)
  return hint + jnp.concatenate([jnp.zeros_like(blur), blur], axis=-1)
