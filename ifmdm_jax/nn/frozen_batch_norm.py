"""Batch normalisation (Ioffe & Szegedy, 2015) of networks that are only ever run, never trained."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class FrozenBatchNorm(nn.Module):
  """Stored statistics over the last axis; all four vectors are parameters, as tables fill them."""

  epsilon: float = 1e-5

  @nn.compact
  def __call__(self, x):
    width = (x.shape[-1],)
    scale = self.param('scale', nn.initializers.ones, width)
    bias = self.param('bias', nn.initializers.zeros, width)
    mean = self.param('mean', nn.initializers.zeros, width)
    var = self.param('var', nn.initializers.ones, width)
    gain = scale * jax.lax.rsqrt(var + self.epsilon)
    wide = lambda v: jnp.expand_dims(v, range(x.ndim - 1))
    return x * wide(gain) + wide(bias - mean * gain)
