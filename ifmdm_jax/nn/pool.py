"""Average pooling; Flax's own divides by an integer, which strict type promotion forbids."""

import jax
import jax.numpy as jnp


def mean_pool(x, size, padding='VALID'):
  """Means over windows of `size`, stride 1, of x [B, ..., C]; padding is not counted."""
  window, strides = (1, *size, 1), (1,) * x.ndim

  def total(y):
    return jax.lax.reduce_window(y, jnp.zeros((), y.dtype), jax.lax.add, window, strides, padding)

  return total(x) / total(jnp.ones((1, *x.shape[1:-1], 1), x.dtype))
