"""Finds faces in a picture: boxes, eyes and scores, by YuNet in OpenCV on one core.

Pictures are uint8 RGB [H, W, 3], places are pixels (x, y) from the upper left corner; the middle of
the first pixel is (0.5, 0.5).
"""

import dataclasses

import cv2
import numpy as np

from ifmdm_jax.face import tflite

MODEL = 'face_detection_yunet_2023mar_int8bq.onnx'


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

  def __init__(self, threshold=0.6):
    """`threshold`: score of the faces that are listed, at least."""
    log = getattr(cv2.utils, 'logging', cv2)  # OpenCV 5 and 4
    level = log.getLogLevel()
    log.setLogLevel(2)  # errors only: OpenCV 5 warns about its own new engine
    self.net = cv2.FaceDetectorYN.create(str(tflite.WEIGHTS / MODEL), '', (320, 320), threshold)
    log.setLogLevel(level)

  def __call__(self, image) -> list[Face]:
    """Finds the faces of uint8 RGB [H, W, 3]."""
    # YuNet was trained on faces of 10 to 300 pixels: larger ones are found in smaller copies.
    for side in (640, 320, 160):
      faces = self._detect(image, side)
      if faces:
        return faces
    return []

  def _detect(self, image, side):
    scale = min(1.0, side / max(image.shape[:2]))
    margin = side // 8  # a face cut by the frame is found, too
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
