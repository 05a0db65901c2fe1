"""Reads eyes: 478 points with irises, and 52 named face units such as `eyeBlinkLeft`.

Two networks of MediaPipe's face landmarker (Grishchenko et al. 2020, Attention Mesh; its
blendshape model) in OpenCV. Unlike the mesh of 468 points in `mesh.py`, they see a lid close.
Left and right in the names of units are the person's own.
"""

import numpy as np

from ifmdm_jax.face import landmarker, tflite
from ifmdm_jax.face.detect import FaceDetector
from ifmdm_jax.face.mesh import see, square, square_of
from ifmdm_jax.face.points import LEFT_IRIS, LEFT_LIDS, POINTS_WITH_IRISES, RIGHT_IRIS, RIGHT_LIDS

UNITS = 'face_units.tflite'
REFINEMENTS = 2  # squares of a face that was just found
# fmt: off
SEEN = np.array([  # points that the second network sees, of MediaPipe's face_blendshapes_graph.cc
  0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66,
  67, 70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145,
  146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176,
  178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284, 285,
  288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334,
  336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386, 387,
  388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, *range(468, 478)])
NAMES = (
  '_neutral browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff '
  'cheekSquintLeft cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight '
  'eyeLookInLeft eyeLookInRight eyeLookOutLeft eyeLookOutRight eyeLookUpLeft eyeLookUpRight '
  'eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight jawForward jawLeft jawOpen jawRight '
  'mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight mouthFunnel '
  'mouthLeft mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker '
  'mouthRight mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft '
  'mouthSmileRight mouthStretchLeft mouthStretchRight mouthUpperUpLeft mouthUpperUpRight '
  'noseSneerLeft noseSneerRight').split()
# fmt: on


class FaceUnits:
  """Reads points and face units off uint8 RGB pictures of any size."""

  def __init__(self, detector=None):
    """`detector`: a `FaceDetector`; None makes one."""
    self._points, self._units = landmarker.opencv(), tflite.network(UNITS)
    self._detector = detector or FaceDetector()

  def track(self, frames, threshold=0.5):
    """Follows the largest face of a video.

    Args:
      frames: iterable of uint8 RGB [H, W, 3].
      threshold: probability of a face below which it is lost and searched anew.

    Returns:
      Points float32 [T, 478, 2] in pixels, and units float32 [T, 52] from 0 to 1; NaN where no face
      is found.
    """
    points, units, last = [], [], None
    for image in frames:
      last = self._next(image, last, threshold)
      found = last is not None
      points.append(last if found else np.full((POINTS_WITH_IRISES, 2), np.nan, np.float32))
      units.append(self.units(last) if found else np.full(len(NAMES), np.nan, np.float32))
    shape = len(points), -1
    return np.reshape(points, (*shape, 2)), np.reshape(units, shape)

  def units(self, points):
    """Scores the units of points [478, 2] in pixels: float32 [52]."""
    self._units.setInput(np.ascontiguousarray(points[None, SEEN], np.float32))
    return self._units.forward().reshape(-1).copy()

  def _next(self, image, last, threshold):
    """Points of a face near the last ones, or found anew; None if there is none."""
    if last is not None:
      points, presence = self._see(image, *square_of(last))
      if presence >= threshold:
        return points
    faces = self._detector(image)
    if not faces:
      return None
    low, extent = faces[0].box[:2], faces[0].box[2:]
    place = square(low, low + extent, *faces[0].eyes)
    for _ in range(1 + REFINEMENTS):
      points, presence = self._see(image, *place)
      place = square_of(points)
    return points if presence >= threshold else None

  def _see(self, image, centre, across):
    return see(self._points, landmarker.SIDE, image, centre, across)


def blink(units):
  """Averages the blink units of both eyes. [..., 52] -> [...], 0 open, near 1 closed."""
  return units[..., [NAMES.index('eyeBlinkLeft'), NAMES.index('eyeBlinkRight')]].mean(-1)


def opening(points):
  """Measures the gap of the lids over the width of the eye. [..., 478, 2] -> [..., 2], left first.

  Left is the picture's.
  """
  way = lambda a, b: np.linalg.norm(points[..., a, :] - points[..., b, :], axis=-1)
  eyes = [way(eye.upper, eye.lower) / way(eye.outer, eye.inner) for eye in (LEFT_LIDS, RIGHT_LIDS)]
  return np.stack(eyes, axis=-1)


def gaze(points):
  """Measures where irises stand between the corners of the eyes. [..., 478, 2] -> [..., 2].

  To the right and down in the picture along the eye, in widths of the eye, mean of both eyes; only
  changes have a meaning.
  """
  both = []
  left_eye, right_eye = LEFT_LIDS, RIGHT_LIDS
  for left, right, iris in (
    (left_eye.outer, left_eye.inner, LEFT_IRIS),
    (right_eye.inner, right_eye.outer, RIGHT_IRIS),
  ):
    across = points[..., right, :] - points[..., left, :]
    down = np.stack([-across[..., 1], across[..., 0]], axis=-1)
    away = points[..., iris[0], :] - (points[..., right, :] + points[..., left, :]) / 2
    squared = (across**2).sum(-1)
    both.append(np.stack([(away * across).sum(-1), (away * down).sum(-1)], -1) / squared[..., None])
  return np.mean(both, axis=0)
