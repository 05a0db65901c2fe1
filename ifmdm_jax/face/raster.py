"""Draws lines and triangles: batched, deterministic, pure functions for jit.

Places are pixels (x, y) from the upper left corner; the middle of the first pixel is (0.5, 0.5).
Which triangle a pixel shows is found without a gradient; its weights and its depth have one with
respect to the vertices.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.errors import InputError

LARGEST = np.iinfo(np.int32).max
MOST_TILES = 16_384  # that are drawn at once


class Raster(NamedTuple):
  """What every pixel shows.

  Attributes:
    index: int32 [B, H, W], number of the triangle, -1 where there is none.
    weights: [B, H, W, 3], of the triangle's corners, sum 1; 0 where there is none.
    depth: [B, H, W], infinity where there is none.
  """

  index: jax.Array
  weights: jax.Array
  depth: jax.Array


class _Triangles(NamedTuple):
  """Triangles prepared for drawing; every array begins with [N]."""

  top: jax.Array  # [N, 3, 2] upper end of each edge
  along: jax.Array  # [N, 3, 2] from there to its lower end
  right: jax.Array  # bool [N, 3] whether the triangle lies right of the edge
  origin: jax.Array  # [N, 2] first corner
  slope: jax.Array  # [N, 2] of the depth
  depth: jax.Array  # [N, 3] at the origin, least, most
  first: jax.Array  # int32 [N, 2] column and row of the first pixel
  last: jax.Array  # int32 [N, 2]
  tiles: jax.Array  # int32 [N, 2] across and down
  image: jax.Array  # int32 [N] in the batch
  number: jax.Array  # int32 [N] in the image


@functools.partial(jax.jit, static_argnames=('size', 'cull', 'tile', 'chunk'))
def triangles(vertices, faces, size, *, cull=False, tile=8, chunk=None):
  """Draws triangles by a z-buffer, without anti-aliasing.

  A pixel belongs to a triangle if its middle is inside; if it is on an edge, to the one right of it
  or, of a level edge, below it: triangles that share an edge draw each pixel once. Of equal depths
  the lowest number is seen. Triangles without area, or with a corner that is not finite, are left
  out; others may be of any size and reach anywhere.

  Args:
    vertices: [B, V, 3], x and y in pixels, then the depth: smaller is nearer. Depths have to be
      linear on the screen: for a perspective camera pass -1 / distance.
    faces: int [T, 3], numbers of vertices.
    size: (H, W) of the picture.
    cull: leave out triangles whose corners run clockwise as they are seen.
    tile: pixels of the squares in which triangles are drawn, a matter of speed.
    chunk: squares that are drawn at once, a matter of memory.

  Returns:
    `Raster`.
  """
  height, width = size
  batch, count = vertices.shape[0], faces.shape[0]
  corners = vertices[:, faces]  # [B, T, 3, 3]
  flat = jax.lax.stop_gradient(corners).reshape(batch * count, 3, 3)
  if not flat.shape[0]:
    index = jnp.full((batch, height, width), -1, jnp.int32)
    return _shade(index, jnp.zeros((batch, 1, 3, 3), vertices.dtype))
  prepared = _prepare(flat, count, size, cull, tile)
  chunk = chunk or min(MOST_TILES, -(-flat.shape[0] // 128) * 128)
  index = _nearest(prepared, batch, size, tile, chunk)
  return _shade(index, corners)


def _cross(a, b):
  return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _side(along, relative):
  """Positive right of an edge that goes down, or below one that goes left."""
  return along[..., 1] * relative[..., 0] - along[..., 0] * relative[..., 1]


def _prepare(corners, count, size, cull, tile):
  """Corners [N, 3, 3] of N = B * `count` triangles -> `_Triangles`."""
  places, depths = corners[..., :2], corners[..., 2]
  start, end, other = (jnp.roll(places, -i, axis=1) for i in range(3))
  # Both triangles of an edge see it in the same direction, and so compute the same numbers.
  level = (start[..., 1] == end[..., 1]) & (end[..., 0] > start[..., 0])
  swap = ((end[..., 1] < start[..., 1]) | level)[..., None]
  top, bottom = jnp.where(swap, end, start), jnp.where(swap, start, end)
  side = _side(bottom - top, other - top)  # [N, 3]

  first, second = places[:, 1] - places[:, 0], places[:, 2] - places[:, 0]
  area = _cross(first, second)
  visible = jnp.isfinite(corners).all((1, 2)) & (side != 0).all(1) & (area != 0)
  if cull:
    visible &= area < 0
  rise = depths[:, 1:] - depths[:, :1]
  slope_x = rise[:, 0] * second[:, 1] - rise[:, 1] * first[:, 1]
  slope_y = rise[:, 1] * first[:, 0] - rise[:, 0] * second[:, 0]
  slope = jnp.stack([slope_x, slope_y], -1) / jnp.where(area == 0, 1.0, area)[:, None]

  limit = jnp.array(size[::-1], jnp.float32)[None]
  pixel = lambda x: jnp.clip(jnp.where(visible[:, None], x, 0.0), -1.0, limit).astype(jnp.int32)
  low = jnp.maximum(pixel(jnp.ceil(places.min(1) - 0.5)), 0)
  high = jnp.minimum(pixel(jnp.floor(places.max(1) - 0.5)), jnp.array(size[::-1])[None] - 1)
  extent = jnp.where(visible[:, None], jnp.maximum(high - low + 1, 0), 0)
  number = jnp.arange(corners.shape[0], dtype=jnp.int32)
  return _Triangles(
    top=top,
    along=bottom - top,
    right=side > 0,
    origin=places[:, 0],
    slope=slope,
    depth=jnp.stack([depths[:, 0], depths.min(1), depths.max(1)], -1),
    first=low,
    last=high,
    tiles=-(-extent // tile),
    image=number // count,
    number=number % count,
  )


def _nearest(prepared, batch, size, tile, chunk):
  """Number of the nearest triangle at each pixel, int32 [B, H, W], -1 where there is none.

  Triangles are cut into squares of `tile` pixels from the corner of their boxes, and the list of
  all squares is worked through, `chunk` at a time: any size of triangle, but no more work than
  their areas make.
  """
  height, width = size
  ends = jnp.cumsum(prepared.tiles.prod(-1))
  beyond = batch * height * width  # where pixels go that are not drawn
  steps = jnp.arange(tile, dtype=jnp.int32)

  def draw(state):
    begin, nearest, index = state
    place = begin + jnp.arange(chunk, dtype=jnp.int32)
    which = jnp.minimum(jnp.searchsorted(ends, place, side='right'), ends.shape[0] - 1)
    of = jax.tree.map(lambda array: array[which], prepared)
    local = place - (ends[which] - of.tiles.prod(-1))
    across = jnp.maximum(of.tiles[:, 0], 1)
    row = (of.first[:, 1] + tile * (local // across))[:, None, None] + steps[None, :, None]
    column = (of.first[:, 0] + tile * (local % across))[:, None, None] + steps[None, None, :]
    drawn = (place < ends[-1])[:, None, None] & (row <= of.last[:, 1, None, None])
    drawn &= column <= of.last[:, 0, None, None]

    shape = (chunk, tile, tile)
    centre = lambda pixel: jnp.broadcast_to(pixel, shape).astype(jnp.float32) + 0.5
    middle = jnp.stack([centre(column), centre(row)], axis=-1)
    wide = lambda array: array[:, None, None]
    for edge in range(3):
      side = _side(wide(of.along[:, edge]), middle - wide(of.top[:, edge]))
      drawn &= (side >= 0) == wide(of.right[:, edge])
    depth = wide(of.depth[:, 0]) + (wide(of.slope) * (middle - wide(of.origin))).sum(-1)
    # Rounding must not carry a thin triangle in front of its own corners.
    depth = jnp.clip(depth, wide(of.depth[:, 1]), wide(of.depth[:, 2]))
    # One value for all its readers below, which would else compute it each in their own way.
    key = jax.lax.optimization_barrier(_ordered(depth))

    pixel = (wide(of.image) * height + row) * width + column
    pixel = jnp.where(drawn, pixel, beyond)
    nearer = nearest.at[pixel].min(key, mode='drop')
    first = key == nearer.at[pixel].get(mode='fill', fill_value=-1)
    pixel = jnp.where(drawn & first, pixel, beyond)
    number = jnp.broadcast_to(wide(of.number), shape)
    index = jnp.where(nearer < nearest, LARGEST, index).at[pixel].min(number, mode='drop')
    return begin + chunk, nearer, index

  empty = jnp.full(beyond, LARGEST, jnp.int32)
  start = (jnp.int32(0), empty, empty)
  index = jax.lax.while_loop(lambda state: state[0] < ends[-1], draw, start)[2]
  return jnp.where(index == LARGEST, -1, index).reshape(batch, height, width)


def _ordered(x):
  """Integers in the order of float32 numbers; both zeros are one."""
  bits = jax.lax.bitcast_convert_type(jnp.where(x == 0, 0.0, x).astype(jnp.float32), jnp.int32)
  return jnp.where(bits < 0, bits ^ LARGEST, bits)


def _shade(index, corners):
  """Adds weights and depths to triangles' numbers [B, H, W]; corners [B, T, 3, 3]."""
  batch, height, width = index.shape
  first, second = (
    corners[..., 1, :2] - corners[..., 0, :2],
    corners[..., 2, :2] - corners[..., 0, :2],
  )
  area = _cross(first, second)[..., None]
  area = jnp.where(area == 0, 1.0, area)
  turned = lambda v: jnp.stack([v[..., 1], -v[..., 0]], axis=-1)
  table = jnp.concatenate(
    [corners[..., 0, :2], turned(second) / area, -turned(first) / area, corners[..., 2]], axis=-1
  )  # [B, T, 9]
  image = jnp.arange(batch, dtype=jnp.int32)[:, None, None] * corners.shape[1]
  rows = table.reshape(-1, 9).at[image + jnp.maximum(index, 0)].get(mode='promise_in_bounds')
  table = jax.lax.optimization_barrier(rows)  # read once, not once for each reader below
  x = (jnp.arange(width, dtype=jnp.float32) + 0.5)[None, None, :] - table[..., 0]
  y = (jnp.arange(height, dtype=jnp.float32) + 0.5)[None, :, None] - table[..., 1]
  one = jnp.clip(x * table[..., 2] + y * table[..., 3], 0.0, 1.0)
  two = jnp.clip(x * table[..., 4] + y * table[..., 5], 0.0, 1.0)
  zero = jnp.maximum(1.0 - one - two, 0.0)
  total = zero + one + two  # rounding can make it more than 1
  seen = index >= 0
  weights = [jnp.where(seen, w / total, 0.0) for w in (zero, one, two)]
  weights = jax.lax.optimization_barrier(weights)
  depth = sum(w * table[..., 6 + i] for i, w in enumerate(weights))
  return Raster(index, jnp.stack(weights, axis=-1), jnp.where(seen, depth, jnp.inf))


def interpolate(raster, faces, attributes, distances=None):
  """Reads what belongs to vertices at every pixel.

  Args:
    raster: `Raster` of B pictures.
    faces: int [T, 3], as drawn.
    attributes: [B, V, C].
    distances: [B, V] of vertices from a perspective camera, which foreshortens; None: from afar.

  Returns:
    [B, H, W, C], 0 where there is no triangle.
  """
  batch, vertices, channels = attributes.shape
  corners = jnp.asarray(faces)[jnp.maximum(raster.index, 0)]  # [B, H, W, 3]
  corners = corners + vertices * jnp.arange(batch, dtype=corners.dtype)[:, None, None, None]
  read = lambda array, i: array.at[corners[..., i]].get(mode='promise_in_bounds')
  weights = [raster.weights[..., i] for i in range(3)]
  if distances is not None:
    weights = [w / read(jnp.asarray(distances).reshape(-1), i) for i, w in enumerate(weights)]
    total = jnp.maximum(sum(weights), 1e-12)
    weights = [w / total for w in weights]
  table = jnp.asarray(attributes).reshape(-1, channels)
  return sum(w[..., None] * read(table, i) for i, w in enumerate(weights))


class Stroke(NamedTuple):
  """A line through points.

  Attributes:
    points: their numbers, in order.
    colour: C numbers.
    closed: whether it returns to the first point.
  """

  points: tuple[int, ...]
  colour: tuple[float, ...]
  closed: bool = False


@functools.partial(jax.jit, static_argnames=('strokes', 'size', 'width', 'soft', 'background'))
def lines(places, strokes, size, *, width=2.0, soft=1.0, background=0.0):
  """Draws lines with round ends and soft edges, later strokes over earlier ones.

  Args:
    places: [B, P, 2] in pixels; pieces of a line with an end that is not finite are left out.
    strokes: tuple of `Stroke`.
    size: (H, W) of the picture.
    width: of a line, pixels.
    soft: pixels over which its edge fades: 1 is anti-aliased, less is sharper.
    background: colour where there is no line.

  Returns:
    [B, H, W, C].

  Raises:
    InputError: a width is not positive.
  """
  if width <= 0 or soft <= 0:
    raise InputError(f'expected width and soft above 0, got {width} and {soft}: choose others')
  x = (jnp.arange(size[1], dtype=jnp.float32) + 0.5)[None, None, None, :]
  y = (jnp.arange(size[0], dtype=jnp.float32) + 0.5)[None, None, :, None]
  picture = jnp.full((places.shape[0], *size, len(strokes[0].colour)), background, jnp.float32)
  for stroke in strokes:
    ends = stroke.points[1:] + stroke.points[:1] if stroke.closed else stroke.points[1:]
    start = places[:, np.array(stroke.points[: len(ends)])]  # [B, S, 2]
    along = places[:, np.array(ends)] - start
    planes = [v[..., i, None, None] for v in (start, along) for i in (0, 1)]
    start_x, start_y, along_x, along_y = planes  # [B, S, 1, 1]
    length = jnp.maximum(along_x**2 + along_y**2, 1e-12)
    share = ((x - start_x) * along_x + (y - start_y) * along_y) / length
    share = jnp.clip(share, 0.0, 1.0)
    squared = (x - start_x - share * along_x) ** 2 + (y - start_y - share * along_y) ** 2
    nearest = jnp.where(jnp.isfinite(squared), squared, jnp.inf).min(1)  # [B, H, W]
    cover = jnp.clip((0.5 * (width + soft) - jnp.sqrt(nearest)) / soft, 0.0, 1.0)[..., None]
    colour = jnp.array(stroke.colour, jnp.float32)[None, None, None]
    picture = picture + cover * (colour - picture)
  return picture
