"""The mouth of one person, as a few pictures show it, in place of warped skin and average teeth.

Each of K shots is kept as two small textures: its lips and the skin around them, in coordinates of
the lips, and the inside of the mouth, in coordinates of the skull. A frame takes those whose lips
are most like its own. How far they cover what the portrait gives is learned (`person.py`).

Landmarks are [468, 2] and places [..., 2], fractions of the side, x before y. Lengths in a mouth
are of its width, from corner to corner.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face import points
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite, mouth, surface

SKIN = 96, 160  # rows and columns of a texture of lips and skin
ACROSS = -0.4, 1.4  # what its columns show, from the left corner to the right one
MARGIN = 0.5  # of skin above and below the lips
ROWS = 0.0, 0.36, 0.5, 0.64, 1.0  # upper edge, upper lip's outer and inner edge, lower lip's outer
INSIDE = 64, 96  # rows and columns of a texture of the inside
WIDE, HIGH = (-0.2, 0.2), (-0.09, 0.175)  # what it shows, in the mean face, from the upper lip
ROOM = 3 / 8, 7 / 16  # of the side: height and width of the window for the skin
MIDDLE = (4, 12), (3, 13)  # sixteenths of the window in which the inside is
SOFT = 2.5 / 512  # of the side: width of the lips' inner edges
PARTED = 0.003, 0.009  # heights of the face between lips: from nothing of the inside to all of it
SHOWS = 0.02  # share of the texture of the inside that a shot has to show
DARK = 0.3  # of the mean light in a mouth: far below what a shot shows of it
FAINT = 0.1  # weight of what a shot does not show beside that of what it does
POSE = 0.3  # weight of where the nose points, beside the lips, in what is alike
ALIKE = 0.004  # heights of the face by which lips differ that are hardly alike, at first
GAIN = 0.5, 2.0  # of light, least and most
MAPS = 10, 16
SHAPE = float(np.sqrt(len(points.LIPS)))
BITE = jnp.asarray(surface.MEAN[points.UPPER_MIDDLE])
EDGES = (points.UPPER_LIP_OUTER, points.UPPER_LIP_INNER, points.LOWER_LIP_INNER,
         points.LOWER_LIP_OUTER)  # fmt: skip


class Own(NamedTuple):
  """What a portrait adds to it; made once."""

  skin: jax.Array  # [B, 96, 160, 3], its own lips
  gain: jax.Array  # [B, 3], its light over that of the shots
  cover: jax.Array  # [B, 96, 160, 1], how far the shots' skin is in place of the picture's,
  change: jax.Array  # [B, 96, 160, 1], and how far what distinguishes it from its own is added


class Places(NamedTuple):
  """Where places of a frame are in the textures."""

  skin: jax.Array  # [h, w, 2], fractions
  inside: jax.Array  # [h, w, 2], fractions
  cover: jax.Array  # [h, w, 1], 1 between parted lips


# ------------------------------------------------------------------------------- coordinates


def _axes(landmarks):
  corner = landmarks[points.LEFT_MOUTH_CORNER]
  across = landmarks[points.RIGHT_MOUTH_CORNER] - corner
  width = jnp.linalg.norm(across)
  across = across / width
  return corner, across, jnp.stack([-across[1], across[0]]), width


def _like(vector, array):
  """Gives a vector [2] the axes of an array [..., 2]."""
  return jnp.expand_dims(vector, range(array.ndim - 1))


def _edges(landmarks, u):
  """How far below the corners the lips' edges are at u [N]: four of [N], in order."""
  corner, across, down, width = _axes(landmarks)

  def edge(points_of):
    away = landmarks[points_of] - corner[None]
    x, y = away @ across / width, away @ down / width
    run = jnp.maximum(jnp.diff(x), 1e-4)
    rise = jnp.diff(y) / run
    return y[0] + sum(rise[k] * jnp.clip(u - x[k], 0.0, run[k]) for k in range(len(points_of) - 1))

  found = [edge(points_of) for points_of in EDGES]
  for k in range(1, len(found)):  # landmarks of closed lips may cross
    found[k] = jnp.maximum(found[k], found[k - 1])
  return found


def _from_mouth(landmarks, place):
  corner, across, down, width = _axes(landmarks)
  away = (place - _like(corner, place)) / width
  return away @ across, away @ down, width


def _fields(landmarks, place):
  """Column and row in the skin, and how far below the upper and above the lower lip: [h, w, 4]."""
  u, v, width = _from_mouth(landmarks, place)
  shape, u, v = u.shape, u.ravel(), v.ravel()
  top, upper, lower, bottom = _edges(landmarks, u)
  part = lambda start, end: jnp.clip((v - start) / jnp.maximum(end - start, 1e-4), 0.0, 1.0)
  y = ROWS[1] + jnp.minimum((v - top) / MARGIN, 0.0) * ROWS[1]
  y += part(top, upper) * (ROWS[2] - ROWS[1]) + part(lower, bottom) * (ROWS[3] - ROWS[2])
  y += jnp.maximum((v - bottom) / MARGIN, 0.0) * (ROWS[4] - ROWS[3])
  x = (u - ACROSS[0]) / (ACROSS[1] - ACROSS[0])
  return jnp.stack([x, y, (v - upper) * width, (lower - v) * width], -1).reshape(*shape, 4)


def _head(landmarks):
  height = jnp.linalg.norm(landmarks[points.CHIN_TIP] - landmarks[points.FOREHEAD])
  return surface.fit(jnp.asarray(surface.MEAN), landmarks, height), height


def _cover(below, above, height):
  edge = jnp.clip(jnp.minimum(below, above) / SOFT + 0.4, 0.0, 1.0)
  return edge * mouth.ramp((below + above) / height, *PARTED)


def _inside(landmarks, place):
  pose, _ = _head(landmarks)
  seen = (place - _like(pose(BITE), place)) @ mouth.inverse(pose.turn[:, :2]).T
  start, size = (jnp.array(x) for x in ((WIDE[0], HIGH[0]), (WIDE[1] - WIDE[0], HIGH[1] - HIGH[0])))
  return (seen - _like(start, seen)) / _like(size, seen)


def places(landmarks, place):
  """Finds places [h, w, 2] of a frame in the textures: `Places`."""
  fields = _fields(landmarks, place)
  _, height = _head(landmarks)
  cover = _cover(fields[..., 2], fields[..., 3], height)[..., None]
  return Places(fields[..., :2], _inside(landmarks, place), cover)


def key(landmarks):
  """Describes lips, and which way the nose points: [82]; distances tell how alike two are."""
  corner, across, down, _ = _axes(landmarks)
  axes = jnp.stack([across, down], 1)
  height = jnp.linalg.norm(landmarks[points.CHIN_TIP] - landmarks[points.FOREHEAD])
  lips = landmarks[points.LIPS]
  lips = (lips - lips.mean(0)[None]) @ axes / (height * SHAPE)
  nose = (landmarks[points.NOSE_TIP] - landmarks[points.RIGID].mean(0)) @ axes / height
  return jnp.concatenate([lips.ravel(), POSE * nose])


# ---------------------------------------------------------------------------------- textures


def _centres(count):
  return (jnp.arange(count, dtype=jnp.float32) + 0.5) / count


def skin_of(picture, landmarks):
  """Cuts lips and skin out of a picture [R, R, 3]: [96, 160, 3]."""
  rows, columns = SKIN
  corner, across, down, width = _axes(landmarks)
  u = ACROSS[0] + (ACROSS[1] - ACROSS[0]) * _centres(columns)
  y = _centres(rows)[:, None]
  top, upper, lower, bottom = (edge[None] for edge in _edges(landmarks, u))
  share = lambda k: jnp.clip((y - ROWS[k]) / (ROWS[k + 1] - ROWS[k]), 0.0, 1.0)
  above = top - MARGIN * (1.0 - share(0)) + (upper - top) * share(1)
  below = lower + (bottom - lower) * share(2) + MARGIN * share(3)
  v = jnp.where(y < ROWS[2], above, below)
  place = u[None, :, None] * _like(across, v[..., None]) + v[..., None] * _like(down, v[..., None])
  place = _like(corner, place) + width * place
  return composite.sample(picture[None], place[None])[0]


def inside_of(picture, landmarks):
  """Cuts the inside of a mouth out of a picture.

  What the lips hide is guessed by what is next to it, and dark farther below.

  Returns:
    [64, 96, 3]; where it is seen [64, 96, 1], 0 to 1; and whether there is any, 0 or 1.
  """
  rows, columns = INSIDE
  pose, _ = _head(landmarks)
  x = WIDE[0] + (WIDE[1] - WIDE[0]) * _centres(columns)
  y = HIGH[0] + (HIGH[1] - HIGH[0]) * _centres(rows)
  place = jnp.stack(jnp.meshgrid(x, y), -1) @ pose.turn[:, :2].T
  place += _like(pose(BITE), place)
  colours = composite.sample(picture[None], place[None])[0]
  fields = _fields(landmarks, place)
  cover = jnp.clip(jnp.minimum(fields[..., 2:3], fields[..., 3:]) / SOFT, 0.0, 1.0)
  square = lambda x: jax.image.resize(x, (rows, rows, x.shape[-1]), 'linear')[None]
  guess = composite.fill(square(colours), square(cover))[0]
  guess = jax.image.resize(guess, colours.shape, 'linear')
  coarse = jax.image.resize(cover, (rows // 8, columns // 8, 1), 'linear')
  near = jnp.clip(2.0 * jax.image.resize(coarse, cover.shape, 'linear'), 0.0, 1.0)
  mean = (colours * cover).sum((0, 1), keepdims=True) / (cover.sum() + 1e-6)
  deep = (1.0 - near) * jax.lax.cummax(cover)  # below what is seen: above it are gums
  guess = guess * (1.0 - deep) + (DARK * (mean + 1.0) - 1.0) * deep
  seen = jnp.where(cover.mean() > SHOWS, 1.0, 0.0)
  return colours * cover + guess * (1.0 - cover), cover, seen


def _fades():
  """Around the lips, and over all of the texture: two of [96, 160, 1], 1 to 0."""
  x, y = np.meshgrid((np.arange(SKIN[1]) + 0.5) / SKIN[1], (np.arange(SKIN[0]) + 0.5) / SKIN[0])
  smooth = lambda s: (s * s * (3 - 2 * s)).astype(np.float32)[..., None]
  u = ACROSS[0] + x * (ACROSS[1] - ACROSS[0])
  away = np.maximum(ROWS[1] - y, y - ROWS[3]) / 0.15, np.maximum(-u, u - 1.0) / 0.12
  lips = np.clip(1.0 - away[0], 0.0, 1.0) * np.clip(1.0 - away[1], 0.0, 1.0)
  edge = lambda z: np.clip(z / 0.25, 0.0, 1.0)
  return smooth(lips), smooth(edge(x) * edge(1 - x) * edge(y) * edge(1 - y))


LIPS, AROUND = _fades()
BARE = AROUND * (1.0 - LIPS)  # skin by which light is compared


def fresh(pictures, landmarks):
  """Keeps K shots: pictures [K, R, R, 3] in [-1, 1], landmarks [K, 468, 2].

  Returns:
    {'skin', 'keys' [K, 82]}, where a mouth is open {'inside', 'seen' (where), 'shows' [K]
    (whether)}, and how they are used:
    {'cover', 'beyond', 'change'} [10, 16], logits, and 'alike', a log. One shot has nobody to be
    held against: it covers no skin.
  """
  inside, seen, shows = jax.vmap(inside_of)(pictures, landmarks)
  parted = {'inside': inside, 'seen': seen, 'shows': shows} if shows.any() else {}
  known = -3.0 if len(pictures) > 1 else -9.0
  level = lambda value: jnp.full(MAPS, value, jnp.float32)
  return {
    'skin': jax.vmap(skin_of)(pictures, landmarks),
    **parted,
    'keys': jax.vmap(key)(landmarks),
    'cover': level(-known if len(pictures) > 1 else known),
    'beyond': level(known - 1.0),
    'change': level(known),
    'alike': jnp.log(jnp.float32(ALIKE)),
  }


# --------------------------------------------------------------------------------- at work


def shares(own, wanted, without=None):
  """Shares of the shots in lips like `wanted` [82], and in their inside: [K] each, of sum 1.

  Args:
    without: [K], 1 for shots that are left out.
  """
  far = jnp.square(own['keys'] - wanted[None]).sum(-1)
  logits = -far / (2.0 * jnp.exp(2.0 * own['alike']))
  if without is not None:
    logits -= 1e9 * without
  if 'shows' not in own:
    return jax.nn.softmax(logits), None
  # A shot that shows no inside is asked for it only where none does.
  return jax.nn.softmax(logits), jax.nn.softmax(logits - 1e6 * (1.0 - own['shows']))


def portrait(own, pixels, landmarks):
  """Reads what a portrait [R, R, 3] in [-1, 1] adds: `Own`, without the leading axis."""
  return of_skin(own, skin_of(pixels, landmarks), key(landmarks))


def of_skin(own, skin, wanted, without=None):
  """Makes the `Own` of a skin [96, 160, 3] held against that of lips like `wanted` [82]."""
  share, _ = shares(own, wanted, without)
  full = lambda logits: jax.nn.sigmoid(jax.image.resize(logits, SKIN, 'linear'))[..., None]
  cover = LIPS * full(own['cover']) + (1.0 - LIPS) * AROUND * full(own['beyond'])
  change = AROUND * full(own['change']) * (1.0 - cover)
  return Own(skin, gain(skin, jnp.tensordot(share, own['skin'], 1)), cover, change)


def gain(skin, mixed):
  """Compares the light of two skins [96, 160, 3]: [3]."""
  light = lambda x: (BARE * (x + 1.0)).sum((0, 1)) / BARE.sum() + 0.04
  return jax.lax.stop_gradient(jnp.clip(light(skin) / light(mixed), *GAIN))


def brought(colours, factor):
  """Brings colours [..., 3] in [-1, 1] into another light [3]."""
  return (colours + 1.0) * jnp.expand_dims(factor, range(colours.ndim - 1)) - 1.0


def layers(own, portrait, wanted, without=None):
  """Mixes the textures of a frame: skin [96, 160, 4], to be laid over it, and inside [64, 96, 3].

  Over the picture p it becomes p (1 - last) + first three.
  """
  share, inner = shares(own, wanted, without)
  mixed = brought(jnp.tensordot(share, own['skin'], 1), portrait.gain)
  over = portrait.cover * mixed + portrait.change * (mixed - portrait.skin)
  if inner is not None:
    seen = own.get('seen', 1.0)  # a mouth that was learned before this was kept
    weight = inner[:, None, None, None] * (seen + FAINT)
    mixed = (weight * own['inside']).sum(0) / weight.sum(0)
    inner = brought(mixed, portrait.gain)
  return jnp.concatenate([over, portrait.cover], -1), inner


def laid(picture, skin, inside, where, kept=1.0):
  """Lays textures over a picture [h, w, 3] at `Places`, the skin by so much; no inside if None."""
  picture = _over(picture, skin, where.skin, kept)
  return picture if inside is None else _within(picture, inside, where)


def _over(picture, skin, place, kept):
  over = kept * composite.sample(skin[None], place[None])[0]
  return picture * (1.0 - over[..., 3:]) + over[..., :3]


def _within(picture, inside, where):
  return picture + where.cover * (composite.sample(inside[None], where.inside[None])[0] - picture)


def paste(own, portrait, picture, landmarks, awake):
  """Draws own mouths into pictures.

  Args:
    own: see `fresh`; without 'inside' the mouths stay as they are inside.
    portrait: `Own`.
    picture: [B, R, R, 3], in [-1, 1].
    landmarks: of the frames, [B, 468, 2].
    awake: [B, 1, 1, 1], 0 where nothing moved.
  """
  picture = jax.lax.optimization_barrier(picture)
  return jax.vmap(lambda *each: _paste(own, *each))(portrait, picture, landmarks, awake)


def _paste(own, portrait, picture, landmarks, awake):
  skin, inside = layers(own, portrait, key(landmarks))
  skin, inside = jax.lax.optimization_barrier((skin, inside))
  side = picture.shape[0]
  shape = tuple(2 * round(share * side / 2) for share in ROOM)
  middle = landmarks[points.LIPS].mean(0) * side
  first = lambda at, length: jnp.clip(at - length // 2, 0, side - length)
  x, y = (first(at, length) for at, length in zip(middle.astype(jnp.int32), shape[::-1]))
  window = jax.lax.dynamic_slice(picture, (y, x, 0), (*shape, 3))

  # Every second pixel is enough.
  rows, columns = (2.0 * jnp.arange(n // 2, dtype=jnp.float32) + 1.0 for n in shape)
  corner = jnp.stack([x, y]).astype(jnp.float32)
  place = jnp.stack(jnp.broadcast_arrays(columns[None], rows[:, None]), -1) + corner[None, None]
  fields = jnp.concatenate([_fields(landmarks, place / side), _inside(landmarks, place / side)], -1)
  fields = composite.doubled(jax.lax.optimization_barrier(fields))
  _, height = _head(landmarks)
  cover = awake * _cover(fields[..., 2:3], fields[..., 3:4], height)
  where = Places(fields[..., :2], fields[..., 4:], cover)
  kept = awake * _edge(shape[0])[:, None, None] * _edge(shape[1])[None, :, None]
  # Computed once: else anew for each pixel of the picture's end.
  window = jax.lax.optimization_barrier(_over(window, skin, where.skin, kept))
  if inside is not None:
    part = tuple(slice(n * i // 16, n * j // 16) for n, (i, j) in zip(shape, MIDDLE))
    of = Places(*(each[part] for each in where))
    within = jax.lax.optimization_barrier(_within(window[part], inside, of))
    window = jax.lax.dynamic_update_slice(window, within, (part[0].start, part[1].start, 0))
  return jax.lax.dynamic_update_slice(picture, window, (y, x, 0))


def _edge(count):
  """Fades to 0 at both ends of a row of pixels."""
  near = np.minimum(np.arange(count), np.arange(count)[::-1])
  return np.clip(near / (0.05 * count), 0.0, 1.0).astype(np.float32)
