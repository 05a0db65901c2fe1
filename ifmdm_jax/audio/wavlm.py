"""WavLM's attention (Chen et al., 2022, section 3.1): positions as a bias, gated by content."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def buckets(offsets, count, max_distance):
  """Sorts offsets (key less query) into `count` buckets: int numpy, as `offsets`.

  Half of them are for offsets above zero. Near ones have a bucket each, far ones share buckets of
  logarithmic width. float32, as the original computes it: the last bit decides at the borders.
  """
  half, near = count // 2, count // 4
  distance = np.abs(offsets)
  far = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(near))
  far = far / np.float32(math.log(max_distance / near)) * np.float32(half - near)
  far = np.minimum((np.float32(near) + far).astype(np.int64), half - 1)
  return np.where(distance < near, distance, far) + half * (offsets > 0)


class RelativePositions(nn.Module):
  """One number per bucket and head, shared by all blocks: length N -> [1, heads, N, N]."""

  heads: int
  count: int
  max_distance: int

  @nn.compact
  def __call__(self, length):
    table = self.param('embedding', nn.initializers.normal(0.02), (self.count, self.heads))
    offsets = np.arange(1 - length, length)
    values = table[buckets(offsets, self.count, self.max_distance)]  # [2N - 1, heads]
    steps = np.arange(length)
    return values[steps[None, :] - steps[:, None] + length - 1].transpose(2, 0, 1)[None]


class PositionGate(nn.Module):
  """How much of the bias each query of each head lets in: [B, N, D] -> [B, heads, N, 1].

  Two gates, each the sum of four projections of the head's own channels.
  """

  heads: int

  @nn.compact
  def __call__(self, x):
    parts = x.reshape(*x.shape[:2], self.heads, -1)
    gates = nn.Dense(8, name='gate')(parts).reshape(*parts.shape[:3], 2, 4).sum(-1)
    update, reset = jnp.split(jax.nn.sigmoid(gates), 2, axis=-1)  # [B, N, heads, 1]
    scale = self.param('scale', nn.initializers.ones, (self.heads,))
    return (update * (reset * scale[None, None, :, None] - 1) + 2).transpose(0, 2, 1, 3)
