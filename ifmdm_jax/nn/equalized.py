"""Layers with equalised learning rate (Progressive GAN; StyleGAN2): weights are stored as N(0, 1)
draws and multiplied by 1/sqrt(fan in) at run time, so that Adam moves all of them at one rate.
"""

import math

import jax.numpy as jnp
from flax import linen as nn
from jax import lax

NORMAL = nn.initializers.normal(1.0)
ZEROS = nn.initializers.zeros_init()
IMAGE = ('NHWC', 'HWIO', 'NHWC')


def fused_leaky_relu(x):
  """Computes sqrt(2) * leaky(x), slope 0.2: keeps the variance of a normal input near one."""
  return math.sqrt(2.0) * nn.leaky_relu(x, 0.2)


def per_channel(vector, x):
  """Lifts a vector [C] to [1, ..., 1, C], the rank and type of x."""
  return vector.reshape((1,) * (x.ndim - 1) + vector.shape).astype(x.dtype)


class EqualLinear(nn.Module):
  """[..., D_in] -> [..., features]."""

  features: int
  use_bias: bool = True
  bias_init: nn.initializers.Initializer = ZEROS

  @nn.compact
  def __call__(self, x):
    fan_in = x.shape[-1]
    kernel = self.param('kernel', NORMAL, (fan_in, self.features))
    y = jnp.dot(x, kernel * (1 / math.sqrt(fan_in)))
    if self.use_bias:
      y = y + per_channel(self.param('bias', self.bias_init, (self.features,)), y)
    return y


class EqualConv(nn.Module):
  """[B, H, W, C] -> [B, H', W', features]; cross-correlation, zero padding, no bias."""

  features: int
  size: int
  stride: int = 1
  padding: int = 0

  @nn.compact
  def __call__(self, x):
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param('kernel', NORMAL, shape) * (1 / math.sqrt(math.prod(shape[:3])))
    pads = ((self.padding, self.padding),) * 2
    return lax.conv_general_dilated(
      x, kernel.astype(x.dtype), (self.stride, self.stride), pads, dimension_numbers=IMAGE
    )
