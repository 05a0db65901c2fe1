"""Measures how a renderer that moves a portrait's own pixels tears, folds or doubles it.

Such a renderer says of each pixel of a frame where in the portrait it looks: a grid [h, w, 2],
fractions of the portrait's sides, 0 its left and upper edge, 1 its right and lower one, x before y.
It may have several, one before the other (`Layer`). Nothing here needs a picture or a network.
"""

from typing import NamedTuple

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation.types import Metric

METRICS = {
  'fold_share': Metric('down', '', 'pixels that show the portrait mirrored, or anew', 4),
  'double_share': Metric('down', '', 'pixels of the portrait that are drawn twice', 4),
  'edge_exposed': Metric('down', '', 'pixels that look beyond an edge that cuts the person', 4),
}
APART = 1 / 128  # of the side: two drawings of one place that lie nearer are the seam of two layers
PERSON = 0.5  # share of a pixel that is person, from which a cut is seen


class Layer(NamedTuple):
  """One layer of a frame.

  Attributes:
    grid: where it looks, [h, w, 2].
    shown: where it is the foremost, bool [h, w].
    own: what of the portrait it has, bool [s, s]; None: all. What was made up in its place, as
      background behind a head, is no second drawing of it.
  """

  grid: np.ndarray
  shown: np.ndarray
  own: np.ndarray | None = None


def mirrored(grid):
  """Marks pixels whose right and lower neighbours look to the wrong side: bool [h, w].

  There the determinant of the look-up's Jacobian is negative. The last row and column are False.
  """
  grid = _checked(grid)
  across, down = grid[:-1, 1:] - grid[:-1, :-1], grid[1:, :-1] - grid[:-1, :-1]
  turned = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
  height, width = grid.shape[:2]
  # 1e-4 of a pixel's area: a grid of float32 that stands still is no fold.
  return np.pad(turned * height * width < -1e-4, ((0, 1), (0, 1)))


def drawn(layers, side):
  """Says how often each pixel of a portrait is drawn, and how far apart.

  Args:
    layers: of one frame, `Layer`s of one size.
    side: of the portrait, pixels.

  Returns:
    count: int [side, side], by how many cells of the frame it is covered; a cell lies between four
      pixels that one layer shows.
    apart: [side, side], the larger extent of those cells across and down, fractions of the frame.
  """
  count = np.zeros(side * side, np.int64)
  low = np.full((2, side * side), np.inf, np.float32)
  high = -low
  for layer in layers:
    for place, cells in _covered(layer, side):
      np.add.at(count, place, 1)
      for axis in (0, 1):
        np.minimum.at(low[axis], place, cells[:, axis])
        np.maximum.at(high[axis], place, cells[:, axis])
  apart = np.where(count > 0, (high - low).max(0), 0.0)
  return count.reshape(side, side), apart.reshape(side, side)


def doubled(layers, side):
  """Marks pixels of a portrait that are drawn twice, more than APART from each other.

  Returns:
    (doubled, drawn): bool [side, side] each.
  """
  count, apart = drawn(layers, side)
  return (count > 1) & (apart > APART), count > 0


def double_share(layers, side, within=None):
  """Measures how much of what is drawn of a portrait is drawn twice, from 0 to 1.

  Args:
    layers: of one frame, `Layer`s of one size.
    side: of the portrait, pixels.
    within: bool [side, side], pixels of the portrait that count; None: all.
  """
  twice, once = doubled(layers, side)
  once = once if within is None else once & within
  return _share(twice & once, once)


def fold_share(layers, within, twice=None):
  """Measures how much is mirrored, or shows what is drawn elsewhere too, from 0 to 1.

  Args:
    layers: `Layer`s of one size.
    within: bool [h, w], pixels of the frame that count, as those of a face; only where one of the
      layers is shown.
    twice: bool [s, s] of `doubled`, of all layers of the frame; None: mirrored pixels alone.
  """
  bad, all_shown = np.zeros_like(within), np.zeros_like(within)
  for layer in layers:
    wrong = mirrored(layer.grid)
    if twice is not None:
      wrong |= shows(layer, twice)
    bad |= wrong & layer.shown
    all_shown |= layer.shown
  return _share(bad & within, all_shown & within)


def shows(layer, places):
  """Marks pixels of the frame whose look-up falls in `places`, bool [s, s], that the layer has."""
  places = places if layer.own is None else places & layer.own
  rows, columns = _pixels(layer.grid, places.shape)
  return places[rows, columns] & ((layer.grid >= 0) & (layer.grid < 1)).all(-1)


def edge_exposed(layers, persons, above=0):
  """Measures how much of a frame is `exposed`, from 0 to 1."""
  return float(exposed(layers, persons, above).mean())


def exposed(layers, persons, above=0):
  """Marks pixels of a frame that look beyond an edge of the portrait that cuts the person.

  There is nothing to show: a renderer shows a straight edge, or streaks. Marked too are pixels
  beside which a look-up leaves the portrait where it is person and what continues it is not.

  Args:
    layers: of one frame, `Layer`s of one size.
    persons: of each layer [above + s, s], share of person from 0 to 1 of what it looks at: the
      portrait, below `above` rows that continue it.
    above: number of these rows.

  Returns:
    bool [h, w].
  """
  marked = np.zeros(layers[0].shown.shape, bool)
  for layer, person in zip(layers, persons):
    side = person.shape[1]
    rows = side * _checked(layer.grid)[..., 1] + above  # from the upper edge of the canvas
    columns = side * layer.grid[..., 0]
    beyond = (rows < 0) | (rows >= len(person)) | (columns < 0) | (columns >= side)
    bad = beyond & (found(person, layer.grid, above) > PERSON)
    if above:  # a cut between the portrait and what continues it
      cut = (person[above] > PERSON) & (person[max(above - 3, 0)] <= PERSON)
      crosses = (rows[:-1] < above) & (rows[1:] >= above)
      bad[1:] |= crosses & cut[np.clip(columns[1:], 0, side - 1).astype(int)]
    marked |= bad & layer.shown
  return marked


def found(canvas, grid, above=0):
  """Reads what look-ups find, at the nearest pixel.

  Args:
    canvas: [above + s, s], as `edge_exposed` has them.
    grid: [h, w, 2].
    above: rows of the canvas above the portrait.

  Returns:
    [h, w].
  """
  rows = np.clip(canvas.shape[1] * _checked(grid)[..., 1] + above, 0, canvas.shape[0] - 1)
  columns = np.clip(canvas.shape[1] * grid[..., 0], 0, canvas.shape[1] - 1)
  return canvas[rows.astype(int), columns.astype(int)]


def _checked(grid):
  if grid.ndim != 3 or grid.shape[2] != 2:
    raise InputError(f'expected a grid [h, w, 2], got {list(grid.shape)}: pass one frame at a time')
  return grid


def _share(what, of):
  total = int(of.sum())
  return float((what & of).sum() / total) if total else 0.0


def _pixels(grid, shape):
  """Index (row, column) of the pixel that each look-up falls in, the nearest one from outside."""
  rows = np.clip(grid[..., 1] * shape[0], 0, shape[0] - 1).astype(int)
  return rows, np.clip(grid[..., 0] * shape[1], 0, shape[1] - 1).astype(int)


def _covered(layer, side):
  """Yields (pixels of the portrait [N], their cells [N, 2]) that a layer covers.

  Each cell is two triangles, and a pixel is covered where its middle, moved a little so that it
  never lies on a border, is in one.
  """
  grid, shown = _checked(layer.grid), layer.shown
  whole = shown[:-1, :-1] & shown[:-1, 1:] & shown[1:, :-1] & shown[1:, 1:]
  row, column = np.nonzero(whole)
  cells = np.stack([column / grid.shape[1], row / grid.shape[0]], -1).astype(np.float32)
  at = lambda i, j: grid[row + i, column + j].astype(np.float64) * side - 0.5
  own = np.ones((side, side), bool) if layer.own is None else layer.own
  for corners in ((at(0, 0), at(0, 1), at(1, 0)), (at(1, 1), at(1, 0), at(0, 1))):
    a, b, c = corners
    low = np.floor(np.minimum(np.minimum(a, b), c)).astype(int)
    extent = np.floor(np.maximum(np.maximum(a, b), c)).astype(int) - low + 1
    u, v = b - a, c - a
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    left = np.nonzero(np.abs(area) > 1e-9)[0]
    for step in range(int(extent.max(initial=0)) ** 2):
      # (0, 0), then squares of growing size: small triangles, nearly all, soon are done
      ring = int(np.sqrt(step))
      inner = step - ring * ring
      j, i = (ring, inner) if inner <= ring else (inner - ring - 1, ring)
      if inner == 0:
        left = left[(extent[left] > ring).any(1)]
        if not len(left):
          break
      x, y = low[left, 0] + j, low[left, 1] + i
      px, py = x + 0.317 - a[left, 0], y + 0.239 - a[left, 1]
      s = (px * v[left, 1] - py * v[left, 0]) / area[left]
      t = (py * u[left, 0] - px * u[left, 1]) / area[left]
      hit = (s >= 0) & (t >= 0) & (s + t <= 1)
      hit &= (x >= 0) & (x < side) & (y >= 0) & (y < side)
      place = y[hit] * side + x[hit]
      has = own[y[hit], x[hit]]
      yield place[has], cells[left[hit][has]]
