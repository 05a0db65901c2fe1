"""3x3 convolutions with a quarter of the multiplications: Winograd's F(4x4, 3x3).

Exact algebra (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks"): a tile of 6x6
pixels and the kernel are each taken through a small matrix, multiplied point by point, and taken
back to 4x4 pixels. In float32 the rounding is some ten times that of the direct sum. It wins where
arithmetic is dear and caches hold the tiles: small maps on a CPU.

  extra = winograd.kernels(params)                 # once
  with winograd.in_place_of_convolutions():        # any Flax network, unchanged
    network.apply({'params': params, 'winograd': extra}, x)
"""

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

TILE = 4  # pixels of the result, of TILE + 2 that are read
# Rows of the three matrices; interpolation at 0, 1, -1, 2, -2 and infinity.
TO_TILE = np.array(
  [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
  ]
)
TO_KERNEL = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
BACK = np.array(
  [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)


def kernels(params):
  """Makes the collection 'winograd' of a network: 3x3 kernels [3, 3, C, K] as [36, C, K]."""
  transformed = {
    path: np.einsum('ai,bj,ijck->back', TO_KERNEL, TO_KERNEL, np.asarray(kernel, np.float64))
    .reshape(-1, *kernel.shape[2:])
    .astype(np.float32)
    for path, kernel in flax.traverse_util.flatten_dict(params).items()
    if path[-1] == 'kernel' and kernel.shape[:-2] == (3, 3)
  }
  return flax.traverse_util.unflatten_dict(transformed)


def in_place_of_convolutions():
  """Opens a context in which `nn.Conv` with a kernel in 'winograd' is computed here."""
  return nn.intercept_methods(_convolve_if_able)


def conv(x, kernel):
  """Convolves x [B, H, W, C] with zeros around it, H and W multiples of 4; kernel [36, C, K].

  Returns [B, H, W, K].
  """
  batch, height, width, channels = x.shape
  rows, columns, taps = height // TILE, width // TILE, TILE + 2
  x = jnp.pad(x, ((0, 0), (1, TILE), (1, TILE), (0, 0)))  # the last tile is sliced in whole strides
  every = lambda x, axis, count: [
    jax.lax.slice_in_dim(x, tap, tap + TILE * count, TILE, axis) for tap in range(taps)
  ]
  down = _through(TO_TILE, every(x, 1, rows))  # [6, B, rows, W, C]
  tiles = _through(TO_TILE, every(down, 3, columns))  # [6, 6, B, rows, columns, C], across first
  tiles = tiles.reshape(taps * taps, batch * rows * columns, channels)
  y = jax.lax.dot_general(tiles, kernel, (((2,), (1,)), ((0,), (0,))))
  y = y.reshape(taps, taps, batch, rows, columns, -1)
  y = _through(BACK, y)  # [4, 6, B, ...], pixels across
  y = _through(BACK, y.swapaxes(0, 1))  # [4, 4, B, ...], down and across
  return y.transpose(2, 3, 0, 4, 1, 5).reshape(batch, height, width, -1)


def _through(matrix, parts):
  """matrix @ parts along their first axis, without the multiplications by 0 and 1."""
  rows = [
    sum(part if factor == 1 else float(factor) * part for factor, part in zip(row, parts) if factor)
    for row in matrix
  ]
  return jax.lax.optimization_barrier(jnp.stack(rows))


def _convolve_if_able(call, args, kwargs, context):
  module = context.module
  able = (
    isinstance(module, nn.Conv)
    and context.method_name == '__call__'
    and module.has_variable('winograd', 'kernel')
    and module.strides in (None, 1, (1, 1))
    and all(side % TILE == 0 for side in args[0].shape[1:3])
  )
  if not able:
    return call(*args, **kwargs)
  y = conv(args[0], module.get_variable('winograd', 'kernel'))
  return y + jnp.reshape(module.get_variable('params', 'bias'), (1, 1, 1, -1))
