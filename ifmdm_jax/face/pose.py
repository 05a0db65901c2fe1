"""Reads where a head is and how it is turned off the points of its mesh.

By a scaled orthographic camera: the canonical face is fitted to the points that expression hardly
moves, by least squares, then the nearest rotation. Absolute angles carry the difference between
this face and the canonical one; their change over time hardly does.
"""

from typing import NamedTuple

import numpy as np

# Of the canonical face model (MediaPipe, Apache-2.0), cm, y up, z towards the viewer: points
# that expression hardly moves. First those of the middle, then (left, right) pairs.
MIDDLE = {
  1: (-1.126865, 7.475604), 2: (-2.089024, 6.058267), 4: (-0.463170, 7.586580),
  5: (0.365669, 7.242870), 6: (2.473255, 5.788627), 8: (4.019042, 5.284764),
  9: (4.885979, 5.385258), 10: (8.261778, 4.481535), 151: (6.545390, 5.027311),
  168: (3.271027, 5.236015), 195: (1.059413, 6.774605), 197: (1.728369, 6.316750),
}  # fmt: skip
SIDES = {
  (33, 263): (4.445859, 2.663991, 3.173422), (133, 362): (1.856432, 2.585245, 3.757904),
  (98, 327): (1.405627, -1.714196, 5.241087), (54, 284): (6.279331, 6.615427, 1.425850),
  (103, 332): (5.133204, 7.485602, 2.660442), (67, 297): (3.523964, 8.005976, 3.729163),
  (109, 338): (1.891399, 8.236377, 4.274997), (21, 251): (7.087960, 5.434801, 0.099620),
}  # fmt: skip
HEAD = list(MIDDLE) + [left for left, _ in SIDES] + [right for _, right in SIDES]
# As the camera sees it: y down, z away from the viewer.
HEAD_SHAPE = np.array(
  [(0.0, -y, -z) for y, z in MIDDLE.values()]
  + [(-x, -y, -z) for x, y, z in SIDES.values()]
  + [(x, -y, -z) for x, y, z in SIDES.values()]
)


class Pose(NamedTuple):
  """Where a head is; NaN where no face was found.

  Attributes:
    turn: [T, 3, 3], from the canonical face, as the camera sees it: x right, y down, z away.
    place: [T, 2], where the middle of `HEAD_SHAPE` is seen, in the unit of the landmarks.
    scale: [T], of that unit, one centimetre of the canonical face.
  """

  turn: np.ndarray
  place: np.ndarray
  scale: np.ndarray


def fit(landmarks):
  """Fits the canonical face to points [T, 468 or more, 2 or more]: `Pose`, float64."""
  seen = np.asarray(landmarks)[:, HEAD, :2].astype(np.float64)
  shape, middle = HEAD_SHAPE - HEAD_SHAPE.mean(0), seen.mean(1)
  rows = np.swapaxes(seen - middle[:, None], 1, 2) @ np.linalg.pinv(shape).T
  turn = np.full((len(seen), 3, 3), np.nan)
  scale = np.linalg.norm(rows, axis=2).mean(1)
  for t in np.flatnonzero(np.isfinite(rows).all((1, 2))):
    across, down = rows[t] / scale[t]
    u, _, v = np.linalg.svd(np.stack([across, down, np.cross(across, down)]))
    turn[t] = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
  return Pose(turn, middle, scale)


def angles(turn):
  """Reads yaw, pitch and roll, radians, off rotations: [..., 3, 3] -> [..., 3]."""
  yaw = np.arcsin(np.clip(-turn[..., 2, 0], -1, 1))
  pitch = np.arctan2(turn[..., 2, 1], turn[..., 2, 2])
  return np.stack([yaw, pitch, np.arctan2(turn[..., 1, 0], turn[..., 0, 0])], axis=-1)
