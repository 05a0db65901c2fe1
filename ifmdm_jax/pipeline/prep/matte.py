"""Where the person is and where the background, for training that blurs the latter."""

import cv2
import numpy as np

from ifmdm_jax.face import tflite

SIDE = 256  # pixels that the network sees and answers


class PersonMatte:
  """MediaPipe selfie segmentation: `matte(picture)` is uint8 [256, 256], 255 where a person is.

  The published training asks BiRefNet-portrait, which cuts out single hairs; this network is 250 kB
  and takes 35 ms of one core in OpenCV.
  """

  def __init__(self):
    self.net = tflite.network('selfie_segmentation.tflite')

  def __call__(self, picture):
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    self.net.setInput(cv2.dnn.blobFromImage(small, 1 / 255))
    person = self.net.forward().reshape(SIDE, SIDE)
    return np.round(255 * np.clip(person, 0, 1)).astype(np.uint8)
