"""Random weights under the published names, for the tables and the goldens."""

import zlib

import numpy as np


def draw(shapes):
  """{entry: shape} -> {entry: array}, drawn from the names, so that both sides draw the same.

  Statistics are near 0 and 1, kernels keep the size of what passes through them.
  """
  state = {}
  for name, shape in shapes.items():
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    noise = rng.standard_normal(shape, np.float32)
    if len(shape) > 1:
      array = noise * np.float32(np.sqrt(2 / np.prod(shape[1:])))
    elif name.endswith('num_batches_tracked'):
      array = np.zeros(shape, np.int64)
    elif name.endswith('running_var') or name.endswith('weight'):
      array = 1 + 0.1 * np.clip(noise, -3, 3)
    else:
      array = 0.1 * noise
    state[name] = np.asarray(array) if array.dtype == np.int64 else np.asarray(array, np.float32)
  return state


def picture(*shape):
  """Smooth enough to be a picture, the same everywhere: float32 in [-1, 1]."""
  rng = np.random.default_rng(zlib.crc32(repr(shape).encode()))
  return np.tanh(rng.standard_normal(shape, np.float32))
