"""Finds which pixels are a person: MediaPipe's selfie segmentation, a MobileNetV3 with a decoder.

One network by two engines: OpenCV, and JAX as a pure function that can be compiled with whatever
uses it. The published training uses BiRefNet-portrait, which cuts out single hairs; this network is
250 kB.
"""

import cv2
import flax.linen as nn
import jax
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import tflite
from ifmdm_jax.nn.depthwise import Depthwise

FILE = 'selfie_segmentation.tflite'
SIDE = 256  # pixels of what the network sees, and of its answer
# Inverted bottlenecks at 16 x 16: their inner width; the first one halves the side.
DEEP = (96, 128, 128, 96, 96)


def conv(width, name):
  """A pointwise convolution."""
  return nn.Conv(width, (1, 1), name=name)


def gate(x, inner, number):
  """Weighs channels by their means over the picture: [B, H, W, C] -> [B, 1, 1, C] in (0, 1)."""
  mean = x.mean((1, 2), keepdims=True)
  mean = nn.relu(conv(inner, f'conv_{number}')(mean))
  return nn.sigmoid(conv(x.shape[-1], f'conv_{number + 1}')(mean))


class MatteNetwork(nn.Module):
  """Tells person from background. RGB in [0, 1], [B, 256, 256, 3] -> [B, 256, 256, 1], 1: person.

  Layers are numbered as in the published file.
  """

  @nn.compact
  def __call__(self, image):
    depthwise = lambda number, **more: Depthwise(name=f'depthwise_{number}', **more)
    x = nn.Conv(16, (3, 3), (2, 2), padding=((0, 1), (0, 1)), name='conv_0')(image)
    skips = [nn.hard_swish(x)]  # 128

    x = nn.relu(conv(16, 'conv_1')(skips[0]))
    x = nn.relu(depthwise(0, stride=2)(x))
    x = conv(16, 'conv_4')(x * gate(x, 8, 2))
    skips.append(x)  # 64

    x = nn.relu(conv(72, 'conv_5')(x))
    x = conv(24, 'conv_6')(nn.relu(depthwise(1, stride=2)(x)))
    y = nn.relu(conv(88, 'conv_7')(x))
    x = x + conv(24, 'conv_8')(nn.relu(depthwise(2)(y)))
    skips.append(x)  # 32

    for i, width in enumerate(DEEP):  # 16
      first = 9 + 4 * i
      y = nn.hard_swish(conv(width, f'conv_{first}')(x))
      y = nn.hard_swish(depthwise(3 + i, stride=1 if i else 2, size=5)(y))
      y = conv(32, f'conv_{first + 3}')(y * gate(y, width // 4, first + 1))
      x = x + y if i else y
    mean = x.mean((1, 2), keepdims=True)
    x = nn.relu(conv(128, 'conv_29')(x)) * nn.sigmoid(conv(128, 'conv_30')(mean))

    for i, skip in enumerate(reversed(skips)):  # 32, 64, 128
      first, width = 31 + 4 * i, skip.shape[-1]
      x = conv(width, f'conv_{first}')(double(x))
      x = x + skip * gate(x + skip, width, first + 1)
      x = nn.relu(conv(width, f'conv_{first + 3}')(x))
      x = x + nn.relu(depthwise(8 + i)(x))
    answer = nn.ConvTranspose(1, (2, 2), (2, 2), 'VALID', transpose_kernel=True, name='segment')
    return nn.sigmoid(answer(x))


def double(x):
  """Doubles the side: bilinear, half-pixel centres."""
  return jax.image.resize(x, (x.shape[0], 2 * x.shape[1], 2 * x.shape[2], x.shape[3]), 'bilinear')


def load():
  """Reads the published weights as params of `MatteNetwork`, float32."""
  layers = tflite.Layers(FILE)
  params = {f'conv_{i}': layers.conv(i) for i in range(43)}
  params |= {f'depthwise_{i}': layers.depthwise(i) for i in range(11)}
  return params | {'segment': layers.conv(0, 'segment')}


def find(params, pictures):
  """Finds the person of each picture; for use under jit. [B, 256, 256, 3] -> [B, 256, 256, 1].

  Args:
    params: of `MatteNetwork`.
    pictures: RGB in [0, 1].

  Returns:
    (0, 1), 1 where a person is.
  """
  return MatteNetwork().apply({'params': params}, pictures)


def _opencv():
  """Runs the network in OpenCV: uint8 [256, 256, 3] -> [256, 256] in (0, 1)."""
  net = tflite.network(FILE)

  def run(picture):
    net.setInput(cv2.dnn.blobFromImage(picture, 1 / 255))
    return net.forward().reshape(SIDE, SIDE)

  return run


def _jax():
  """Runs the network in JAX; as `_opencv`."""
  params = load()
  network = jax.jit(lambda picture: find(params, picture[None] / 255.0)[0, ..., 0])
  return lambda picture: np.asarray(network(picture.astype(np.float32)))


ENGINES = {'opencv': _opencv, 'jax': _jax}


class PersonMatte:
  """Finds the person of uint8 RGB pictures of any size."""

  def __init__(self, engine='opencv'):
    """`engine`: 'opencv' or 'jax'.

    Raises:
      InputError: there is no such engine.
    """
    if engine not in ENGINES:
      raise InputError(f'expected an engine of {", ".join(ENGINES)}, got {engine!r}: choose one')
    self._network = ENGINES[engine]()

  def __call__(self, picture):
    """uint8 [H, W, 3] -> uint8 [256, 256], 255 where a person is."""
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.round(255 * np.clip(self._network(small), 0, 1)).astype(np.uint8)
