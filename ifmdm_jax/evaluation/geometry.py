"""Geometry of the 468-point face mesh that the landmark metrics share.

Points are [..., P, 2] in pixels, x before y, NaN where no face was found.
"""

import numpy as np

from ifmdm_jax.face import points as face_mesh

# Distance of the outer eye corners in MediaPipe's canonical face model: turns pixels into mm.
EYES_MM = 88.9
# The mesh's nearest points to the 68 of iBUG / dlib, in their order; 48 to 67 are the mouth.
DLIB = np.array(
  [162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389]  # jaw
  + [71, 63, 105, 66, 107, 336, 296, 334, 293, 301]  # brows
  + [168, 197, 5, 4, 75, 97, 2, 326, 305]  # nose
  + [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380]  # eyes
  + [61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181]  # lips, outer
  + [78, 82, 13, 312, 308, 317, 14, 87]  # lips, inner
)
MOUTH = DLIB[48:]
EXPRESSIVE = np.array(
  face_mesh.LIPS_INNER + face_mesh.LIPS_OUTER + face_mesh.LEFT_EYE + face_mesh.RIGHT_EYE
  + face_mesh.BROWS
)  # fmt: skip
LIDS = ((159, 145, 33, 133), (386, 374, 263, 362))  # upper, lower, outer and inner corner
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


def eye_distance(points):
  """Outer eye corner to outer eye corner, pixels, [...]."""
  left, right = points[..., face_mesh.LEFT_CORNER, :], points[..., face_mesh.RIGHT_CORNER, :]
  return np.linalg.norm(left - right, axis=-1)


def to_mm(points, reference):
  """Pixels to mm by one scale for the whole clip: the reference's median eye distance."""
  return points * (EYES_MM / np.nanmedian(eye_distance(reference)))


def eye_opening(points):
  """Gap of the lids over the width of the eye, mean of both eyes, [...]."""
  distance = lambda a, b: np.linalg.norm(points[..., a, :] - points[..., b, :], axis=-1)
  return np.mean([distance(u, l) / distance(o, i) for u, l, o, i in LIDS], axis=0)


def similarity(source, target):
  """Turn, scale and shift that bring `source` nearest to `target` (least squares).

  Args:
    source, target: [..., P, 2], the same points.

  Returns:
    A function from points [..., Q, 2] in the source's frame to the target's.
  """
  z, w = _complex(source), _complex(target)
  z_0, w_0 = z.mean(-1, keepdims=True), w.mean(-1, keepdims=True)
  turn = ((z - z_0).conj() * (w - w_0)).sum(-1, keepdims=True)
  turn = turn / (np.abs(z - z_0) ** 2).sum(-1, keepdims=True)

  def move(points):
    moved = turn * (_complex(points) - z_0) + w_0
    return np.stack([moved.real, moved.imag], axis=-1)

  return move


def _complex(points):
  return points[..., 0] + 1j * points[..., 1]


def still(points):
  """Points [T, P, 2] seen from the head: each frame brought onto the clip's mean head."""
  mean = np.nanmean(points[:, face_mesh.RIGID], axis=0)
  return similarity(points[:, face_mesh.RIGID], mean)(points)


def head(points):
  """Where the clip's mean head, stiff, is in each frame: [T, R, 2], R of `face_mesh.RIGID`."""
  rigid = points[:, face_mesh.RIGID]
  mean = np.nanmean(rigid, axis=0)
  return similarity(np.broadcast_to(mean, rigid.shape), rigid)(np.broadcast_to(mean, rigid.shape))


def angles(points):
  """Yaw, pitch and roll of the head in degrees, [T, 3], by a scaled orthographic camera.

  The canonical face is fitted to the points that expression hardly moves (least squares, then
  the nearest rotation). Absolute angles carry the difference between this face and the canonical
  one; their change over time hardly does.
  """
  seen = points[:, HEAD].astype(np.float64)
  shape = HEAD_SHAPE - HEAD_SHAPE.mean(0)
  rows = np.swapaxes(seen - seen.mean(1, keepdims=True), 1, 2) @ np.linalg.pinv(shape).T
  result = np.full((len(points), 3), np.nan)
  for t in np.flatnonzero(np.isfinite(rows).all((1, 2))):
    across, down = rows[t] / np.linalg.norm(rows[t], axis=1).mean()
    u, _, v = np.linalg.svd(np.stack([across, down, np.cross(across, down)]))
    turn = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    yaw, roll = np.arcsin(np.clip(-turn[2, 0], -1, 1)), np.arctan2(turn[1, 0], turn[0, 0])
    result[t] = np.degrees([yaw, np.arctan2(turn[2, 1], turn[2, 2]), roll])
  return result
