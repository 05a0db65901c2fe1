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
# Of the left eye, from the outer to the inner corner without them: the edges of the lids; then the
# skin above, which follows the upper one by a share.
UPPER = np.array([246, 161, 160, 159, 158, 157, 173])
LOWER = np.array([7, 163, 144, 145, 153, 154, 155])
SKIN = np.array([247, 30, 29, 27, 28, 56, 190])
SHARE = np.array([0.35, 0.4, 0.45, 0.45, 0.45, 0.4, 0.3], np.float32)
EYES = (
  (UPPER, LOWER, SKIN, LEFT_LIDS),
  (MIRROR[UPPER], MIRROR[LOWER], MIRROR[SKIN], RIGHT_LIDS),
)
# The mesh ends inside the eye: so many of its heights beyond are the lids' own edges.
ABOVE, BELOW = 0.08, 0.4
ROUND = np.array([0.5, 0.8, 1.0, 1.0, 1.0, 0.8, 0.5], np.float32)  # less so near the corners
LEAST = 0.22  # of its width: height of an eye that the portrait shows narrowed
FURTHEST = np.array([0.2, 0.1])  # gaze, widths of the eye
HALF = 0.5  # of an eye's height, at most that far up and down
SHARP = 8  # how suddenly a sideways shift ends at the lids


def close(landmarks, places, gestures):
  """Closes lids.

  Upper lids go down over the eye to the lower ones, with the skin between lid and brow stretching
  after them. What a closed lid ends in is looked up beyond the mesh's edge, which lies in the eye.

  Args:
    landmarks: of the frame, [B, 468, 2].
    places: where the portrait shows them, [B, 468, 2].
    gestures: [B, 4].

  Returns:
    Landmarks and places of the frame.
  """
  for which, (upper, lower, skin, lids) in enumerate(EYES):
    blink = jnp.clip(gestures[:, which, None, None], 0.0, 1.0)
    way = landmarks[:, lower] - landmarks[:, upper]  # [B, 7, 2]
    landmarks = landmarks.at[:, skin].add(blink * SHARE[None, :, None] * way)
    landmarks = landmarks.at[:, upper].add(blink * way)
    height = _height(places, upper, lower, lids)
    places = places.at[:, upper].add(-ABOVE * blink * height)
    places = places.at[:, lower].add(BELOW * blink * height)
  return landmarks, places


def _height(places, upper, lower, lids):
  """From upper to lower lid in the portrait, not less than that of an open eye: [B, 7, 2]."""
  way = places[:, lower[3:4]] - places[:, upper[3:4]]
  width = jnp.linalg.norm(places[:, lids.outer] - places[:, lids.inner], axis=-1)[:, None, None]
  length = jnp.linalg.norm(way, axis=-1, keepdims=True)
  return way * ROUND[None, :, None] * jnp.maximum(1.0, LEAST * width / jnp.maximum(length, 1e-4))


def look(source, grid, gestures):
  """Shifts what a grid [B, h, h, 2] finds in the eyes of the source [B, 468, 2] by the gaze.

  The shift ends at lids and corners, so that no skin goes with the eye.
  """
  for upper, lower, _, lids in EYES:
    outer, inner = source[:, lids.outer], source[:, lids.inner]
    across = jnp.where(inner[:, :1] > outer[:, :1], inner - outer, outer - inner)
    width = jnp.linalg.norm(across, axis=-1)[:, None, None]
    right = across[:, None, None] / width[..., None]
    down = jnp.stack([-right[..., 1], right[..., 0]], -1)
    middle = ((source[:, upper].mean(1) + source[:, lower].mean(1)) / 2)[:, None, None]
    half = jnp.linalg.norm(source[:, upper[3]] - source[:, lower[3]], axis=-1)[:, None, None] / 2
    place = grid - middle
    u = 2.0 * (place * right).sum(-1) / width
    inside = 1.0 - jnp.minimum(jnp.square(u), 1.0)
    v = (place * down).sum(-1) / jnp.maximum(half * inside, 1e-4)
    v = jnp.minimum(jnp.abs(v), 1.0)
    x, y = (
      width * jnp.clip(gestures[:, 2 + axis, None, None], -FURTHEST[axis], FURTHEST[axis])
      for axis in (0, 1)
    )
    y = jnp.clip(y, -HALF * half, HALF * half)
    x, y = x * inside * (1.0 - v**SHARP), y * inside * (1.0 - jnp.square(v))
    grid = grid - x[..., None] * right - y[..., None] * down
  return grid
