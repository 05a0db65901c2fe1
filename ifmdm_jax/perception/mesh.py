"""MediaPipe's face mesh in JAX: where the 468 points of a face are (Kartynnik et al. 2019).

The same weights as `pipeline/prep/faces.py` runs in OpenCV, here as a pure function that can be
compiled with whatever uses it: a sampler reads a portrait without leaving the device.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face import points as face_mesh
from ifmdm_jax.face import tflite

FILE = 'face_landmark.tflite'
SIDE = 192  # pixels the network looks at
PLAIN, HALVE = False, True
# Blocks of the trunk: (width, halve the side).
TRUNK = (
  ((16, PLAIN),) * 2
  + ((32, HALVE),) + ((32, PLAIN),) * 2
  + ((64, HALVE),) + ((64, PLAIN),) * 2
  + ((128, HALVE),) + ((128, PLAIN),) * 2
  + ((128, HALVE),) + ((128, PLAIN),) * 2
  + ((128, HALVE),) + ((128, PLAIN),) * 2
)  # fmt: skip
# The square in which a face is looked for first, in crops as `faces.crop_square` cuts them:
# centre x, y and side as fractions of the picture's.
EXPECTED = (0.5, 0.47, 0.8)
# The square of each look follows from the points of the one before; after so many looks it hardly
# matters any more where the first one was.
LOOKS = 6


class PRelu(nn.Module):
  """max(x, 0) + slope min(x, 0), one slope per channel."""

  @nn.compact
  def __call__(self, x):
    slope = self.param('slope', nn.initializers.constant(0.25), (x.shape[-1],))[None, None, None]
    return jnp.maximum(x, 0.0) + slope * jnp.minimum(x, 0.0)


class Depthwise(nn.Module):
  """Each channel by itself, as shifted products: XLA's own is far slower on a CPU."""

  stride: int = 1
  size: int = 3

  @nn.compact
  def __call__(self, x):
    width, side, taps = x.shape[-1], x.shape[1], range(self.size)
    shape = (self.size, self.size, width)
    kernel = self.param('kernel', nn.initializers.lecun_normal(), shape)
    bias = self.param('bias', nn.initializers.zeros, (width,))
    # TensorFlow's SAME: an even side that is halved needs one pixel less, and lacks it in front.
    before = (self.size - self.stride) // 2
    around = (before, self.size - self.stride - before)
    x = jnp.pad(x, ((0, 0), around, around, (0, 0)))
    end = lambda start: start + side - self.stride + 1
    products = [
      kernel[i, j][None, None, None] * x[:, i : end(i) : self.stride, j : end(j) : self.stride]
      for i in taps
      for j in taps
    ]
    return sum(products) + bias[None, None, None]


class Block(nn.Module):
  """Depthwise, pointwise, and a way past both; new channels start as zeros."""

  width: int
  halve: bool = PLAIN

  @nn.compact
  def __call__(self, x):
    y = Depthwise(2 if self.halve else 1)(x)
    y = nn.Conv(self.width, (1, 1))(y)
    if self.halve:
      x = nn.max_pool(x, (2, 2), (2, 2))
    x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.width - x.shape[-1])))
    return PRelu()(x + y)


class FaceMesh(nn.Module):
  """RGB in [0, 1], [B, 192, 192, 3] -> points in its pixels, x before y, [B, 468, 2]."""

  @nn.compact
  def __call__(self, image):
    x = nn.Conv(16, (3, 3), (2, 2), padding=((0, 1), (0, 1)))(image)
    x = PRelu()(x)
    for width, halve in TRUNK:
      x = Block(width, halve)(x)
    x = PRelu()(nn.Conv(32, (1, 1))(x))
    x = Block(32)(x)
    x = nn.Conv(3 * face_mesh.POINTS, (3, 3), padding='VALID', name='points')(x)
    return x.reshape(-1, face_mesh.POINTS, 3)[..., :2]


def load():
  """The published weights as params of `FaceMesh`, float32."""
  arrays = tflite.layers(FILE)

  def conv(i):
    kernel, bias = arrays('conv2d', i)
    return dict(kernel=kernel.transpose(2, 3, 1, 0), bias=bias)

  def slope(i):
    return dict(slope=arrays('p_re_lu', i)[0].reshape(-1))

  def block(depthwise, pointwise):
    kernel, bias = arrays('depthwise_conv2d', depthwise)
    kernel = kernel[:, 0].transpose(1, 2, 0)
    return {
      'Depthwise_0': dict(kernel=kernel, bias=bias),
      'Conv_0': conv(pointwise),
      'PRelu_0': slope(pointwise),
    }

  params = {f'Block_{i}': block(i, i + 1) for i in range(len(TRUNK))}
  last = len(TRUNK)
  params |= {
    'Conv_0': conv(0), 'PRelu_0': slope(0),
    'Conv_1': conv(last + 1), 'PRelu_1': slope(last + 1),
    f'Block_{last}': block(last, last + 2),
    'points': conv(last + 3),
  }  # fmt: skip
  return jax.tree.map(lambda x: np.ascontiguousarray(x, np.float32), params)


def find(params, pictures, sample):
  """Landmarks of the one face of each picture, without a detector.

  Each is the mean of what is found in the picture and in its mirror image: the network errs
  differently in the two, and a good part of it cancels.

  Args:
    params: of `FaceMesh`.
    pictures: [B, R, R, 3] in [0, 1], cut so that the face is about where training had it.
    sample: bilinear look-up (picture [B, R, R, 3], grid [B, h, w, 2] as fractions).

  Returns:
    [B, 468, 2], fractions of the side.
  """
  x, y, side = EXPECTED
  pictures = jnp.concatenate([pictures, pictures[:, :, ::-1]])
  batch = pictures.shape[0]
  centre = jnp.broadcast_to(jnp.array([x, y]), (batch, 2))
  axis = jnp.broadcast_to(jnp.array([side, 0.0]), (batch, 2))  # of the square: side, direction
  pixel = (jnp.arange(SIDE, dtype=jnp.float32) + 0.5) / SIDE - 0.5
  u, v = (c[None, ..., None] for c in jnp.meshgrid(pixel, pixel))  # [1, SIDE, SIDE, 1]

  def look(square_of, _):
    centre, across = square_of
    down = jnp.stack([-across[:, 1], across[:, 0]], -1)
    place = lambda u, v: centre[:, None, None] + u * across[:, None, None] + v * down[:, None, None]
    points = FaceMesh().apply({'params': params}, sample(pictures, place(u, v))) / SIDE - 0.5
    points = place(points[:, :, None, :1], points[:, :, None, 1:])[:, :, 0]
    return square(points), points

  points = jax.lax.scan(look, (centre, axis), length=LOOKS)[1][-1]
  seen, mirrored = jnp.split(points, 2)
  mirrored = mirrored[:, face_mesh.MIRROR]
  mirrored = jnp.stack([1.0 - mirrored[..., 0], mirrored[..., 1]], axis=-1)
  return (seen + mirrored) / 2.0


def square(points):
  """MediaPipe's rule for the next look: 1.5 times the longer side of the box, eyes level.

  [B, 468, 2] -> centre [B, 2], and a vector along the upper edge, as long as the side, [B, 2].
  """
  low, high = points.min(1), points.max(1)
  eyes = points[:, face_mesh.RIGHT_CORNER] - points[:, face_mesh.LEFT_CORNER]
  eyes = eyes / jnp.linalg.norm(eyes, axis=-1, keepdims=True)
  return (low + high) / 2.0, 1.5 * (high - low).max(-1, keepdims=True) * eyes
