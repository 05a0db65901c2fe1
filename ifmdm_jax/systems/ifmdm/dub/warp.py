"""Draws triangles that carry pixels from one place of a picture to another, by OpenCV."""

from typing import NamedTuple

import cv2
import numpy as np

SUBPIXEL = 4  # bits


class Box(NamedTuple):
  """A box of whole pixels in a picture."""

  x0: int
  y0: int
  x1: int
  y1: int

  @property
  def shape(self):
    """Height and width."""
    return self.y1 - self.y0, self.x1 - self.x0

  def of(self, picture):
    """The part of a picture [H, W, ...] in the box; a view."""
    return picture[self.y0 : self.y1, self.x0 : self.x1]

  def inside(self, outer):
    """Where this box is in another one: two slices."""
    y0, x0 = self.y0 - outer.y0, self.x0 - outer.x0
    return np.s_[y0 : y0 + self.shape[0], x0 : x0 + self.shape[1]]

  def within(self, outer):
    """The part of this box that is in another one."""
    low = np.clip(self[:2], outer[:2], outer[2:])
    high = np.clip(self[2:], low, outer[2:])
    return Box(*(int(x) for x in (*low, *high)))


def box_around(points, side, margin=2, step=1):
  """Finds the box around points [N, 2] within a picture; its sides are multiples of `step`."""
  low = np.floor(points.min(0)).astype(int) - margin
  high = np.ceil(points.max(0)).astype(int) + margin
  low = np.clip(low // step * step, 0, side)
  high = np.clip(-(-high // step) * step, 0, side // step * step)
  high = np.maximum(high, low)
  return Box(int(low[0]), int(low[1]), int(high[0]), int(high[1]))


def interpolated(places, values, triangles, box, step=1):
  """Spreads values of points over the triangles between them; later triangles hide earlier ones.

  Args:
    places: [V, 2], pixels of the picture.
    values: [V, C].
    triangles: int [N, 3].
    box: `Box`, its sides multiples of `step`.
    step: pixels of the box for each of the answer.

  Returns:
    float32 [C, h, w] over the box, 0 where there is no triangle, and whether there is one, bool
    [h, w].
  """
  height, width = box.shape[0] // step, box.shape[1] // step
  local = (places - (box.x0, box.y0)) / step - 0.5  # of pixel numbers
  numbers = np.zeros((height, width), np.int32)
  corners = local[triangles]  # [N, 3, 2]
  fixed = np.round(corners * (1 << SUBPIXEL)).astype(np.int32)
  for number, corner in enumerate(fixed, 1):
    cv2.fillConvexPoly(numbers, corner, number, cv2.LINE_8, SUBPIXEL)
  a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
  area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
  area = np.where(np.abs(area) < 1e-6, np.inf, area)
  at = values[triangles]  # [N, 3, C]
  u, v = at[:, 1] - at[:, 0], at[:, 2] - at[:, 0]
  slope_x = (u * b[:, 1:] - v * a[:, 1:]) / area[:, None]
  slope_y = (v * a[:, :1] - u * b[:, :1]) / area[:, None]
  start = at[:, 0] - slope_x * corners[:, 0, :1] - slope_y * corners[:, 0, 1:]
  table = np.concatenate([slope_x, slope_y, start, at.min(1), at.max(1)], 1).T
  table = np.pad(table.astype(np.float32), ((0, 0), (1, 0)))
  count = values.shape[1]
  x = np.arange(width, dtype=np.float32)[None]
  y = np.arange(height, dtype=np.float32)[:, None]
  found = np.empty((count, height, width), np.float32)
  for c in range(count):
    of = lambda part: table[part * count + c].take(numbers)  # noqa: B023
    np.clip(of(0) * x + of(1) * y + of(2), of(3), of(4), out=found[c])  # edges are drawn a bit wide
  return found, numbers > 0
