"""Convolves each channel by itself."""

import flax.linen as nn
import jax.numpy as jnp


class Depthwise(nn.Module):
  """Convolves each channel with a filter of its own, as shifted products. [B, H, W, C].

  XLA's own grouped convolution is far slower on a CPU. Sides are equal and even where they are
  halved; borders as TensorFlow's SAME.
  """

  stride: int = 1
  size: int = 3

  @nn.compact
  def __call__(self, x):
    width, side, taps = x.shape[-1], x.shape[1], range(self.size)
    shape = (self.size, self.size, width)
    kernel = self.param('kernel', nn.initializers.lecun_normal(), shape)
    bias = self.param('bias', nn.initializers.zeros, (width,))
    # An even side that is halved needs one pixel less, and lacks it in front.
    before = (self.size - self.stride) // 2
    around = (before, self.size - self.stride - before)
    x = jnp.pad(x, ((0, 0), around, around, (0, 0)))
    end = lambda start: start + side - self.stride + 1
    products = [
      kernel[i, j][None, None, None] * x[:, i : end(i) : self.stride, j : end(j) : self.stride]
      for i in taps
      for j in taps
    ]
    return sum(products) + bias[None, None, None]
