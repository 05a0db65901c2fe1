"""Normalisation over space, per picture: instance norm, adaptive instance norm, group norm.

Sources: Ulyanov et al. 2016, "Instance Normalization"; Huang & Belongie 2017, "Arbitrary Style
Transfer in Real-time with Adaptive Instance Normalization", equation 8; Wu & He 2018, "Group
Normalization". Statistics are taken in float32 whatever the type of the features.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

MIN_CHANNELS = 4  # of a group
INSTANCE_EPSILON = 1e-4  # inside the root: at zero variance its gradient stays finite


def instance_norm(x, epsilon=INSTANCE_EPSILON):
  """Standardises each channel of each picture: (x - mean) / sqrt(var + eps), x [B, H, W, C]."""
  wide = x.astype(jnp.float32)
  centred = wide - wide.mean((1, 2), keepdims=True)
  variance = (centred**2).mean((1, 2), keepdims=True)
  return (centred * jax.lax.rsqrt(variance + epsilon)).astype(x.dtype)


def adaptive_instance_norm(x, bias, scale, epsilon=INSTANCE_EPSILON):
  """Gives each channel of x [B, H, W, C] the deviation `scale` and the mean `bias`, both [B, C]."""
  scale, bias = (v[:, None, None, :].astype(x.dtype) for v in (scale, bias))
  return instance_norm(x, epsilon) * scale + bias


class InstanceNorm(nn.Module):
  """Instance norm with a learned scale and bias per channel: [B, H, W, C] -> [B, H, W, C]."""

  epsilon: float = INSTANCE_EPSILON

  @nn.compact
  def __call__(self, x):
    scale = self.param('scale', nn.initializers.ones, x.shape[-1:])
    bias = self.param('bias', nn.initializers.zeros, x.shape[-1:])
    wide = lambda v: v[None, None, None].astype(x.dtype)
    return instance_norm(x, self.epsilon) * wide(scale) + wide(bias)


def style_width(widths):
  """Counts the numbers that `split_style` takes apart: two for every channel of every layer."""
  return 2 * sum(widths)


def split_style(style, widths):
  """Cuts a style vector into the (bias [B, C], scale [B, C]) of each adaptive layer, in order.

  Args:
    style: [B, 2 * sum(widths)]; for each layer its bias comes first, then its scale.
    widths: channels of the layers.
  """
  pieces, start = [], 0
  for width in widths:
    middle, end = start + width, start + 2 * width
    pieces.append((style[:, start:middle], style[:, middle:end]))
    start = end
  return pieces


def num_groups(channels, most=32):
  """Finds the largest number of groups that leaves MIN_CHANNELS to each."""
  fits = lambda groups: channels % groups == 0 and channels // groups >= MIN_CHANNELS
  return max(filter(fits, range(1, most + 1)), default=1)


class GroupNorm(nn.Module):
  """Standardises groups of channels, then scales and shifts each channel: [B, ..., C].

  Attributes:
    groups: as published 32, of narrow features fewer, so that a group has at least MIN_CHANNELS: a
      group of one channel would take away what a condition adds to that channel.
  """

  groups: int = 32
  epsilon: float = 1e-5

  @nn.compact
  def __call__(self, x):
    channels = x.shape[-1]
    groups = num_groups(channels, self.groups)
    scale = self.param('scale', nn.initializers.ones, (channels,))
    bias = self.param('bias', nn.initializers.zeros, (channels,))
    wide = x.astype(jnp.float32).reshape(len(x), -1, groups, channels // groups)
    centred = wide - wide.mean((1, 3), keepdims=True)
    variance = (centred**2).mean((1, 3), keepdims=True)
    y = (centred * jax.lax.rsqrt(variance + self.epsilon)).reshape(x.shape)
    lift = lambda v: jnp.expand_dims(v, range(x.ndim - 1)).astype(jnp.float32)
    return (y * lift(scale) + lift(bias)).astype(x.dtype)
