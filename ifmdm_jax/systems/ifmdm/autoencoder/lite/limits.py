"""How far a face may go from its portrait: mouths open as in speech, heads turn as far as is known.

Limits are soft: up to a start a movement is as it was, to the bit; beyond it comes ever slower to
an end. Points are landmarks of one face, [468, 2], fractions of the side.
"""

import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face.points import (
  CHIN_TIP,
  FOREHEAD,
  LEFT_MOUTH_CORNER,
  LOWER_MIDDLE,
  RIGHT_MOUTH_CORNER,
  UPPER_MIDDLE,
)
from ifmdm_jax.systems.ifmdm.autoencoder.lite import surface

OPENING = 0.075, 0.115  # start and end, heights of the face; 99 % of speech is below 0.108
OWN = 0.02  # a portrait that is wider open may open so much further
YAW = 22.0, 32.0  # degrees from a frontal portrait
PITCH = 16.0, 24.0
HIDDEN = 0.6  # so much less per degree that a portrait shows another side
LEAST = 5.0  # degrees, end towards the hidden side of a profile
PIVOT = 0.4  # heights of the face behind it


def bounded(value, start, end):
  """Leaves values up to `start` as they are, and brings those beyond it below `end`."""
  beyond = jnp.maximum(jnp.abs(value) - start, 0.0)
  width = jnp.maximum(end - start, 1e-6)
  soft = jnp.sign(value) * (start + width * jnp.tanh(beyond / width))
  return jnp.where(beyond > 0, soft, value)


def angles(pose):
  """Finds which way a `surface.Pose` of the mean face looks: yaw to the right, pitch, radians."""
  x, y, z = pose.view / pose.scale
  return jnp.arctan2(x, z), jnp.arctan2(y, jnp.hypot(x, z))


def within(portrait, points):
  """Keeps landmarks of a frame, [468, 2], to what the portrait, [468, 3], can show."""
  return turn(portrait, opening(portrait[:, :2], points))


def opening(portrait, points):
  """Parts lips no further than speech does, or the portrait."""
  height, right, down = surface.upright(points)
  own_height, _, own_down = surface.upright(portrait)
  apart = lambda points, down: (points[LOWER_MIDDLE] - points[UPPER_MIDDLE]) @ down
  own, gap = apart(portrait, own_down) / own_height, apart(points, down) / height
  start, end = jnp.maximum(OPENING[0], own), jnp.maximum(OPENING[1], own + OWN)
  excess = gap - bounded(gap, start, end)
  way = points - points[UPPER_MIDDLE][None]
  half = jnp.linalg.norm(points[LEFT_MOUTH_CORNER] - points[RIGHT_MOUTH_CORNER]) / 2
  share = jnp.clip(((way @ down) / jnp.maximum(gap * height, 1e-4) - 0.3) / 0.7, 0.0, 1.0)
  share *= jnp.clip(1.25 - jnp.abs(way @ right) / (2.2 * half), 0.0, 1.0)
  share = jnp.where(gap > start, share, 0.0)
  return points - (share * excess * height)[:, None] * down[None]


def room(yaw):
  """Says how far a portrait of so much yaw may turn.

  Returns:
    ((start, end), (start, end)): towards less yaw and towards more, as angles from the portrait;
    all in radians.
  """
  degrees = jnp.rad2deg(yaw)
  shrink = lambda shown: 1.0 - HIDDEN * jnp.maximum(shown, 0.0) / YAW[1]
  ends = [jnp.maximum(YAW[1] * shrink(side * degrees), LEAST) for side in (1.0, -1.0)]
  return tuple((jnp.deg2rad(end * YAW[0] / YAW[1]), jnp.deg2rad(end)) for end in ends)


def turn(portrait, points):
  """Turns a head back as far as it went beyond what the portrait shows."""
  height = jnp.linalg.norm(points[CHIN_TIP] - points[FOREHEAD])
  mean = jnp.asarray(surface.MEAN)
  yaw_0, pitch_0 = angles(surface.fit(mean, portrait[:, :2], height))
  pose = surface.fit(mean, points, height)
  yaw, pitch = angles(pose)
  less, more = room(yaw_0)
  by = yaw - yaw_0
  by = jnp.where(by < 0, bounded(by, *less), bounded(by, *more))
  yaw_back = yaw_0 + by - yaw
  pitch_back = pitch_0 + bounded(pitch - pitch_0, *np.radians(PITCH)) - pitch
  depth = pose.depth(mean)
  pivot = jnp.concatenate([pose.end, jnp.array([PIVOT]) * height])
  whole = jnp.concatenate([points, depth[:, None]], 1) - pivot[None]
  x, y, z = whole.T
  (c, s), (d, t) = ((jnp.cos(a), jnp.sin(a)) for a in (yaw_back, pitch_back))
  x, z = c * x - s * z, c * z + s * x
  y = d * y - t * z
  turned = jnp.stack([x, y], -1) + pivot[None, :2]
  back = (yaw_back != 0) | (pitch_back != 0)
  return jnp.where(back, turned, points)
