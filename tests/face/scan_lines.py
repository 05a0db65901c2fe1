"""An independent rasteriser: triangle by triangle, row by row, in NumPy and float64."""

import numpy as np


def triangles(vertices, faces, size):
  """Draws [V, 3] over each other: (number of the nearest triangle [H, W] or -1, its depth)."""
  height, width = size
  index, depth = np.full(size, -1), np.full(size, np.inf)
  for number, corners in enumerate(np.asarray(vertices, np.float64)[np.asarray(faces)]):
    if not np.isfinite(corners).all():
      continue
    plane = np.column_stack([corners[:, :2], np.ones(3)])
    if np.linalg.matrix_rank(plane) < 3:
      continue
    slope = np.linalg.solve(plane, corners[:, 2])
    for row in range(height):
      start, stop = span(corners[:, :2], row + 0.5)
      for column in range(max(0, start), min(width, stop)):
        z = slope @ (column + 0.5, row + 0.5, 1.0)
        if z < depth[row, column] - 1e-9:
          index[row, column], depth[row, column] = number, z
  return index, depth


def span(corners, y):
  """Columns [start, stop) whose middles are inside a triangle at a height.

  An edge reaches from its upper end, inclusive, to its lower end, exclusive.
  """
  crossings = []
  for a, b in zip(corners, np.roll(corners, -1, axis=0)):
    upper, lower = (a, b) if a[1] < b[1] else (b, a)
    if upper[1] <= y < lower[1]:
      crossings.append(upper[0] + (y - upper[1]) * (lower[0] - upper[0]) / (lower[1] - upper[1]))
  if not crossings:
    return 0, 0
  return tuple(int(np.ceil(x - 0.5)) for x in (min(crossings), max(crossings)))
