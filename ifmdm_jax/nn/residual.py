"""Pre-activation residual blocks of spectrally normalised convolutions, with a norm or without.

As in the generators and projection discriminators of Miyato & Koyama 2018 ("cGANs with Projection
Discriminator", figure 14): [norm] - ReLU - [double] - conv - [norm] - ReLU - conv - [halve].
"""

import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.errors import InputError
from ifmdm_jax.nn.norms import InstanceNorm, adaptive_instance_norm
from ifmdm_jax.nn.spectral import SpectralConv

NORMS = ('none', 'instance', 'adaptive')


def double(x):
  """Repeats every pixel: [B, H, W, C] -> [B, 2H, 2W, C]."""
  return x.repeat(2, 1).repeat(2, 2)


def halve(x):
  """Averages 2x2 pixels: [B, H, W, C] -> [B, H/2, W/2, C]."""
  batch, height, width, channels = x.shape
  return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


class ResidualBlock(nn.Module):
  """[B, H, W, C] -> [B, H', W', features]; H' is H, 2H with `up` or H/2 with `down`.

  Attributes:
    norm: 'none', 'instance' (learned scale and bias) or 'adaptive' (given ones, see `widths`).
    first: no ReLU before the first convolution: the block reads a picture.
  """

  features: int
  norm: str = 'none'
  up: bool = False
  down: bool = False
  first: bool = False

  @staticmethod
  def widths(inputs, features):
    """Channels of the block's two adaptive layers, for `norms.split_style`."""
    return inputs, features

  @nn.compact
  def __call__(self, x, style=()):
    """style: two (bias [B, C], scale [B, C]), of an adaptive block alone."""
    if self.norm not in NORMS:
      raise InputError(f'norm is {self.norm!r}, expected one of {", ".join(NORMS)}')
    bias = self.norm == 'none'  # a norm takes any constant away again
    y = x if self.first else nn.relu(self._normalized(x, style, 0))
    y = double(y) if self.up else y
    y = SpectralConv(self.features, use_bias=bias, name='conv_0')(y)
    y = nn.relu(self._normalized(y, style, 1))
    y = SpectralConv(self.features, name='conv_1')(y)
    y = halve(y) if self.down else y

    skip = double(x) if self.up else x
    if self.features != x.shape[-1] or self.up or self.down:
      skip = SpectralConv(self.features, 1, name='skip')(skip)
    return y + (halve(skip) if self.down else skip)

  def _normalized(self, x, style, index):
    if self.norm == 'instance':
      return InstanceNorm(name=f'norm_{index}')(x)
    if self.norm == 'adaptive':
      return adaptive_instance_norm(x, *style[index])
    return x


def pooled(x):
  """Sums what is positive over all pixels: [B, H, W, C] -> [B, C]."""
  return nn.relu(x).sum((1, 2), dtype=jnp.float32)
