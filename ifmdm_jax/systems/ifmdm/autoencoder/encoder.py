"""The encoder: a face picture to an appearance code with feature maps, and on to a motion code."""

import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.nn.equalized import EqualConv, EqualLinear
from ifmdm_jax.nn.stylegan import ConvLayer, ResBlock, channels


class AppearanceEncoder(nn.Module):
  """Picture [B, S, S, 3] in [-1, 1] -> appearance w_a [B, D], features 8x8 ... SxS."""

  size: int
  style_dim: int = 512
  max_width: int = 512
  multiplier: float = 1.0

  @nn.compact
  def __call__(self, image):
    width = lambda side: channels(side, self.max_width, self.multiplier)
    x = ConvLayer(width(self.size), 1, name='conv_in')(image)
    features = [x]
    for i in range(1, num_halvings(self.size) + 1):
      x = ResBlock(width(self.size >> i), name=f'block_{i}')(x)
      features.append(x)
    w_a = EqualConv(self.style_dim, 4, name='conv_out')(x)[:, 0, 0]
    return w_a, features[-2::-1]  # the 4x4 map is not warped


class MotionHead(nn.Module):
  """Appearance code w_a [B, D] -> motion code h [B, M] in (-1, 1).

  Four linear maps with nothing between them, then one whose bias the original leaves out.

  Attributes:
    use_bias: add that bias after all.
    squash: end in tanh; LIA does not, and its codes are unbounded.
  """

  motion_dim: int
  depth: int = 5
  use_bias: bool = False
  squash: bool = True

  @nn.compact
  def __call__(self, w_a):
    x = w_a
    for i in range(self.depth - 1):
      x = EqualLinear(w_a.shape[-1], name=f'fc_{i}')(x)
    x = EqualLinear(self.motion_dim, self.use_bias, name=f'fc_{self.depth - 1}')(x)
    return jnp.tanh(x) if self.squash else x


def num_halvings(size):
  """From a power of two >= 8 down to 4x4."""
  return size.bit_length() - 3
