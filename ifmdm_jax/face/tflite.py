"""The networks of others in `ifmdm_jax/weights`, which OpenCV reads (licences: NOTICE.md there)."""

import pathlib

import numpy as np

WEIGHTS = pathlib.Path(__file__).parents[1] / 'weights'


def network(name):
  """A *.tflite to be run in OpenCV."""
  import cv2

  # Of OpenCV 5's engines the classic one returns all outputs, as the mesh's points and presence.
  engine = [cv2.dnn.ENGINE_CLASSIC] if hasattr(cv2.dnn, 'ENGINE_CLASSIC') else []
  return cv2.dnn.readNetFromTFLite(str(WEIGHTS / name), *engine)


def layers(name):
  """The same, to be run in JAX: (kind of layer, its number among them) -> the arrays it holds."""
  net = network(name)

  def arrays(kind, number=0):
    layer = net.getLayer(net.getLayerId(f'{kind}_{number}' if number else kind))
    return [np.asarray(blob) for blob in layer.blobs]

  return arrays
