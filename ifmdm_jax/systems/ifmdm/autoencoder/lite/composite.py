"""Warp the source's own pixels once, then blend paint over them.

Coordinates are fractions of the side: 0 is the left or upper edge, 1 the right or lower
one, pixel i of n has its centre at (i + 0.5) / n; x before y.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ifmdm_jax.nn.pool import mean_pool


def identity_grid(side):
  """Where each pixel of a side x side picture lies: [side, side, 2]."""
  centre = (jnp.arange(side, dtype=jnp.float32) + 0.5) / side
  x, y = jnp.meshgrid(centre, centre)
  return jnp.stack([x, y], axis=-1)


def _sample_one(image, grid):
  height, width, channels = image.shape
  x = jnp.clip(grid[..., 0] * width - 0.5, 0.0, width - 1.0)
  y = jnp.clip(grid[..., 1] * height - 0.5, 0.0, height - 1.0)
  x_0 = jnp.minimum(jnp.floor(x), width - 2.0)
  y_0 = jnp.minimum(jnp.floor(y), height - 2.0)
  a, b = (x - x_0)[..., None], (y - y_0)[..., None]
  corner = y_0.astype(jnp.int32) * width + x_0.astype(jnp.int32)
  rows = image.reshape(height * width, channels)
  # Whole rows from a flat table are the fastest gather on a CPU.
  tap = lambda offset: rows.at[corner + offset].get(mode='promise_in_bounds')
  upper = (1.0 - a) * tap(0) + a * tap(1)
  lower = (1.0 - a) * tap(width) + a * tap(width + 1)
  return (1.0 - b) * upper + b * lower


def sample(image, grid):
  """Bilinear look-up with clamped borders.

  image [B, H, W, C], grid [B, h, w, 2] as fractions -> [B, h, w, C].
  """
  return jax.vmap(_sample_one)(image, grid)


def _double(x, axis):
  """Bilinear, half-pixel centres, clamped ends, along one axis: shifts, not a matrix."""
  before = jnp.concatenate(
    [jax.lax.slice_in_dim(x, 0, 1, axis=axis), jax.lax.slice_in_dim(x, 0, -1, axis=axis)], axis
  )
  after = jnp.concatenate(
    [jax.lax.slice_in_dim(x, 1, None, axis=axis), jax.lax.slice_in_dim(x, -1, None, axis=axis)],
    axis,
  )
  pairs = jnp.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis + 1)
  return pairs.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])


def doubled(x):
  """[h, w, C] -> [2 h, 2 w, C], smooth."""
  return _double(_double(x, 0), 1)


def upsample(x, side):
  """[B, h, h, C] -> [B, side, side, C] by smooth doublings."""
  x = jax.lax.optimization_barrier(x)  # computed once, not once for each pixel that reads it
  while x.shape[1] < side:
    x = _double(_double(x, 1), 2)
  return jax.lax.optimization_barrier(x)


def halve(x):
  """[B, h, h, C] -> [B, h/2, h/2, C], the mean of each 2x2."""
  batch, height, width, channels = x.shape
  return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def upsample_grid(grid, side):
  """A sampling grid at another resolution: the flow is interpolated, the identity is exact."""
  flow = grid - identity_grid(grid.shape[1])[None]
  return identity_grid(side)[None] + upsample(flow, side)


def fill(picture, known):
  """Guesses pixels from the known ones around them, from afar where none is near.

  picture [B, h, h, C], known [B, h, h, 1] in [0, 1], h a power of two -> [B, h, h, C], which is the
  picture where known is 1.
  """
  sums = [jnp.concatenate([picture * known, known], axis=-1)]
  while sums[-1].shape[1] > 1:
    sums.append(halve(sums[-1]))
  mean = lambda s: s[..., :-1] / (s[..., -1:] + 1e-4)
  guess = mean(sums[-1])
  for level in reversed(sums[:-1]):
    share = jnp.minimum(level[..., -1:], 1.0)
    # By matrices: a chain of doublings that small would be compiled for minutes.
    guess = jax.image.resize(guess, (*level.shape[:3], guess.shape[-1]), 'bilinear')
    guess = guess + share * (mean(level) - guess)
  return guess


RIM = 0.015  # of the side: hair and clothes end beyond the matte


def grown(matte, share):
  """The most of a matte [B, m, m, 1] within so much of the side, up, down, left and right."""
  return nn.max_pool(matte, _square(matte, share), padding='SAME')


def widened(matte, share):
  """A matte with a rim that fades over so much of the side; hair ends beyond the matte."""
  return mean_pool(grown(matte, share / 2), _square(matte, share / 2), 'SAME')


def _square(matte, radius):
  return (2 * round(radius * matte.shape[1]) + 1,) * 2


class Layers(NamedTuple):
  """A portrait to draw from: the person cut out, and the picture without it."""

  # Three pictures in one, so that one look-up serves: ROWS above the portrait, where hair that its
  # edge cuts goes on; the portrait with what is around the face in place of the face; the portrait.
  texture: jax.Array  # [B, R / 8 + 2 R, R, 4]: colours in [-1, 1], and how much is person
  background: jax.Array  # [B, R, R, 3]
  hole: jax.Array  # [B, h, h, 1], 1 where the face was

  @property
  def person(self):
    """The portrait [B, R, R, 4], colours and how much of a pixel is person."""
    return self.texture[:, -self.background.shape[1] :]


FLOW_SIDE = 128  # pixels of the hole at most
ROWS = 8  # the portrait is so many times higher than what is added above it


def layers(source, matte, behind, oval=None):
  """Takes a portrait apart.

  Args:
    source: [B, R, R, 3].
    matte: [B, m, m, 1].
    behind: [B, b, b, 3], what is behind the person.
    oval: [B, P, 2], a ring around the face; None: there is no face.

  Returns:
    `Layers`.
  """
  side = source.shape[1]
  share = jnp.clip((upsample(widened(matte, RIM), side) - 0.2) / 0.6, 0.0, 1.0)
  background = source + jnp.minimum(3.0 * share, 1.0) * (upsample(behind, side) - source)
  person = jnp.concatenate([source, share], axis=-1)
  if oval is None:
    around, hole = person, jnp.zeros((*source.shape[:1], 1, 1, 1))
  else:
    around, hole = without_face(person, oval)
  texture = jnp.concatenate([jax.vmap(above)(around), around, person], axis=1)
  return Layers(texture, background, hole)


def without_face(person, oval):
  """Fills the inside of a ring [B, P, 2] from around it: [B, R, R, 4], and the hole [B, h, h, 1].

  Colour and share of person flow inwards together: beside a cheek that borders on background there
  is background.
  """
  small = person
  while small.shape[1] > FLOW_SIDE:
    small = halve(small)
  side = small.shape[1]
  cover = jax.vmap(lambda ring: inside(ring, side))(oval)
  radius = max(1, 3 * side // FLOW_SIDE)
  hole = 1.0 - nn.max_pool(1.0 - cover, (2 * radius + 1,) * 2, padding='SAME')
  hole = softened(softened(hole))
  known = 1.0 - nn.max_pool(cover, (3, 3), padding='SAME')
  share = small[..., 3:]
  filled = fill(jnp.concatenate([(small[..., :3] + 1.0) * share, share], -1), known)
  filled = jnp.concatenate([filled[..., :3] / (filled[..., 3:] + 1e-3) - 1.0, filled[..., 3:]], -1)
  large = upsample(jnp.concatenate([filled, hole], -1), person.shape[1])
  return person + large[..., 4:] * (large[..., :4] - person), hole


def inside(ring, side):
  """Marks the inside of a closed ring [P, 2] by 1: [side, side, 1]."""
  x, y = jnp.moveaxis(identity_grid(side)[:, :, None], -1, 0)  # [side, side, 1]
  a, b = ring[None, None], jnp.roll(ring, -1, axis=0)[None, None]
  crosses = (a[..., 1] > y) != (b[..., 1] > y)
  rise = jnp.where(a[..., 1] == b[..., 1], 1.0, b[..., 1] - a[..., 1])
  left = x < a[..., 0] + (y - a[..., 1]) / rise * (b[..., 0] - a[..., 0])
  return ((crosses & left).sum(-1, keepdims=True) % 2).astype(jnp.float32)


def softened(x):
  """Averages [B, h, w, C] with weights [1 2 1] / 4 both ways."""

  def along(x):  # the rows
    padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)), mode='edge')
    return 0.25 * padded[:, :-2] + 0.5 * x + 0.25 * padded[:, 2:]

  return along(along(x).swapaxes(1, 2)).swapaxes(1, 2)


DOME = 0.55  # height of a dome over half its width


def above(person):
  """Continues hair that the upper edge cuts: [R, R, 4] -> [R / 8, R, 4].

  Each run of person along the edge is mirrored there and narrowed to the half of an ellipse.
  """
  side, rows = person.shape[0], max(1, person.shape[0] // ROWS)
  x = jnp.arange(side, dtype=jnp.float32)[None]
  within = person[None, :3, :, 3].min(1) > 0.5  # [1, R]
  no = jnp.zeros((1, 1), bool)
  begins = within & ~jnp.concatenate([no, within[:, :-1]], 1)
  ends = within & ~jnp.concatenate([within[:, 1:], no], 1)
  start = jax.lax.cummax(jnp.where(begins, x, -1.0), axis=1)
  end = jax.lax.cummin(jnp.where(ends, x + 1.0, side + 1.0), axis=1, reverse=True)
  middle, half = (start + end - 1.0) / 2, jnp.maximum((end - start) / 2, 0.5)
  up = jnp.arange(rows, 0, -1, dtype=jnp.float32)[:, None]
  # A head that narrows towards the edge ends soon beyond it, as an ellipse would.
  wide = jnp.where(person[:, :, 3] > 0.5, 1.0, 0.0).sum(1)  # [R]
  ends_after = rows * wide[0] ** 2 / jnp.maximum(wide[rows] ** 2 - wide[0] ** 2, 1.0)
  rise = jnp.clip(jnp.minimum(DOME * half, ends_after), side / 128, rows)
  width = half * jnp.sqrt(jnp.maximum(1.0 - jnp.square(up / rise), 1e-4))
  left = jnp.where(start > 0, middle - width, -side)
  right = jnp.where(end < side, middle + width, 2.0 * side)
  share = jnp.clip(jnp.minimum(x - left, right - x) + 0.5, 0.0, 1.0)
  share *= jnp.clip((rise - up) / 4, 0.0, 1.0) * jnp.where(within & (half > side / 128), 1.0, 0.0)
  cut = (start <= 0) | (end >= side)
  wider = jnp.clip(wide[1 : rows + 1][::-1] / jnp.maximum(wide[0], 1.0), 1.0, 3.0)[:, None]
  column = middle + (x - middle) * wider * half / jnp.maximum(width, 1.0)
  column = jnp.where(cut, x, column)
  grid = jnp.stack(jnp.broadcast_arrays(column + 0.5, up + 1.5), -1) / side
  mirrored = _sample_one(person, grid)
  return jnp.concatenate([mirrored[..., :3], share[..., None]], -1)


def _resized(x, side):
  """[B, h, h, C] -> [B, side, side, C], or as it is where h is 1."""
  while x.shape[1] > side:
    x = halve(x)
  return x if x.shape[1] == 1 else upsample(x, side)


STILL = 0.004  # motion that is none, fractions of the side


def warped(portrait, drawing):
  """Draws the person around the face, and the face, each before what is behind.

  Args:
    portrait: `Layers` at the output resolution.
    drawing: `network.Drawing`.

  Returns:
    [B, R, R, 3] in [-1, 1].
  """
  side, small = portrait.background.shape[1], drawing.around.shape[1]
  still = identity_grid(small)[None]
  moves = lambda flow: 1.0 - jnp.exp(-jnp.square(flow).sum(-1, keepdims=True) / STILL**2)
  around, face, lids = (grid - still for grid in (drawing.around, drawing.face, drawing.lids))
  # Beside a person who moves is what was behind; far from there the portrait itself, unmoved.
  awake = moves(face * drawing.cover[..., :1]).max((1, 2), keepdims=True)
  gone = jnp.maximum(moves(around), _resized(portrait.hole, small) * awake)
  cover = softened(drawing.cover)
  cover = jnp.concatenate([cover[..., :1], softened(cover[..., 1:])], -1)
  fields = upsample(jnp.concatenate([around, gone, face, lids, cover], -1), side)
  is_face, is_lid = fields[..., 7:8] > 0.5, fields[..., 8:] > 0.5
  flow = jnp.where(is_lid, fields[..., 5:7], fields[..., 3:5])
  flow = jnp.where(is_face, flow, fields[..., :2])
  look = identity_grid(side)[None] + flow
  height = portrait.texture.shape[1]
  rows = height - 2 * side
  y = jnp.clip(side * look[..., 1:], jnp.where(is_face, 0.5, 0.5 - rows), side - 0.5)
  y = (y + rows + jnp.where(is_face, float(side), 0.0)) / height
  # Once, not once for each pixel and channel that reads it.
  grid = jax.lax.optimization_barrier(jnp.concatenate([look[..., :1], y], -1))
  found = jax.lax.optimization_barrier(sample(portrait.texture, grid))
  source = portrait.person[..., :3]
  beside = source + fields[..., 2:3] * (portrait.background - source)
  share = jnp.where(is_face, 1.0, found[..., 3:])
  bare = beside + share * (found[..., :3] - beside)
  return source + drawing.awake * (bare - source)


def painted(bare, drawing):
  """Blends what the network painted, if it did, over a picture [B, R, R, 3] by its mask."""
  if drawing.mask is None:
    return bare
  side = bare.shape[1]
  mask = upsample(drawing.mask, side)
  return bare + mask * (upsample(drawing.paint, side) - bare)
