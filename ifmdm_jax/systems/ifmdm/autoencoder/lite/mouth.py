"""What is between the lips: teeth of the skull, teeth and tongue of the jaw, and the dark.

A portrait with closed lips does not show it, so it is a prior: an average row of teeth in the light
of the portrait. It is drawn in a window around the lips, at the resolution of the picture. Teeth
that a portrait shows stay its own.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face import tflite
from ifmdm_jax.face.points import (
  CHIN,
  CHIN_TIP,
  FOREHEAD,
  LEFT_CHEEK,
  LIPS_INNER,
  LOWER_LIP_INNER,
  LOWER_MIDDLE,
  RIGHT_CHEEK,
  UPPER_LIP_INNER,
  UPPER_MIDDLE,
)
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite, eyes, geometry, surface

with np.load(tflite.WEIGHTS / 'teeth.npz') as _file:
  TEETH = _file['teeth']  # uint8 [72, 176, 4], the upper row, the middle in the middle
SCALE = 520.0  # of its pixels are a height of the face
EDGE = 45.5  # its row where the front teeth end
ROOM = 1 / 4, 11 / 32  # of the side: height and width of the window

CHEEKS = np.array([205, 425, 50, 280])  # points of bare skin
SKIN = np.array([199.3, 137.9, 110.9])  # of the people whose teeth these are, 0 to 255
WHITE = np.array([200.0, 180.0, 165.0])  # taken for that of their eyes, by eye
CAVITY = np.array([[74.0, 29.0, 27.0], [155.0, 78.0, 75.0]])  # the dark, the tongue
BRIGHTEST = 1.15  # light, of that of the prior
CAST = 0.5  # of the skin's colour that lies on the teeth, too
WARM = np.array([0.0, 0.25, 0.3])  # shade is red in here: by such shares other colours fade more
BITE = 0.03  # heights of the face from the upper lip's edge to that of the teeth, at rest
CLOSED, PARTED = 0.006, 0.018  # heights of the face between the lips


class Interior(NamedTuple):
  """The inside of the mouth of a portrait; made once."""

  surface: jax.Array  # [B, 468, 3], its landmarks with depth
  teeth: jax.Array  # [B, 72, 176, 4], colours in [-1, 1], coverage
  cavity: jax.Array  # [B, 2, 3], colours of the dark and of the tongue
  warm: jax.Array  # [B, 3], by such shares colours fade more in its shade
  bite: jax.Array  # [B, 3], where the edge of the upper front teeth is
  axes: jax.Array  # [B, 2, 3], a height of the face to the right and down
  closed: jax.Array  # [B], 1 where its lips are closed, 0 where they show what is inside


def interior(pixels, points):
  """Makes the inside of a mouth: pictures [B, R, R, 3] in [-1, 1], points [B, 468, 3]."""
  return jax.vmap(_interior)(pixels, points)


def _interior(pixels, points):
  flat = points[:, :2]
  light, colourful = _light(pixels, flat)
  teeth = _tinted(TEETH[..., :3], light, colourful)
  teeth = jnp.concatenate([teeth, TEETH[..., 3:] / 255.0], -1)
  cavity = _tinted(CAVITY, light, jnp.sqrt(colourful))  # red in a pale face, grey in a grey one
  warm = jnp.minimum(colourful, 1.0) * WARM
  right = points[RIGHT_CHEEK] - points[LEFT_CHEEK]
  down = points[CHIN_TIP] - points[FOREHEAD]
  height = jnp.linalg.norm(down)
  down = down / height
  right = right - (right @ down) * down
  axes = height * jnp.stack([right / jnp.linalg.norm(right), down])
  parted = jnp.linalg.norm(flat[UPPER_MIDDLE] - flat[LOWER_MIDDLE]) / height
  closed = 1.0 - jnp.clip((parted - CLOSED) / (PARTED - CLOSED), 0.0, 1.0)
  bite = points[UPPER_MIDDLE] + BITE * axes[1]
  return Interior(points, teeth, cavity, warm, bite, axes, closed)


def _light(pixels, points):
  """Reads the light of a picture off a face: factors of colours [3], and how colourful it is.

  The whites of the eyes tell the light whatever the skin; where they are hidden, painted dark or
  blown out, the skin bounds what they say.
  """
  find = lambda places: 127.5 * (composite.sample(pixels[None], places[None])[0] + 1.0)
  skin = find(points[CHEEKS][:, None]).mean((0, 1))
  rows = jnp.linspace(0.15, 0.85, 5)[:, None, None]
  places = jnp.concatenate(
    [
      points[upper][None] + rows * (points[lower] - points[upper])[None]
      for upper, lower, _, _ in eyes.EYES
    ]
  )
  found = find(places).reshape(-1, 3)  # [70, 3]
  bright = found[jnp.argsort(found.sum(-1))[-18:-4]].mean(0)  # without the glints
  by_skin = (skin.mean() / SKIN.mean()) ** 0.8
  light = jnp.clip(bright.mean() / WHITE.mean(), by_skin, 1.6 * by_skin)
  saturation = lambda c: (c.max() - c.min()) / (c.max() + 1.0)
  colourful = jnp.clip(saturation(skin) / saturation(SKIN), 0.0, 1.1)
  cast = skin / jnp.maximum(_paler(SKIN, colourful), 1.0)  # of varnish, of a lamp
  return jnp.minimum(light, BRIGHTEST) * (cast / cast.mean()) ** CAST, colourful


def _paler(colours, colourful):
  mean = colours.mean(-1, keepdims=True)
  return mean + colourful * (colours - mean)


def _tinted(colours, light, colourful):
  """Brings colours of the prior [..., 3], 0 to 255, into a light: [-1, 1]."""
  scaled = jnp.expand_dims(light, range(colours.ndim - 1)) * _paler(colours, colourful)
  return jnp.clip(scaled, 0.0, 255.0) / 127.5 - 1.0


def paste(picture, inside, landmarks, awake):
  """Draws the insides of mouths into pictures.

  Args:
    picture: [B, R, R, 3], in [-1, 1].
    inside: `Interior`.
    landmarks: of the frames, [B, 468, 2].
    awake: [B, 1, 1, 1], 0 where nothing moved.
  """
  picture = jax.lax.optimization_barrier(picture)
  return jax.vmap(_paste)(picture, inside, landmarks, awake)


def _paste(picture, inside, landmarks, awake):
  side = picture.shape[0]
  shape = tuple(round(share * side) for share in ROOM)
  middle = landmarks[LIPS_INNER].mean(0) * side
  first = lambda at, length: jnp.clip(at - length // 2, 0, side - length)
  x, y = (first(at, length) for at, length in zip(middle.astype(jnp.int32), shape[::-1]))
  rows, columns = (jnp.arange(n, dtype=jnp.float32) + 0.5 for n in shape)
  corner = jnp.stack([x, y]).astype(jnp.float32)
  place = jnp.stack(jnp.broadcast_arrays(columns[None], rows[:, None]), -1)
  place = (place + corner[None, None]) / side
  window = jax.lax.dynamic_slice(picture, (y, x, 0), (*shape, 3))

  def draw(part):
    place, before = part
    colours, share = between_lips(inside, landmarks, place)
    return before + awake * share * (colours - before)

  # A loop is computed once; else XLA computes the window anew for each pixel of the picture's end.
  halves = lambda x: x.reshape(2, shape[0] // 2, *x.shape[1:])
  window = jax.lax.map(draw, (halves(place), halves(window))).reshape(*shape, 3)
  return jax.lax.dynamic_update_slice(picture, window, (y, x, 0))


SOFT = 2.5 / 512  # of the side: width of the lips' inner edges
ARCH = 0.13  # heights of the face from the middle: there the row of teeth has turned to the side
PARTING = 0.01, 0.025  # of the face: below, stretched lips look better than teeth
TONGUE = 0.085, 0.025, 0.05  # half its width, its middle below the jaw's bite, half its height
LOWER = 0.016  # heights of the face that lower teeth, at rest, end below the upper ones
DARK = 0.012, 0.03  # of the face beneath the upper teeth: before the lower ones are seen
ramp = lambda x, start, end: jnp.clip((x - start) / (end - start), 0.0, 1.0)


def between_lips(inside, landmarks, place):
  """Finds colours [h, w, 3] and coverage [h, w, 1] of places [h, w, 2] in a mouth.

  Args:
    inside: `Interior` of one portrait, without the leading axis.
    landmarks: of the frame, [468, 2].
    place: fractions of the side.
  """
  pose = surface.fit(inside.surface, landmarks)
  height = jnp.linalg.norm(landmarks[CHIN_TIP] - landmarks[FOREHEAD])
  to_head = inverse(pose.turn @ inside.axes.T)  # to heights of the face, right and down
  skull = (place - pose(inside.bite)[None, None]) @ to_head.T
  dropped = (landmarks[CHIN] - pose(inside.surface[CHIN])).mean(0)
  jaw = skull - (to_head @ dropped)[None, None]

  v, v_of, along = geometry.mouth_frame(landmarks[None], place.reshape(1, -1, 2))
  lips = landmarks[None]
  upper, lower = (
    along(lip, v_of(lips[:, lip])).reshape(place.shape[:2])
    for lip in (UPPER_LIP_INNER, LOWER_LIP_INNER)
  )
  hidden = inside.surface[None, :, :2]
  room = jnp.linalg.norm(hidden[:, LOWER_LIP_INNER] - hidden[:, UPPER_LIP_INNER], axis=-1)
  room = along(UPPER_LIP_INNER, room).reshape(place.shape[:2])
  v = v.reshape(place.shape[:2])
  covered = jnp.clip(jnp.minimum(v - upper, lower - v) / SOFT + 0.4, 0.0, 1.0)
  below, above = jnp.maximum(v - upper, 0.0) / height, jnp.maximum(lower - v, 0.0) / height
  gap = below + above
  own = jnp.clip((v - upper - room) / SOFT, 0.0, 1.0)
  share = covered * ramp(gap, *PARTING) * jnp.maximum(inside.closed, own)
  beneath = below - jnp.maximum(room / height, BITE)
  return _colours(inside, skull, jaw, below, above, beneath), share[..., None]


def _colours(inside, skull, jaw, below, above, beneath):
  """Colours [h, w, 3] by place from the bite and from the jaw's, and how far [h, w] that is below
  the upper lip, above the lower one and beneath the upper teeth."""
  gap = below + above
  shadow = jnp.clip((gap - 0.004) / 0.025, 0.2, 1.0)  # little light falls into a small gap
  turned = 1.0 - 0.55 * jnp.square(jnp.clip(jnp.abs(skull[..., 0]) / ARCH, 0.0, 1.0))
  mix = lambda a, b, share: a + share * (b - a)

  colours = inside.cavity[None, :1]
  light = 0.55 + 0.45 * ramp(below, 0.0, 0.04)
  u, v = jaw[..., 0], jaw[..., 1]
  tongue = 1.0 - jnp.square(u / TONGUE[0]) - jnp.square((v - TONGUE[1]) / TONGUE[2])
  tongue = jnp.sqrt(jnp.clip(tongue, 0.0, 1.0)) * (0.55 + 0.45 * ramp(above, 0.0, 0.03))
  colours = mix(colours, inside.cavity[None, 1:], tongue[..., None])
  light = mix(light, 1.0, tongue)
  tooth, share = _teeth(inside.teeth, 1.15 * u, -1.3 * (v - LOWER))
  shade = 0.48 * shadow * turned * (0.35 + 0.65 * ramp(below, 0.0, 0.04))
  shade = shade * (0.5 + 0.5 * ramp(above, 0.0, 0.015))
  share = share * ramp(v, LOWER - 0.016, LOWER - 0.006) * ramp(beneath, *DARK)
  colours, light = mix(colours, tooth, share[..., None]), mix(light, shade, share)
  tooth, share = _teeth(inside.teeth, skull[..., 0], skull[..., 1])
  shade = 0.9 * shadow * turned * (0.62 + 0.38 * ramp(below, 0.0, 0.015))
  colours, light = mix(colours, tooth, share[..., None]), mix(light, shade, share)
  light = jax.lax.optimization_barrier(light)[..., None]  # else computed anew for each colour
  return light * (1.0 - inside.warm[None, None] * (1.0 - light)) * (colours + 1.0) - 1.0


def _teeth(teeth, u, v):
  """Looks up a row of teeth at so far right and down of its middle edge: colours, coverage."""
  high, long = teeth.shape[:2]
  grid = jnp.stack([0.5 + u * SCALE / long, (EDGE + v * SCALE) / high], -1)
  found = composite.sample(teeth[None], grid[None])[0]
  return found[..., :3], jnp.where(jnp.abs(u) < long / 2 / SCALE - 0.02, found[..., 3], 0.0)


def inverse(matrix):
  """Inverts a matrix [2, 2]."""
  (a, b), (c, d) = matrix
  return jnp.stack([jnp.stack([d, -b]), jnp.stack([-c, a])]) / (a * d - b * c)
