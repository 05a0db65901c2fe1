"""Reads the networks of others in `ifmdm_jax/weights` (licences: NOTICE.md there)."""

import pathlib

import cv2
import numpy as np

WEIGHTS = pathlib.Path(__file__).parents[1] / 'weights'


def network(name):
  """Opens a *.tflite of `WEIGHTS`, to be run in OpenCV."""
  # Of OpenCV 5's engines the classic one returns all outputs, as the mesh's points and presence.
  engine = [cv2.dnn.ENGINE_CLASSIC] if hasattr(cv2.dnn, 'ENGINE_CLASSIC') else []
  return cv2.dnn.readNetFromTFLite(str(WEIGHTS / name), *engine)


class Layers:
  """Parameters of a *.tflite for Flax modules; layers are counted by kind, as in the file."""

  def __init__(self, name):
    """`name`: of the file in `WEIGHTS`."""
    self._net = network(name)

  def _arrays(self, kind, number):
    layer = self._net.getLayer(self._net.getLayerId(f'{kind}_{number}' if number else kind))
    return [np.ascontiguousarray(blob, np.float32) for blob in layer.blobs]

  def conv(self, number, kind='conv2d'):
    """Kernel [h, w, in, out] and bias of a convolution."""
    kernel, bias = self._arrays(kind, number)
    return dict(kernel=np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), bias=bias)

  def depthwise(self, number):
    """Kernel [h, w, C] and bias for `nn.depthwise.Depthwise`."""
    kernel, bias = self._arrays('depthwise_conv2d', number)
    return dict(kernel=np.ascontiguousarray(kernel[:, 0].transpose(1, 2, 0)), bias=bias)

  def prelu(self, number):
    """Slopes [C] for `nn.prelu.PRelu`."""
    return dict(slope=self._arrays('p_re_lu', number)[0].reshape(-1))
