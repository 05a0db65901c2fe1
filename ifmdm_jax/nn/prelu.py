"""Scales what is negative, by a number per channel."""

import flax.linen as nn
import jax.numpy as jnp


class PRelu(nn.Module):
  """max(x, 0) + slope min(x, 0), one slope per channel. [..., C] -> the same.

  Attributes:
    parameter: name of the slopes among the parameters.
  """

  parameter: str = 'slope'

  @nn.compact
  def __call__(self, x):
    slope = self.param(self.parameter, nn.initializers.constant(0.25), (x.shape[-1],))
    return jnp.maximum(x, 0.0) + jnp.expand_dims(slope, range(x.ndim - 1)) * jnp.minimum(x, 0.0)
