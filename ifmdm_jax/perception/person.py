"""MediaPipe's selfie segmentation in JAX: which pixels are a person (a MobileNetV3 with a decoder).

The same weights as `pipeline/prep/matte.py` runs in OpenCV, here as a pure function that can be
compiled with whatever uses it.
"""

import flax.linen as nn
import jax
import numpy as np

from ifmdm_jax.face import tflite
from ifmdm_jax.perception import mesh

FILE = 'selfie_segmentation.tflite'
SIDE = 256  # pixels the network looks at, and answers
# Inverted bottlenecks at 16 x 16: their inner width; the first one halves the side.
DEEP = (96, 128, 128, 96, 96)


def conv(width, name):
  return nn.Conv(width, (1, 1), name=name)


def gate(x, inner, number):
  """How much of each channel: [B, 1, 1, C] in (0, 1), from their means over the picture."""
  mean = x.mean((1, 2), keepdims=True)
  mean = nn.relu(conv(inner, f'conv_{number}')(mean))
  return nn.sigmoid(conv(x.shape[-1], f'conv_{number + 1}')(mean))


class PersonMatte(nn.Module):
  """RGB in [0, 1], [B, 256, 256, 3] -> [B, 256, 256, 1], 1 where a person is.

  Layers are numbered as in the published file.
  """

  @nn.compact
  def __call__(self, image):
    depthwise = lambda number, **more: mesh.Depthwise(name=f'depthwise_{number}', **more)
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
  """Bilinear, twice the side, half-pixel centres."""
  return jax.image.resize(x, (x.shape[0], 2 * x.shape[1], 2 * x.shape[2], x.shape[3]), 'bilinear')


def load():
  """The published weights as params of `PersonMatte`, float32."""
  arrays = tflite.layers(FILE)
  params = {}
  for i in range(43):
    kernel, bias = arrays('conv2d', i)
    params[f'conv_{i}'] = dict(kernel=kernel.transpose(2, 3, 1, 0), bias=bias)
  for i in range(11):
    kernel, bias = arrays('depthwise_conv2d', i)
    params[f'depthwise_{i}'] = dict(kernel=kernel[:, 0].transpose(1, 2, 0), bias=bias)
  kernel, bias = arrays('segment')  # [16, 1, 2, 2]
  params['segment'] = dict(kernel=kernel.transpose(2, 3, 1, 0), bias=bias)
  return jax.tree.map(lambda x: np.ascontiguousarray(x, np.float32), params)


def matte(params, pictures):
  """[B, 256, 256, 3] in [0, 1] -> [B, 256, 256, 1] in (0, 1)."""
  return PersonMatte().apply({'params': params}, pictures)
