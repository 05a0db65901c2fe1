"""The motion model M: a voice -> what the face does, frame by frame, by a causal transformer.

Corona et al., arXiv 2403.08764, section 3.1: a token a frame, of the noised motion and the voice;
attention to itself and earlier frames alone; the clean motion is predicted. What is sampled is the
expression, and the *residual* of the pose from a reference pose.

  x    [B, T, M]  motion, in deviations, see `motion_model.Normalizer`
  y    [B, T, A]  the voice: speech features of each frame and its neighbours, see `around`

Positions are counted modulo `PERIOD`, and training begins anywhere on that circle, so that a motion
has no longest length. A frame sees the last `window` frames.
"""

import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.nn.embed import Embedder, timestep_features
from ifmdm_jax.nn.transformer import Block, empty_cache

PERIOD = 4096  # frames


class MotionTransformer(nn.Module):
  """Predicts the clean motion.

  Attributes:
    width: of tokens.
    depth: blocks.
    heads: of attention.
    channels: M.
    window: frames that a frame sees, itself among them.
  """

  width: int
  depth: int
  heads: int
  channels: int
  window: int = 250

  @nn.compact
  def __call__(self, x_t, t, y, heard, place, caches=None):
    """Predicts x_0.

    Args:
      x_t: [B, T, M], noised.
      t: int [B], steps of the schedule of training.
      y: [B, T, A].
      heard: bool [B]; where it is False the voice is left out, for guidance.
      place: int [B], number of the first frame.
      caches: tuple of `nn.transformer.Cache`, of each block, of the frames before; None: there are
        none before.

    Returns:
      [B, T, M]; with caches ([B, T, M], caches).
    """
    length = x_t.shape[1]
    silence = self.param('silence', nn.initializers.zeros, (self.width,))
    voice = Embedder(self.width, name='voice')(y)
    voice = jnp.where(heard[:, None, None], voice, silence[None, None])
    token = nn.Dense(self.width, name='token')(jnp.concatenate([x_t, voice], axis=-1))
    number = (place[:, None] + jnp.arange(length, dtype=jnp.int32)[None]) % PERIOD
    where = timestep_features(number.reshape(-1), self.width).reshape(*number.shape, self.width)
    step = Embedder(self.width, name='step')(timestep_features(t))
    h, after = token + where + step[:, None], []
    for i in range(self.depth):
      block = Block(self.heads, causal=True, window=self.window, name=f'block_{i}')
      if caches is None:
        h = block(h)
      else:
        h, cache = block(h, cache=caches[i])
        after.append(cache)
    h = nn.LayerNorm(name='norm')(h)
    x_0 = nn.Dense(self.channels, kernel_init=nn.initializers.normal(0.02), name='out')(h)
    return x_0 if caches is None else (x_0, tuple(after))

  def empty_caches(self, batch):
    """Makes the caches of a motion that has not begun."""
    places = self.window
    each = empty_cache(batch, places, self.heads, self.width // self.heads)
    return (each,) * self.depth


def around(features, reach):
  """Joins what is heard at each frame and near it: [B, 2T, A] -> [B, T, (2 reach + 1) 2A].

  Args:
    features: of speech, two a frame.
    reach: frames before and after; what is beyond the ends is as at the ends.
  """
  b, doubled, width = features.shape
  frames = features.reshape(b, doubled // 2, 2 * width)
  padded = jnp.pad(frames, ((0, 0), (reach, reach), (0, 0)), mode='edge')
  length = doubled // 2
  near = [padded[:, i : i + length] for i in range(2 * reach + 1)]
  return jnp.concatenate(near, axis=-1)
