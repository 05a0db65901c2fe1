"""Names the points of the face mesh (MediaPipe's order): every list of landmarks, once.

Left and right are the picture's. Lists are read-only integer arrays, to index NumPy and JAX alike.
"""

from typing import NamedTuple

import numpy as np

from ifmdm_jax.face.align import numpy_of

POINTS = 468
POINTS_WITH_IRISES = 478


def _points(*lists):
  index = np.concatenate([np.atleast_1d(each) for each in lists]).astype(np.int64)
  index.flags.writeable = False
  return index


class Eye(NamedTuple):
  """Numbers of the points that say how far an eye is open: middle of either lid, corners."""

  upper: int
  lower: int
  outer: int
  inner: int


FOREHEAD, CHIN_TIP, NOSE_TIP = 10, 152, 4
LEFT_LIDS, RIGHT_LIDS = Eye(159, 145, 33, 133), Eye(386, 374, 263, 362)
LIDS = LEFT_LIDS, RIGHT_LIDS
LEFT_CHEEK, RIGHT_CHEEK = 234, 454
LEFT_MOUTH_CORNER, RIGHT_MOUTH_CORNER = 61, 291

# Lips, from the left corner of the mouth to the right one.
UPPER_LIP_OUTER = _points([61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291])
LOWER_LIP_OUTER = _points([61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291])
UPPER_LIP_INNER = _points([78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308])
LOWER_LIP_INNER = _points([78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308])
# The two as rings: along the lower lip and the corners first, then what the upper one adds.
LIPS_OUTER = _points(LOWER_LIP_OUTER, UPPER_LIP_OUTER[1:-1])
LIPS_INNER = _points(LOWER_LIP_INNER, UPPER_LIP_INNER[1:-1])
LIPS = _points(LIPS_INNER, LIPS_OUTER)
LIPS_BOX = _points([61, 291, 0, 17, 37, 267, 84, 314, 13, 14])  # enough of them for a box
UPPER_MIDDLE, LOWER_MIDDLE = 13, 14  # of the inner lips

# fmt: off
LEFT_EYE = _points([33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173])
RIGHT_EYE = _points(
  [263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398])
EYES = _points(LEFT_EYE, RIGHT_EYE)
LEFT_IRIS, RIGHT_IRIS = _points(range(468, 473)), _points(range(473, 478))  # the middle first
BROWS = _points(
  [70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276])
EXPRESSIVE = _points(LIPS, EYES, BROWS)  # lips, lids and brows
CHIN = _points([152, 148, 176, 377, 400])
NOSE_RIDGE = _points([1, 4, 5, 195])  # in front of the rest: shows turns to the side, up and down
# What expression hardly moves: nose, forehead, temples, corners of the eyes.
RIGID = _points(
  [168, 6, 197, 195, 5, 4, 1, 2, 98, 327, 10, 338, 297, 332, 284, 251, 389, 356, 454, 109, 67, 103,
   54, 21, 162, 127, 234, 116, 345, 151, 9, 8, 33, 133, 362, 263])
OVAL = _points(
  [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
   148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109])
# The mesh's nearest points to the 68 of iBUG and dlib, in their order.
IBUG = _points(
  [162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389],  # jaw
  [71, 63, 105, 66, 107, 336, 296, 334, 293, 301],  # brows
  [168, 197, 5, 4, 75, 97, 2, 326, 305],  # nose
  [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380],  # eyes
  [61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181],  # lips, outer
  [78, 82, 13, 312, 308, 317, 14, 87])  # lips, inner
IBUG_PARTS = {  # numbers among the 68
  'jaw': range(17), 'left_brow': range(17, 22), 'right_brow': range(22, 27),
  'nose_bridge': range(27, 31), 'nose_base': range(31, 36), 'left_eye': range(36, 42),
  'right_eye': range(42, 48), 'lips_outer': range(48, 60), 'lips_inner': range(60, 68)}
IBUG_MOUTH = _points(IBUG[[*IBUG_PARTS['lips_outer'], *IBUG_PARTS['lips_inner']]])
LOWER_FACE = _points(IBUG[[*range(2, 15), 33]])  # outline: jaw below the ears, base of the nose
# Points on the mirror axis of the face.
MIDLINE = _points(
  [0, 1, 2, 4, 5, 6], range(8, 20), [94, 151, 152, 164, 168, 175, 195, 197, 199, 200])
# fmt: on


def _mirror():
  """The mesh numbers one side of the face up to 247, then the other one in the same order."""
  one = [i for i in range(248) if i not in MIDLINE]
  index = np.arange(POINTS)
  index[one], index[248:] = index[248:], one
  return _points(index)


MIRROR = _mirror()  # for each point its number in a mirrored picture
# Around the middle of an iris its points stand right, above, left and below.
MIRROR_WITH_IRISES = _points(MIRROR, RIGHT_IRIS[[0, 3, 2, 1, 4]], LEFT_IRIS[[0, 3, 2, 1, 4]])


def height(landmarks):
  """Measures a face from hairline to chin, median over time. [T, 468, 2] -> float, their unit."""
  across = landmarks[:, FOREHEAD] - landmarks[:, CHIN_TIP]
  return float(np.median(np.linalg.norm(across, axis=-1)))


def eye_distance(landmarks):
  """Measures from outer eye corner to outer eye corner, NumPy or JAX. [..., 468, 2] -> [...]."""
  across = landmarks[..., LEFT_LIDS.outer, :] - landmarks[..., RIGHT_LIDS.outer, :]
  return numpy_of(across).linalg.norm(across, axis=-1)


def mouth_opening(landmarks):
  """Measures the gap of the inner lips over `eye_distance`. [..., 468, 2] -> [...]."""
  gap = landmarks[..., UPPER_MIDDLE, :] - landmarks[..., LOWER_MIDDLE, :]
  return np.linalg.norm(gap, axis=-1) / eye_distance(landmarks)


def five_points(landmarks):
  """Picks what face recognition aligns by. [..., 468, 2] -> [..., 5, 2].

  The eyes, as the mean of their corners, left first; the tip of the nose; the mouth's corners.
  """
  eyes = [landmarks[..., [e.outer, e.inner], :].mean(-2) for e in LIDS]
  rest = (NOSE_TIP, LEFT_MOUTH_CORNER, RIGHT_MOUTH_CORNER)
  return np.stack([*eyes, *(landmarks[..., i, :] for i in rest)], axis=-2)


def smooth(track):
  """Averages over time with weights [1, 2, 1] / 4; the ends repeat. [T, ...] -> [T, ...]."""
  padded = np.concatenate([track[:1], track, track[-1:]])
  return (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
