"""Bilinear sampling at a grid of coordinates, zeros outside the picture.

Coordinates run from -1 to 1 between the *outer edges* of the border pixels (align_corners=False).
`base_grid` puts -1 and 1 on the *centres* of the border pixels instead. The published networks were
trained with this mismatch, so zero flow is not the identity: it shrinks the picture by (r - 1) / r
about its centre and mixes half a border pixel with zeros, at every level. `centred` mends that.
"""

import jax
import jax.numpy as jnp
import numpy as np


def base_grid(height, width, centred=False):
  """Makes the grid of (x, y) from -1 to 1 in both, float32 [1, height, width, 2].

  centred: the pixels' own centres, where `grid_sample` gives back the picture; False as published.
  """
  ends = [1 - 1 / size if centred else 1 for size in (width, height)]
  x, y = np.meshgrid(*(np.linspace(-e, e, n) for e, n in zip(ends, (width, height), strict=True)))
  return np.stack([x, y], axis=-1).astype(np.float32)[None]


def grid_sample(image, grid):
  """Reads image [B, H, W, C] at grid [B, h, w, 2] of (x, y) -> [B, h, w, C]."""
  batch, height, width, depth = image.shape
  x = ((grid[..., 0] + 1) * width - 1) / 2
  y = ((grid[..., 1] + 1) * height - 1) / 2
  left, top = jnp.floor(x), jnp.floor(y)
  rows = image.reshape(batch, height * width, depth)  # one gather of whole pixels per tap
  total = jnp.zeros((*grid.shape[:3], depth), image.dtype)
  for column, weight_x in ((left, left + 1 - x), (left + 1, x - left)):
    for row, weight_y in ((top, top + 1 - y), (top + 1, y - top)):
      inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
      weight = jnp.where(inside, weight_x * weight_y, 0.0)
      index = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
      taken = jax.vmap(_take)(rows, index.astype(jnp.int32))
      total = total + taken * weight[..., None].astype(image.dtype)
  return total


def _take(rows, index):
  return rows.at[index].get(mode='promise_in_bounds')  # clipped above
