"""Finds faces in a picture: boxes, eyes and scores, by YuNet in OpenCV on one core.

Pictures are uint8 RGB [H, W, 3], places are pixels (x, y) from the upper left corner; the middle of
the first pixel is (0.5, 0.5).
"""

import dataclasses

import cv2
import numpy as np

from ifmdm_jax.face import tflite

MODEL = 'face_detection_yunet_2023mar_int8bq.onnx'
SIDES = 640, 320, 160  # pixels of the copies in which faces are looked for
TILE, OVERLAP = 640, 96  # of larger copies; a face there is smaller than the overlap, or was found
SEEN = 16  # pixels of a face that the network finds
SAME = 0.3  # boxes that overlap by so much are one face


@dataclasses.dataclass(frozen=True)
class Face:
  """A detected face.

  Attributes:
    box: x, y, width and height.
    eyes: [2, 2], the picture's left one first.
    score: confidence, up to 1.
  """

  box: np.ndarray
  eyes: np.ndarray
  score: float

  @property
  def area(self):
    """Square pixels of the box."""
    return float(self.box[2] * self.box[3])


class FaceDetector:
  """Lists the faces of a picture, the largest first; YuNet (Wu et al. 2023)."""

  def __init__(self, threshold=0.6, smallest=None):
    """Loads the network.

    Args:
      threshold: score of the faces that are listed, at least.
      smallest: height of a face in pixels down to which one is looked for in larger and larger
        copies, tile by tile, where there is none in the small ones; None: in those alone.
    """
    self.smallest = smallest
    log = getattr(cv2.utils, 'logging', cv2)  # OpenCV 5 and 4
    level = log.getLogLevel()
    log.setLogLevel(2)  # errors only: OpenCV 5 warns about its own new engine
    self.net = cv2.FaceDetectorYN.create(str(tflite.WEIGHTS / MODEL), '', (320, 320), threshold)
    log.setLogLevel(level)

  def __call__(self, image) -> list[Face]:
    """Finds the faces of uint8 RGB [H, W, 3]."""
    # YuNet was trained on faces of 10 to 300 pixels: larger ones are found in smaller copies.
    for side in SIDES:
      faces = self.look(image, side)
      if faces:
        return faces
    longest, side = max(image.shape[:2]), SIDES[0]
    while self.smallest and side < longest * min(1.0, SEEN / self.smallest):
      side = min(2 * side, longest)
      faces = self._detect_in_tiles(image, side / longest)
      if faces:
        return faces
    return []

  def _detect_in_tiles(self, image, scale):
    copy = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    faces = []
    for y in range(0, max(1, copy.shape[0] - OVERLAP), TILE - OVERLAP):
      for x in range(0, max(1, copy.shape[1] - OVERLAP), TILE - OVERLAP):
        for face in self.look(copy[y : y + TILE, x : x + TILE], TILE, margin=0):
          box = np.concatenate([face.box[:2] + (x, y), face.box[2:]]) / scale
          eyes = (face.eyes + (x, y)) / scale
          faces.append(Face(box.astype(np.float32), eyes.astype(np.float32), face.score))
    kept = []
    for face in sorted(faces, key=lambda face: -face.score):  # two tiles may see the same one
      if all(_overlap(face.box, other.box) < SAME for other in kept):
        kept.append(face)
    return sorted(kept, key=lambda face: -face.area)

  def look(self, image, side, margin=None):
    """Finds faces of a picture in one copy of it.

    Args:
      image: uint8 RGB [H, W, 3].
      side: of the copy, pixels; a smaller picture is looked at as it is.
      margin: pixels of black around it; None: an eighth of the side.
    """
    scale = min(1.0, side / max(image.shape[:2]))
    margin = side // 8 if margin is None else margin  # a face cut by the frame is found, too
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = cv2.copyMakeBorder(small, *(margin,) * 4, cv2.BORDER_CONSTANT)
    self.net.setInputSize(small.shape[1::-1])
    rows = self.net.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1]
    if rows is None:
      return []
    faces = []
    for row in rows:
      x, y, width, height = row[:4]
      box = np.array([x - margin, y - margin, width, height]) / scale
      eyes = (row[4:8].reshape(2, 2) - margin) / scale
      faces.append(Face(box.astype(np.float32), eyes.astype(np.float32), float(row[14])))
    return sorted(faces, key=lambda face: -face.area)


def _overlap(a, b):
  """Share of the smaller box that lies in the other."""
  low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
  return np.maximum(high - low, 0).prod() / min(a[2:].prod(), b[2:].prod())
