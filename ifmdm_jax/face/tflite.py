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
    return _arrays(layer)

  def conv(self, number, kind='conv2d'):
    """Kernel [h, w, in, out] and bias of a convolution."""
    return _conv(*self._arrays(kind, number))

  def depthwise(self, number):
    """Kernel [h, w, C] and bias for `nn.depthwise.Depthwise`."""
    return _depthwise(*self._arrays('depthwise_conv2d', number))

  def prelu(self, number):
    """Slopes [C] for `nn.prelu.PRelu`."""
    return _prelu(*self._arrays('p_re_lu', number))

  def in_order(self):
    """Yields the parameters of each convolution and PReLU as they follow one another in the file.

    For files whose layers have no numbers. Each is what `conv`, `depthwise` or `prelu` returns.
    """
    for name in self._net.getLayerNames():
      layer = self._net.getLayer(self._net.getLayerId(name))
      arrays = _arrays(layer)
      if layer.type == 'PReLU':
        yield _prelu(*arrays)
      elif layer.type == 'Convolution':
        yield _depthwise(*arrays) if arrays[0].shape[1] == 1 else _conv(*arrays)

  def dense(self):
    """Yields kernel [in, out] and bias of each convolution of 1 x 1 as they follow in the file."""
    for layer in self._layers('Convolution'):
      kernel, bias = _arrays(layer)
      yield dict(kernel=np.ascontiguousarray(kernel[:, :, 0, 0].T), bias=bias)

  def constants(self):
    """Lists the constants of the file, float32, in its order."""
    return [_arrays(layer)[0] for layer in self._layers('Const')]

  def _layers(self, kind):
    every = (self._net.getLayer(self._net.getLayerId(name)) for name in self._net.getLayerNames())
    return [layer for layer in every if layer.type == kind]


def _arrays(layer):
  return [np.ascontiguousarray(blob, np.float32) for blob in layer.blobs]


def _conv(kernel, bias):
  return dict(kernel=np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), bias=bias)


def _depthwise(kernel, bias):
  return dict(kernel=np.ascontiguousarray(kernel[:, 0].transpose(1, 2, 0)), bias=bias)


def _prelu(slope):
  return dict(slope=slope.reshape(-1))
