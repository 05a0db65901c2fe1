"""A filmed face as a solid: how each frame turns it, and how far its lower part may be moved.

Heights of the face are the unit of the head's own axes: x to the right, y down, z away, seen from
the front (`autoencoder.lite.surface.MEAN`). Pixels are those of a shot's squares, the middle of the
first one is (0.5, 0.5).
"""

from typing import NamedTuple

import numpy as np

from ifmdm_jax.face.points import (
  CHIN_TIP,
  FOREHEAD,
  LEFT_MOUTH_CORNER,
  LOWER_LIP_INNER,
  LOWER_LIP_OUTER,
  OVAL,
  POINTS,
  RIGHT_MOUTH_CORNER,
  RIGID,
  UPPER_LIP_INNER,
  UPPER_LIP_OUTER,
)
from ifmdm_jax.systems.ifmdm.autoencoder.lite import surface

MEAN = surface.MEAN.astype(np.float64)
FRAMING = 0.5  # of the side: height of a face in the pictures that codes were fitted on
MIDDLE = (MEAN[:, :2].min(0) + MEAN[:, :2].max(0)) / 2, (0.5, 0.47)  # of a face, and where it was
UPPER_MIDDLE = len(UPPER_LIP_INNER) // 2  # of a lip's eleven points


class Poses(NamedTuple):
  """How T frames turn the mean face.

  Attributes:
    turn: [T, 2, 3], pixels for a height of the face along the head's axes.
    end: [T, 2], pixels, where the middle of what moves with the skull is.
  """

  turn: np.ndarray
  end: np.ndarray

  @property
  def view(self):
    """Which way is away from the viewer, as long as `scale`: [T, 3]."""
    return np.cross(self.turn[:, 0], self.turn[:, 1]) / self.scale[:, None]

  @property
  def scale(self):
    """Pixels of a height of the face: [T]."""
    return np.linalg.norm(self.turn, axis=-1).mean(-1)

  @property
  def angles(self):
    """Yaw to the right and pitch, degrees: [T, 2]."""
    x, y, z = (self.view / self.scale[:, None]).T
    return np.degrees(np.stack([np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))], -1))

  def place(self, points):
    """Places points [..., 3] of the head in every frame: [T, ..., 2]."""
    moved = np.tensordot(self.turn, np.asarray(points) - _CENTRE, (2, -1))  # [T, 2, ...]
    return np.moveaxis(moved, 1, -1) + self.end.reshape(-1, *[1] * (np.ndim(points) - 1), 2)


_CENTRE = MEAN[RIGID].mean(0)
_RIGID = MEAN[RIGID] - _CENTRE
_MOMENT = _RIGID.T @ _RIGID
_RIDGE = surface.RIDGE * np.trace(_MOMENT) / 3 * np.eye(3)


def poses(landmarks):
  """Fits the pose of each frame, as `surface.fit` does: [T, 468, 2], pixels -> `Poses`."""
  landmarks = np.asarray(landmarks, np.float64)
  end = landmarks[:, RIGID].mean(1)
  size = np.linalg.norm(landmarks[:, CHIN_TIP] - landmarks[:, FOREHEAD], axis=-1)
  moment = np.einsum('pi,tpj->tij', _RIGID, landmarks[:, RIGID] - end[:, None])
  moment = moment + size[:, None, None] * _RIDGE[:, :2]
  return Poses(np.linalg.solve(_MOMENT + _RIDGE, moment).swapaxes(1, 2), end)


def frontal(landmarks, poses):
  """Sees faces from the front: [T, 468, 2], pixels -> [T, 468, 2], heights of the face.

  Their depth is that of the mean face.
  """
  depth = np.einsum('pi,ti->tp', MEAN - _CENTRE, poses.view)
  solid = np.concatenate([landmarks - poses.end[:, None], depth[..., None]], -1)
  axes = np.concatenate([poses.turn, poses.view[:, None]], 1)  # [T, 3, 3], of the head
  return (np.linalg.solve(axes, solid.swapaxes(1, 2)).swapaxes(1, 2) + _CENTRE)[..., :2]


def framed(heights):
  """Brings places of the head, [..., 2], to where pictures of the training show them: fractions."""
  return (heights - MIDDLE[0]) * FRAMING + np.array(MIDDLE[1])


def gaps(frontal):
  """Measures between the inner lips: [T, 468, 2], heights of the face -> [T], in their middle."""
  middle = UPPER_LIP_INNER[UPPER_MIDDLE], LOWER_LIP_INNER[UPPER_MIDDLE]
  return frontal[:, middle[1], 1] - frontal[:, middle[0], 1]


def widths(frontal):
  """Measures from corner to corner of mouths: [T, 468, 2], heights of the face -> [T]."""
  across = frontal[:, RIGHT_MOUTH_CORNER] - frontal[:, LEFT_MOUTH_CORNER]
  return np.linalg.norm(across, axis=-1)


# ------------------------------------------------------------------------- what may be moved


def ease(x):
  """Goes smoothly from 0 to 1 as x does."""
  x = np.clip(x, 0.0, 1.0)
  return x * x * (3 - 2 * x)


def _shares():
  """How far each point follows new lips, [468]: all of the lips and the chin, nothing from the
  nose upwards, and of the outline what is near the chin."""
  nose, lip, chin = MEAN[2, 1], MEAN[0, 1], MEAN[CHIN_TIP, 1]
  share = ease((MEAN[:, 1] - nose) / (lip - nose))
  mouth = MEAN[[LEFT_MOUTH_CORNER, RIGHT_MOUTH_CORNER], 1].mean()
  share[OVAL] *= ease((MEAN[OVAL, 1] - mouth) / (0.6 * (chin - mouth)))
  return share


SHARES = _shares()
RINGS = ((0.1, 0.5), (0.26, 0.0))  # beyond the outline: heights of the face away, share of its way


def _mesh():
  """Triangles of the lower face and of rings around its outline.

  Returns:
    triangles int [N, 3], by numbers of points: the mesh's, then each ring's. Then the outline's
    points that have rings, [K], and which way is outwards there, [K, 2].
  """
  which = np.flatnonzero(SHARES[OVAL] > 0)
  first, last = which.min() - 1, which.max() + 1  # the list begins at the forehead
  outline = OVAL[first : last + 1]
  count = len(outline)
  layers = [outline, POINTS + np.arange(count), POINTS + count + np.arange(count)]
  beyond = []
  for inner, outer in zip(layers[:-1], layers[1:]):
    for k in range(count - 1):
      beyond.append((inner[k], inner[k + 1], outer[k]))
      beyond.append((outer[k], inner[k + 1], outer[k + 1]))
  moved = (SHARES > 0)[surface.TRIANGLES].any(1)
  out = MEAN[outline, :2] - MEAN[[0]][:, :2]
  out = out / np.linalg.norm(out, axis=1, keepdims=True)
  return np.concatenate([surface.TRIANGLES[moved], beyond]), outline, out


TRIANGLES, _OUTLINE, _OUT = _mesh()
# All their points as a solid, [V, 3]: the neck is further back than the outline.
SOLID = np.concatenate(
  [MEAN, *[MEAN[_OUTLINE] + np.pad(away * _OUT, ((0, 0), (0, 1)), constant_values=0.1)
           for away, _ in RINGS]]
)  # fmt: skip


def with_rings(landmarks, moved, turn):
  """Adds the rings around the outline to the points of a frame.

  Args:
    landmarks: [468, 2], pixels.
    moved: [468, 2], how far new lips move them, pixels.
    turn: [2, 3] of the frame's pose.

  Returns:
    places and ways of all points, [V, 2] each.
  """
  out = _OUT @ turn[:, :2].T
  rings = [landmarks[_OUTLINE] + away * out for away, _ in RINGS]
  ways = [moved[_OUTLINE] * share for _, share in RINGS]
  return np.concatenate([landmarks, *rings]), np.concatenate([moved, *ways])


# ----------------------------------------------------------------------------- closed lips


def parted(landmarks, own, down, closed):
  """Lets lips touch where they are to be closed, and not pass each other.

  Landmarks of closed lips stand a little apart; lips that were open are brought together by so
  much more.

  Args:
    landmarks: wanted, [468, 2], pixels; is changed.
    own: of the film, [468, 2].
    down: unit vector of the face, [2].
    closed: pixels between the middle of the inner lips where they are closed.

  Returns:
    landmarks.
  """
  upper, lower = UPPER_LIP_INNER[1:-1], LOWER_LIP_INNER[1:-1]
  gap = (landmarks[lower] - landmarks[upper]) @ down
  was = ((own[lower] - own[upper]) @ down)[UPPER_MIDDLE - 1]
  arch = np.sin(np.pi * np.arange(1, len(upper) + 1) / (len(upper) + 1))
  rest = np.maximum(closed * arch, 1e-6)
  open_by = np.clip((was - closed) / max(closed, 1e-6), 0.0, 1.0)
  wanted = np.maximum(gap - open_by * rest * np.clip(2.0 - gap / rest, 0.0, 1.0), 0.0)
  # What the film's own lips do already they may do.
  wanted = np.where(
    gap < 0, np.maximum(gap, np.minimum((own[lower] - own[upper]) @ down, 0)), wanted
  )
  way = 0.5 * (wanted - gap)[:, None] * down
  landmarks[lower] += way
  landmarks[LOWER_LIP_OUTER[1:-1]] += way
  landmarks[upper] -= way
  landmarks[UPPER_LIP_OUTER[1:-1]] -= way
  return landmarks
