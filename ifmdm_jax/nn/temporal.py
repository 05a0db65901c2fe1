"""Layers along time between the layers of a 2D network; each begins as the identity.

Frames of a clip are rows of the batch, [B * T, H, W, C], so that everything else sees pictures.
A U-Net takes one of these modules as its `temporal` hook; others with the same call work as well.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.nn.embed import positions

ZEROS = nn.initializers.zeros


def along_time(x, frames):
  """Unfolds clips: [B * T, H, W, C] -> [B, T, H, W, C]."""
  return x.reshape(-1, frames, *x.shape[1:])


class TemporalConv(nn.Module):
  """x + a convolution over time at every pixel, zeros beyond the ends of the clip."""

  size: int = 3

  @nn.compact
  def __call__(self, x, frames):
    clip = along_time(x, frames)
    conv = nn.Conv(x.shape[-1], (self.size, 1, 1), kernel_init=ZEROS, name='conv')
    return x + conv(clip).reshape(x.shape)


class TemporalAttention(nn.Module):
  """x + self-attention over the frames of every pixel, with fixed positions in time.

  Attributes:
    head_width: channels of a head.
  """

  head_width: int

  @nn.compact
  def __call__(self, x, frames):
    channels = x.shape[-1]
    clip = along_time(x, frames)
    rows = clip.transpose(0, 2, 3, 1, 4).reshape(-1, frames, channels)  # a sequence a pixel
    tokens = nn.LayerNorm(epsilon=1e-5, name='norm')(rows)
    tokens = tokens + jnp.asarray(positions(frames, channels), tokens.dtype)[None]
    qkv = nn.Dense(3 * channels, name='qkv')(tokens)
    split = lambda y: y.reshape(*y.shape[:2], -1, self.head_width)
    query, key, value = map(split, jnp.split(qkv, 3, axis=-1))
    read = jax.nn.dot_product_attention(query, key, value).reshape(rows.shape)
    read = nn.Dense(channels, kernel_init=ZEROS, name='out')(read)
    batch, _, height, width, _ = clip.shape
    read = read.reshape(batch, height, width, frames, channels).transpose(0, 3, 1, 2, 4)
    return x + read.reshape(x.shape)
