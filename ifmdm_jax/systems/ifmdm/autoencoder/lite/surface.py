"""The face as a surface: triangles with depth, where they end, and what a portrait hides of them.

Points are [468, 2] or, with depth, [468, 3], of one face: fractions of the side, x before y, depth
in the unit of x, smaller is nearer.
"""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face import tflite
from ifmdm_jax.face.points import (
  CHIN_TIP,
  EYES,
  FOREHEAD,
  LEFT_CHEEK,
  LEFT_EYE,
  MIRROR,
  OVAL,
  POINTS,
  RIGHT_CHEEK,
  RIGHT_EYE,
  RIGID,
)
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite, eyes

with np.load(tflite.WEIGHTS / 'face_surface.npz') as _file:
  MEAN = _file['mean']  # [468, 3], a frontal face, height 1
  TRIANGLES = _file['triangles'].astype(np.int32)  # [898, 3], eyes and mouth closed
WIDEST = 0.8  # of the side: height of the largest face whose triangles are drawn whole
SHARES = (0.25, 0.5, 0.7, 0.85, 0.95, 1.0)  # of the triangles by size, drawn in patches of one size
NUMBER_BITS, DEPTH_BITS = 10, 20
HIDDEN = -0.05  # cosine to the view, below which a triangle is hidden
ROUNDS, STEPS = 5, 60  # of freeing folded points, and of relaxing each time
RIDGE = 0.02  # of a pose fit, towards facing as before


def area(corners):
  """Computes twice the signed area of triangles [..., 3, 2]; seen from the front it is negative."""
  a, b = corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
  return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _by_size():
  shut = MEAN.copy()  # lids are longest then
  for upper, lower, _, _ in eyes.EYES:
    shut[upper] = 2 * shut[lower] - shut[upper]  # and longer in a head that nods
  corners = np.stack([MEAN, shut])[:, TRIANGLES, :2]
  extent = (corners.max(2) - corners.min(2)).max((0, -1))
  order = np.argsort(extent)
  return TRIANGLES[order], extent[order]


TRIANGLES, _EXTENT = _by_size()


def _with_own_eyes():
  """Gives the triangles within the eyes' rings corners of their own, behind those of the lids."""
  own = np.arange(POINTS)
  own[EYES] = POINTS + np.arange(len(EYES))
  within = [np.isin(TRIANGLES, ring).all(1) for ring in (LEFT_EYE, RIGHT_EYE)]
  return np.where((within[0] | within[1])[:, None], own[TRIANGLES], TRIANGLES)


_DRAWN = _with_own_eyes()
# Edges of upper lids without the corners, and the skin above them that stretches after them.
_UPPER_LIDS = np.concatenate([eyes.UPPER[1:-1], eyes.SKIN, eyes.UNDER_BROW[1:-1]])
_UPPER_LIDS = np.concatenate([_UPPER_LIDS, MIRROR[_UPPER_LIDS]])
# By number of a triangle from 1: whether it is a lid that comes down over what is behind it.
_IS_LID = np.concatenate([[False], np.isin(_DRAWN, _UPPER_LIDS).any(1)])
BEHIND = 0.003  # fractions of the side


@functools.cache
def _groups(side):
  """Cuts the triangles into (start, end, side of the patch in pixels)."""
  ends = [round(share * len(TRIANGLES)) for share in SHARES]
  starts = [0, *ends[:-1]]
  return [(a, b, int(np.ceil(WIDEST * side * _EXTENT[b - 1])) + 2) for a, b in zip(starts, ends)]


def _neighbours():
  """Neighbours of each vertex [468, N], and shares by nearness that sum to 1."""
  near = [set() for _ in range(POINTS)]
  for triangle in TRIANGLES:
    for vertex in triangle:
      near[vertex] |= {*triangle} - {vertex}
  count = max(map(len, near))
  index = np.array([[*sorted(n), *[i] * (count - len(n))] for i, n in enumerate(near)])
  length = np.linalg.norm(MEAN[index, :2] - MEAN[:, None, :2], axis=-1)
  share = np.where(length > 0, 1.0 / np.maximum(length, 1e-9), 0.0)
  return index, (share / share.sum(1, keepdims=True)).astype(np.float32)


_NEAR, _NEAR_SHARE = _neighbours()
_IS_OVAL = np.isin(np.arange(POINTS), OVAL)
_WHOLE = -area(MEAN[TRIANGLES][..., :2])

# ---------------------------------------------------------------------------- the outline

_MIDDLE = np.array([LEFT_CHEEK, RIGHT_CHEEK, FOREHEAD, CHIN_TIP])
_OUT = MEAN[OVAL, :2] - MEAN[_MIDDLE, :2].mean(0)
_OUT = _OUT / np.linalg.norm(_OUT, axis=1, keepdims=True)  # [36, 2]
_LEAD = np.maximum(np.einsum('kvi,ki->kv', MEAN[None, :, :2] - MEAN[OVAL, None, :2], _OUT), 0.0)
SHARP, ROW = 0.004, 0.025  # of the maximum, fractions of the side; of a row, heights of the face


def upright(points):
  """Measures a face [468, 2]: its height, and the unit vectors right and down."""
  down = points[CHIN_TIP] - points[FOREHEAD]
  height = jnp.linalg.norm(down)
  down = down / height
  return height, jnp.stack([down[1], -down[0]]), down


def outline(points):
  """Finds where the surface ends: each point of the oval, moved out to the furthest of its row.

  A turned head hides some of the oval behind its cheek; the outline is what is seen. [468, 2] ->
  [36, 2].
  """
  height, right, down = upright(points)
  centre = points[_MIDDLE].mean(0)
  out = _OUT @ jnp.stack([right, down])
  beside = jnp.stack([-out[:, 1], out[:, 0]], -1)
  away = points - centre[None]
  radius, row = out @ away.T, beside @ away.T  # [36, 468]
  own = np.arange(len(OVAL)), OVAL
  lead = radius - radius[own][:, None] - height * _LEAD
  near = jnp.square((row - row[own][:, None]) / (ROW * height))
  share = jax.nn.softmax(lead / SHARP - near, axis=-1)
  far = radius[own] + jnp.maximum((share * lead).sum(-1), 0.0)
  return centre[None] + far[:, None] * out + row[own][:, None] * beside


# ------------------------------------------------------------------------------- the depth


def _like(point, points):
  """Gives a point [C] the axes of points [..., C]."""
  return jnp.expand_dims(point, range(points.ndim - 1))


class Pose(NamedTuple):
  """A scaled turn from points with depth to a picture."""

  turn: jax.Array  # [2, 3]
  start: jax.Array  # [3], the middle of what moves with the skull,
  end: jax.Array  # [2], and where it is in the picture

  def __call__(self, points):
    """Places points [..., 3] in the picture: [..., 2]."""
    return (points - _like(self.start, points)) @ self.turn.T + _like(self.end, points)

  @property
  def scale(self):
    """Length in the picture of what was 1 long."""
    return 0.5 * (jnp.linalg.norm(self.turn[0]) + jnp.linalg.norm(self.turn[1]))

  @property
  def view(self):
    """Which way is away from the viewer, before the turn: [3], its length is `scale`."""
    return jnp.cross(self.turn[0], self.turn[1]) / self.scale

  def depth(self, points):
    """Finds depths [...] of turned points [..., 3], in the unit of the picture."""
    return (points - _like(self.start, points)) @ self.view


def fit(start, end, size=1.0):
  """Fits the `Pose` that brings points [468, 3] over points [468, 2] of a picture.

  Args:
    start, end: of the same face; what moves with the skull is fitted.
    size: expected scale.
  """
  from_centre, to_centre = start[RIGID].mean(0), end[RIGID].mean(0)
  x, y = start[RIGID] - from_centre[None], end[RIGID] - to_centre[None]
  moment = x.T @ x
  ridge = RIDGE * jnp.trace(moment) / 3 * jnp.eye(3)
  a, b, c = moment + ridge
  inverse = jnp.stack([jnp.cross(b, c), jnp.cross(c, a), jnp.cross(a, b)], 1)
  inverse = inverse / (a * jnp.cross(b, c)).sum()
  return Pose((inverse @ (x.T @ y + size * ridge[:, :2])).T, from_centre, to_centre)


def with_depth(points):
  """Adds to the points of a picture [468, 2] the depth of a mean face so turned: [468, 3]."""
  height = jnp.linalg.norm(points[CHIN_TIP] - points[FOREHEAD])
  mean = jnp.asarray(MEAN)
  return jnp.concatenate([points, fit(mean, points, height).depth(mean)[:, None]], axis=1)


def with_eyes(points, eyes):
  """Adds to points [468, 2] the eyes' rings [32, 2] of others [468, 2]: what lids close over."""
  return jnp.concatenate([points, eyes[EYES]])


def behind_lids(depth):
  """Adds to depths [468] those of the eyes' rings [32], a little behind the lids."""
  return jnp.concatenate([depth, depth[EYES] + BEHIND])


# ----------------------------------------------------------------- what the portrait hides


def _to_points(values):
  """Averages values of triangles [898] at their corners: [468]."""
  add = lambda x: jnp.zeros(POINTS).at[TRIANGLES].add(x[:, None])
  return add(values) / add(jnp.ones(len(TRIANGLES)))


def visible_places(points):
  """Places points where the picture shows them, [468, 3] -> [468, 2].

  Points that a turned portrait hides are spread between the visible ones and the outline, so that
  no triangle looks at the picture from behind.
  """
  corners = points[TRIANGLES]
  normal = jnp.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
  facing = -normal[:, 2] / (jnp.linalg.norm(normal, axis=1) + 1e-12)
  free = (_to_points((facing > HIDDEN).astype(jnp.float32)) < 0.5) & ~_IS_OVAL
  away = jnp.clip((0.35 - _to_points(facing)[OVAL]) / 0.25, 0.0, 1.0)[:, None]
  flat = points[:, :2]
  places = flat.at[OVAL].add(away * (outline(flat) - flat[OVAL]))
  height = jnp.linalg.norm(flat[CHIN_TIP] - flat[FOREHEAD])

  def relax(_, state):
    places, free = state
    between = (_NEAR_SHARE[..., None] * places[_NEAR]).sum(1)
    return jnp.where(free[:, None], between, places), free

  def unfold(_, state):
    places, free = jax.lax.fori_loop(0, STEPS, relax, state)
    folded = -area(places[TRIANGLES]) < 0.02 * _WHOLE * jnp.square(height)
    folded &= (_WHOLE > 0) & (facing < 0.05)
    return places, free | ((_to_points(folded.astype(jnp.float32)) > 0) & ~_IS_OVAL)

  return jax.lax.fori_loop(0, ROUNDS, unfold, (places, free))[0]


# ------------------------------------------------------------------------------ the raster


def rasterise(places, points, depth, side):
  """Draws the surface with a z-buffer.

  Args:
    places: [500, 2], where the points are in the portrait, see `with_eyes`,
    points: [500, 2], and in the frame.
    depth: [500] in the frame, see `behind_lids`.
    side: of the answer, pixels.

  Returns:
    flow: [side, side, 2], from a place of the frame to its place in the portrait,
    cover: [side, side, 2], 1 where there is a triangle, and where it is one of an upper lid.
  """
  corner = points[_DRAWN] * side - 0.5
  a, b = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
  twice = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
  front = twice < -1e-6
  inverse = jnp.where(front, 1.0 / jnp.where(front, twice, 1.0), 0.0)[:, None]
  along_u = inverse * jnp.stack([b[:, 1], -b[:, 0]], -1)
  along_v = inverse * jnp.stack([-a[:, 1], a[:, 0]], -1)

  def affine(values):  # at corners [T, 3, C] -> [T, 3, C]: value = (x, y, 1) @ it
    u, v = values[:, 1] - values[:, 0], values[:, 2] - values[:, 0]
    slope = along_u[:, :, None] * u[:, None] + along_v[:, :, None] * v[:, None]
    at_zero = values[:, 0] - (corner[:, 0, :, None] * slope).sum(1)
    return jnp.concatenate([slope, at_zero[:, None]], 1)

  number = _nearest(corner, along_u, along_v, front, affine(depth[_DRAWN][..., None])[..., 0],
                    (depth.min() - 1e-3, depth.max() + 1e-3), side)  # fmt: skip
  looks = affine(places[_DRAWN]).reshape(-1, 6)
  looks = jnp.concatenate([jnp.zeros((1, 6)), looks]).at[number].get(mode='promise_in_bounds')
  looks = jax.lax.optimization_barrier(looks).reshape(side, side, 3, 2)
  pixel = jnp.arange(side, dtype=jnp.float32)
  look = looks[:, :, 0] * pixel[None, :, None] + looks[:, :, 1] * pixel[:, None, None]
  cover = jnp.stack([number > 0, jnp.asarray(_IS_LID)[number]], -1).astype(jnp.float32)
  flow = look + looks[:, :, 2] - composite.identity_grid(side)
  return flow * cover[..., :1], cover


def _nearest(corner, along_u, along_v, front, plane, limits, side):
  """Number of the nearest triangle of each pixel, from 1, or 0: int32 [side, side]."""
  near, far = limits
  first = jnp.ceil(corner.min(1) - 1e-3)
  keys, cells = [], []
  for start, end, patch in _groups(side):
    s, steps = slice(start, end), jnp.arange(patch, dtype=jnp.float32)[None]
    x, y = first[s, :1] + steps, first[s, 1:] + steps  # [t, patch]
    dx, dy = x - corner[s, 0, :1], y - corner[s, 0, 1:]
    u, v = ((g[s, :1] * dx)[:, None] + (g[s, 1:2] * dy)[:, :, None] for g in (along_u, along_v))
    hit = (u >= -1e-4) & (v >= -1e-4) & (u + v <= 1.0001) & front[s, None, None]
    hit &= ((x >= 0) & (x < side))[:, None] & ((y >= 0) & (y < side))[:, :, None]
    z = (plane[s, :1] * x)[:, None] + (plane[s, 1:2] * y)[:, :, None] + plane[s, 2, None, None]
    level = jnp.clip((far - z) / (far - near), 0.0, 1.0) * (2**DEPTH_BITS - 1)
    number = jnp.arange(start + 1, end + 1)[:, None, None]
    keys.append(jnp.where(hit, (level.astype(jnp.int32) << NUMBER_BITS) + number, 0).ravel())
    cell = jnp.where(hit, y[:, :, None] * side + x[:, None], side * side)
    cells.append(cell.astype(jnp.int32).ravel())
  buffer = jnp.zeros(side * side + 1, jnp.int32)
  keys, cells = jnp.concatenate(keys), jnp.concatenate(cells)
  buffer = buffer.at[cells].max(keys, mode='promise_in_bounds')
  return (buffer[:-1] & (2**NUMBER_BITS - 1)).reshape(side, side)


def beyond(flow, cover, rounds=2):
  """Continues a flow [h, h, 2] a few pixels beyond its cover [h, h, 1]: it can be interpolated."""
  side = flow.shape[0]
  for _ in range(rounds):
    padded = jnp.pad(jnp.concatenate([flow * cover, cover], -1), ((1, 1), (1, 1), (0, 0)))
    total = sum(padded[i : i + side, j : j + side] for i in range(3) for j in range(3))
    new = (cover <= 0) & (total[..., 2:] > 0)
    flow = jnp.where(new, total[..., :2] / jnp.maximum(total[..., 2:], 1.0), flow)
    cover = jnp.maximum(cover, new.astype(cover.dtype))
  return flow


def without_holes(cover):
  """Closes holes of a cover [h, h, 1] of less than three pixels, where a triangle turned over."""
  widest = lambda x: nn.max_pool(x[None], (3, 3), padding='SAME')[0]
  return 1.0 - widest(1.0 - widest(cover))


REACH, FADE, STEEPEST = 0.05, 0.09, 1.5


def spread(values, places, side):
  """Spreads displacements [K, 2] at places [K, 2] over a picture: [side, side, 2].

  Shepard's interpolation, weights 1 / distance^4; it fades no faster than the displacement allows
  without a fold: a Gaussian's steepest slope is 0.61 of its height over its width.
  """
  centres = composite.identity_grid(side)[0, :, :1]
  across, down = (jnp.square(centres - places[None, :, axis]) for axis in (0, 1))  # [side, K]
  weights = 1.0 / jnp.square((down[:, None] + across[None]).reshape(side * side, -1) + 1e-5)
  length = jnp.sqrt(jnp.square(values).sum(-1, keepdims=True) + 1e-12)
  sums = weights @ jnp.concatenate([values, length, jnp.ones_like(length)], 1)
  fade = jnp.maximum(FADE, STEEPEST * sums[:, 2:3] / sums[:, 3:])
  pull = jnp.exp(-0.5 * jnp.square(jnp.maximum(sums[:, 3:] ** -0.25 - REACH, 0.0) / fade))
  return (pull * sums[:, :2] / sums[:, 3:]).reshape(side, side, 2)
