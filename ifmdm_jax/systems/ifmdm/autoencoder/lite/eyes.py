"""Lids and irises of a frame: what a code of landmarks does not say, or says too faintly.

Gestures are [B, 4], `NAMES`: how far the lids of the eyes of `points.LIDS` are closed, 0
as the landmarks have them, 1 shut; and how far the irises went to the picture's right and down, in
widths of the eye, 0 as in the portrait.
"""

import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face.points import LEFT_LIDS, MIRROR, RIGHT_LIDS

NAMES = 'blink_left', 'blink_right', 'gaze_x', 'gaze_y'
WAKE = 20.0  # a gesture of 1 counts as so much of a code
# Of the left eye, from the outer to the inner corner without them, from the brow down to the cheek:
# skin under the brow, skin above the lid's edge, that edge, the lower lid's edge, skin below it.
UNDER_BROW = np.array([113, 225, 224, 223, 222, 221, 189])
SKIN = np.array([247, 30, 29, 27, 28, 56, 190])
UPPER = np.array([246, 161, 160, 159, 158, 157, 173])
LOWER = np.array([7, 163, 144, 145, 153, 154, 155])
BELOW_LID = np.array([25, 110, 24, 23, 22, 26, 112])
EYES = (
  (UPPER, LOWER, SKIN, LEFT_LIDS),
  (MIRROR[UPPER], MIRROR[LOWER], MIRROR[SKIN], RIGHT_LIDS),
)
_RINGS = UNDER_BROW, SKIN, UPPER, LOWER, BELOW_LID
_RINGS = _RINGS, tuple(MIRROR[ring] for ring in _RINGS)
# How far rings go down in a blink, shares of the way that the upper lid goes. Skin below the brow
# is what covers the eye; lashes, about the ring SKIN, end as a line at its edge.
GOES = 0.2, 0.65, 1.0
DEEPER = 0.2  # heights of the eye: a closed lid ends so far below the lower edge of the mesh
# The mesh ends inside the eye: so many of its heights further up or down rings look when it closes,
FURTHER = -0.05, -0.25, -0.4, 0.45, 0.25
# and so much of its width further out they lie, and look, at its corners.
WIDER = 0.1, 0.2
ACROSS = np.linspace(-0.75, 0.75, 7, dtype=np.float32)  # shares of that along a ring,
ENDS = np.array([-1.0, 1.0], np.float32)  # and at the corners
ROUND = np.array([0.5, 0.8, 1.0, 1.0, 1.0, 0.8, 0.5], np.float32)  # less so near the corners
LEAST = 0.22  # of its width: height of an eye that the portrait shows narrowed
FURTHEST = np.array([0.2, 0.1])  # gaze, widths of the eye
# Halves of an eye's width: radius of an iris, how far it is from the middle at most, and the white
# that stays beside it at least.
IRIS, OFF, WHITE = 0.42, 0.5, 0.2
STEEPEST = 1.3  # shifts: what is behind an iris is stretched over as much at least, and never folds
HALF = 0.5  # of an eye's height, at most that far up and down
BEYOND = 1.4  # of an eye's height: so far an eye moves sideways, for the mesh ends within it


def close(landmarks, places, gestures):
  """Closes lids.

  Upper lids go down over the eye to the lower ones, and the skin between lid and brow stretches
  after them. All that surrounds a closed eye is looked up further from it: the mesh ends within
  the eye, and eyes that are drawn are larger than it takes them for.

  Args:
    landmarks: of the frame, [B, 468, 2].
    places: where the portrait shows them, [B, 468, 2].
    gestures: [B, 4].

  Returns:
    Landmarks and places of the frame.
  """
  for which, (rings, (upper, lower, _, lids)) in enumerate(zip(_RINGS, EYES)):
    blink = jnp.clip(gestures[:, which, None, None], 0.0, 1.0)
    height, own_height = (_height(x, upper, lower, lids) for x in (landmarks, places))
    way = landmarks[:, lower] - landmarks[:, upper] + DEEPER * height  # [B, 7, 2]
    ends = [lids.outer, lids.inner]
    across, own_across = (blink * (x[:, ends[1:]] - x[:, ends[:1]]) for x in (landmarks, places))
    for ring, share in zip(rings, GOES):
      landmarks = landmarks.at[:, ring].add(share * blink * way)
    landmarks = landmarks.at[:, lower].add(DEEPER * blink * height)
    for ring, share in zip(rings, FURTHER):
      places = places.at[:, ring].add(share * blink * own_height)
    for ring, out in (*((ring, ACROSS) for ring in rings), (ends, ENDS)):
      landmarks = landmarks.at[:, ring].add(WIDER[0] * out[None, :, None] * across)
      places = places.at[:, ring].add(WIDER[1] * out[None, :, None] * own_across)
  return landmarks, places


def _height(places, upper, lower, lids):
  """From upper to lower lid, not less than that of an open eye: [B, 7, 2]."""
  way = places[:, lower[3:4]] - places[:, upper[3:4]]
  width = jnp.linalg.norm(places[:, lids.outer] - places[:, lids.inner], axis=-1)[:, None, None]
  length = jnp.linalg.norm(way, axis=-1, keepdims=True)
  return way * ROUND[None, :, None] * jnp.maximum(1.0, LEAST * width / jnp.maximum(length, 1e-4))


def look(source, irises, grid, gestures):
  """Shifts what a grid finds in the eyes of the source by the gaze.

  The shift ends at lids and corners, so that no skin goes with the eye.

  Args:
    source: landmarks of the portrait, [B, 468, 2].
    irises: their middles [B, 2, 2], left first; None: the middles of the eyes.
    grid: [B, h, h, 2].
    gestures: [B, 4].

  Returns:
    The grid of the frame.
  """
  for which, (upper, lower, _, lids) in enumerate(EYES):
    outer, inner = source[:, lids.outer], source[:, lids.inner]
    across = jnp.where(inner[:, :1] > outer[:, :1], inner - outer, outer - inner)
    width = jnp.linalg.norm(across, axis=-1)[:, None, None]
    right = across[:, None, None] / width[..., None]
    down = jnp.stack([-right[..., 1], right[..., 0]], -1)
    middle = ((source[:, upper].mean(1) + source[:, lower].mean(1)) / 2)[:, None, None]
    half = jnp.linalg.norm(source[:, upper[3]] - source[:, lower[3]], axis=-1)[:, None, None] / 2
    x, y = (
      width * jnp.clip(gestures[:, 2 + axis, None, None], -FURTHEST[axis], FURTHEST[axis])
      for axis in (0, 1)
    )
    between = ((outer + inner) / 2)[:, None, None]
    u, iris = 2.0 * ((grid - between) * right).sum(-1) / width, 0.0
    if irises is not None:
      off = irises[:, which, None, None] - between
      iris = jnp.clip(2.0 * (off * right).sum(-1) / width, -OFF, OFF)
    v = jnp.abs(((grid - middle) * down).sum(-1)) / jnp.maximum(half, 1e-4)
    x = x * _whole(u, jnp.maximum(1.0 - jnp.square(v / BEYOND), 0.0), iris, 2.0 * x / width)
    inside = jnp.maximum(1.0 - jnp.square(u), 1e-4)
    y = jnp.clip(y, -HALF * half, HALF * half)
    y = y * inside * (1.0 - jnp.square(jnp.minimum(v / inside, 1.0)))
    grid = grid - x[..., None] * right - y[..., None] * down
  return grid


def _whole(u, end, iris, shift):
  """Says which share of a sideways shift each place goes, all in halves of the eye's width.

  An iris goes whole; what is beside it less and less, and the lids stay.

  Args:
    u: place in the frame, from the middle of the eye.
    end: where the eye ends in its row, on both sides.
    iris: its middle in the portrait.
    shift: how far it goes.
  """
  left, right = end + iris + shift - IRIS, end - iris - shift - IRIS  # white beside it
  rise = (u + end) / jnp.maximum(left, jnp.maximum(WHITE, STEEPEST * shift))
  fall = (end - u) / jnp.maximum(right, jnp.maximum(WHITE, -STEEPEST * shift))
  return jnp.clip(jnp.minimum(rise, fall), 0.0, 1.0)
