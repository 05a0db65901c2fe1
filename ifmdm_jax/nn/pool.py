"""Average pooling; Flax's own divides by an integer, which strict type promotion forbids."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def mean_pool(x, size, padding='VALID'):
  """Averages windows of `size`, stride 1, of x [B, ..., C]; padding is not counted."""
  window, strides = (1, *size, 1), (1,) * x.ndim
  total = jax.lax.reduce_window(x, jnp.zeros((), x.dtype), jax.lax.add, window, strides, padding)
  if padding == 'VALID':
    return total / float(np.prod(size))
  # By NumPy: the compiler folds a sum over ones, too, but takes seconds for it.
  counts = functools.reduce(np.multiply.outer, map(_inside, x.shape[1:-1], size))
  return total / counts[None, ..., None].astype(x.dtype)


def _inside(side, window):
  """How many of a centred window's places lie inside, for each of `side` positions."""
  first = np.arange(side) - (window - 1) // 2
  return np.minimum(first + window, side) - np.maximum(first, 0)
