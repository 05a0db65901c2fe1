"""StyleGAN2's discriminator: residual blocks, minibatch standard deviation, two linear layers."""

import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.errors import InputError
from ifmdm_jax.nn.equalized import EqualLinear, fused_leaky_relu
from ifmdm_jax.nn.stylegan import ConvLayer, ResBlock, channels
from ifmdm_jax.systems.ifmdm.autoencoder.encoder import num_halvings


class Discriminator(nn.Module):
  """Pictures [B, S, S, 3] -> logits [B, 1], high for real. B > 4 must be a multiple of 4."""

  size: int
  max_width: int = 512
  multiplier: float = 1.0

  @nn.compact
  def __call__(self, image):
    width_at = lambda side: channels(side, self.max_width, self.multiplier)
    x = ConvLayer(width_at(self.size), 1, name='conv_in')(image)
    for i in range(1, num_halvings(self.size) + 1):
      x = ResBlock(width_at(self.size >> i), name=f'block_{i}')(x)
    width = x.shape[-1]
    spread = minibatch_stddev(x)[:, None, None, None]
    spread = jnp.broadcast_to(spread, (*x.shape[:3], 1))
    x = ConvLayer(width, 3, name='conv_out')(jnp.concatenate([x, spread], axis=-1))
    x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)  # the original flattens C, H, W
    x = fused_leaky_relu(EqualLinear(width, name='fc_0')(x))
    return EqualLinear(1, name='fc_1')(x)


def minibatch_stddev(x, group=4):
  """[B, H, W, C] -> [B], how much sample b differs from those at b +- B/G, b +- 2 B/G, ...

  Raises:
    InputError: B is not a multiple of G = min(B, group).
  """
  batch = x.shape[0]
  group = min(batch, group)
  if batch % group:
    raise InputError(
      f'discriminator got {batch} pictures, expected a multiple of {group}: change the batch size'
    )
  x = x.reshape(group, batch // group, *x.shape[1:])
  spread = jnp.sqrt(x.var(axis=0) + 1e-8).mean(axis=(1, 2, 3))  # biased variance
  return jnp.tile(spread, group)
