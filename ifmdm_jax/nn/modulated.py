"""StyleGAN2's modulated convolution (Karras et al. 2020, section 2.2), by scaling channels.

The paper scales a copy of the weights for each sample: W'[i, o] = s[i] W[i, o], then divides by the
norm over all but o. Scaling the input channels by s and the output channels by the inverse norm is
the same function, with one weight for the whole batch and no grouped convolution.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from ifmdm_jax.nn.equalized import IMAGE, NORMAL, EqualLinear
from ifmdm_jax.nn.fir import blur


class ModulatedConv(nn.Module):
  """x [B, H, W, C], latent [B, D] -> [B, H, W, features], or twice H and W with `up`."""

  features: int
  size: int
  up: bool = False
  demodulate: bool = True

  @nn.compact
  def __call__(self, x, latent):
    ones = nn.initializers.ones_init()
    style = EqualLinear(x.shape[-1], bias_init=ones, name='modulation')(latent)  # [B, C]
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param('kernel', NORMAL, shape) * (1 / math.sqrt(math.prod(shape[:3])))

    x = x * style[:, None, None, :].astype(x.dtype)
    weight = kernel.astype(x.dtype)  # the features decide in which type the work is done
    if self.up:
      x = blur(transposed_conv(x, weight), (1, 1), gain=4.0)
    else:
      x = lax.conv_general_dilated(
        x, weight, (1, 1), ((self.size // 2,) * 2,) * 2, dimension_numbers=IMAGE
      )
    if self.demodulate:
      power = jnp.square(style) @ jnp.square(kernel).sum((0, 1))  # [B, features]
      x = x * lax.rsqrt(power + 1e-8)[:, None, None, :].astype(x.dtype)
    return x


@jax.custom_vjp
def transposed_conv(x, kernel):
  """Convolves transposed, stride 2, 3x3: [B, H, W, C] -> [B, 2H + 1, 2W + 1, features].

  It scatters the kernel around each pixel; seen as a correlation of the zero-filled input, the
  kernel is flipped.
  """
  pads = tuple((size - 1, size - 1) for size in kernel.shape[:2])
  return lax.conv_general_dilated(
    x, kernel[::-1, ::-1], (1, 1), pads, lhs_dilation=(2, 2), dimension_numbers=IMAGE
  )


def _keep(x, kernel):
  return transposed_conv(x, kernel), (x, kernel)


def _slopes(kept, slope):
  """Slopes of x and kernel. XLA would find the kernel's by a window as large as the picture over a
  zero-filled one, for which a CPU has no fast code: 20 s for one of 64 px and 256 channels. It is
  the slope of the strided convolution whose transpose this is, and that has fast code."""
  x, kernel = kept

  def strided(kernel):
    return lax.conv_general_dilated(
      slope, kernel.swapaxes(2, 3), (2, 2), 'VALID', dimension_numbers=IMAGE
    )

  slope_x, pull_back = jax.vjp(strided, kernel)
  return slope_x, *pull_back(x)


transposed_conv.defvjp(_keep, _slopes)
