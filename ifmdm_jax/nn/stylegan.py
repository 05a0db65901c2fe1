"""The blocks of StyleGAN2 that encoder, decoder and discriminator are made of."""

import math

import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.nn.equalized import ZEROS, EqualConv, fused_leaky_relu, per_channel
from ifmdm_jax.nn.fir import blur, upsample
from ifmdm_jax.nn.modulated import ModulatedConv


def channels(resolution, max_width=512, multiplier=1.0):
  """Returns the width of the maps at a resolution: 512 up to 32 pixels, then 256, 128, ... .

  Args:
    resolution: side, pixels.
    max_width: most channels.
    multiplier: of the widths before that bound; 1 as published.
  """
  return min(max_width, max(1, int(multiplier * 16384) // resolution))


class ConvLayer(nn.Module):
  """[Blur, stride 2] convolution [bias, leaky unit]: [B, H, W, C] -> [B, H', W', features]."""

  features: int
  size: int
  down: bool = False
  activate: bool = True

  @nn.compact
  def __call__(self, x):
    if not self.down:
      x = EqualConv(self.features, self.size, padding=self.size // 2, name='conv')(x)
    elif self.size == 1:  # only every second pixel of the blurred map is read: make no others
      x = EqualConv(self.features, 1, name='conv')(blur(x, (1, 1), down=2))
    else:
      x = EqualConv(self.features, self.size, stride=2, name='conv')(blur(x, (2, 2)))
    if self.activate:
      x = fused_leaky_relu(x + per_channel(self.param('bias', ZEROS, (self.features,)), x))
    return x


class ResBlock(nn.Module):
  """Halves the resolution: [B, H, W, C] -> [B, H/2, W/2, features]."""

  features: int

  @nn.compact
  def __call__(self, x):
    main = ConvLayer(x.shape[-1], 3, name='conv1')(x)
    main = ConvLayer(self.features, 3, down=True, name='conv2')(main)
    skip = ConvLayer(self.features, 1, down=True, activate=False, name='skip')(x)
    return (main + skip) * (1 / math.sqrt(2.0))


class StyledConv(nn.Module):
  """Modulated 3x3 convolution, bias, leaky unit. The original's noise input is never fed."""

  features: int
  up: bool = False

  @nn.compact
  def __call__(self, x, latent):
    x = ModulatedConv(self.features, 3, up=self.up, name='conv')(x, latent)
    return fused_leaky_relu(x + per_channel(self.param('bias', ZEROS, (self.features,)), x))


class ToRGB(nn.Module):
  """Features to colours, each level's share through a leaky unit before it joins the sum."""

  @nn.compact
  def __call__(self, x, coarser=None):  # x: [B, H, W, C], coarser: [B, H/2, W/2, 3]
    rgb = ConvLayer(3, 1, name='layer')(x).astype(jnp.float32)  # sums of colours, all levels
    rgb = rgb + per_channel(self.param('bias', ZEROS, (3,)), rgb)
    return rgb if coarser is None else rgb + upsample(coarser)  # [B, H, W, 3]
