"""Measures the geometry of a face mesh, for the landmark metrics.

Landmarks are [..., 468, 2] in pixels, x before y, NaN where no face was found.
"""

import numpy as np

from ifmdm_jax.face import align, points

# Distance of the outer eye corners in MediaPipe's canonical face model: turns pixels into mm.
EYES_MM = 88.9
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


def to_mm(landmarks, reference):
  """Turns pixels into mm by one scale for the whole clip: the reference's median eye distance."""
  return landmarks * (EYES_MM / np.nanmedian(points.eye_distance(reference)))


def still(landmarks):
  """Brings each frame onto the clip's mean head: what moves is expression. [T, 468, 2]."""
  rigid = landmarks[:, points.RIGID]
  return align.similarity(rigid, np.nanmean(rigid, axis=0, keepdims=True))(landmarks)


def head(landmarks):
  """Brings the clip's mean head, stiff, into each frame: [T, R, 2], R of `points.RIGID`."""
  rigid = landmarks[:, points.RIGID]
  mean = np.broadcast_to(np.nanmean(rigid, axis=0), rigid.shape)
  return align.similarity(mean, rigid)(mean)


def angles(landmarks):
  """Measures yaw, pitch and roll of the head in degrees, [T, 3], by a scaled orthographic camera.

  The canonical face is fitted to the points that expression hardly moves (least squares, then
  the nearest rotation). Absolute angles carry the difference between this face and the canonical
  one; their change over time hardly does.
  """
  seen = landmarks[:, HEAD].astype(np.float64)
  shape = HEAD_SHAPE - HEAD_SHAPE.mean(0)
  rows = np.swapaxes(seen - seen.mean(1, keepdims=True), 1, 2) @ np.linalg.pinv(shape).T
  result = np.full((len(landmarks), 3), np.nan)
  for t in np.flatnonzero(np.isfinite(rows).all((1, 2))):
    across, down = rows[t] / np.linalg.norm(rows[t], axis=1).mean()
    u, _, v = np.linalg.svd(np.stack([across, down, np.cross(across, down)]))
    turn = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    yaw, roll = np.arcsin(np.clip(-turn[2, 0], -1, 1)), np.arctan2(turn[1, 0], turn[0, 0])
    result[t] = np.degrees([yaw, np.arctan2(turn[2, 1], turn[2, 2]), roll])
  return result
