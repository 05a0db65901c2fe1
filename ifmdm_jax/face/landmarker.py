"""Finds the 478 points of a face: the network of MediaPipe's face landmarker, with irises.

The successor of the network in `mesh.py`, of the same points in the same order, on the same
squares. Its outlines lie on the lips, round ones too, and its inner lips and lids move by
themselves (experiments/landmarks). In JAX it is a pure function, so that a portrait is read by it
without leaving the device; in OpenCV, `FaceLandmarker` reads the films that motion is learned from.
"""

import cv2
import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face import tflite
from ifmdm_jax.face.mesh import FaceMesh, find_by, see, square_of
from ifmdm_jax.face.points import MIRROR_WITH_IRISES, POINTS, POINTS_WITH_IRISES
from ifmdm_jax.nn.depthwise import Depthwise
from ifmdm_jax.nn.prelu import PRelu

FILE = 'face_landmark_478.tflite'
SIDE = 256  # pixels that the network sees
REFINEMENTS = (
  4  # points are then steady to 0.2 % of the eyes' distance, the mesh's after six to 0.4
)
PLAIN, HALVE = False, True
# Blocks of the trunk: (width, halve the side).
TRUNK = ((16, PLAIN),) * 4 + tuple(
  (width, kind) for width in (32, 64, 128, 128, 128, 128) for kind in (HALVE, *(PLAIN,) * 4)
)


class Bottleneck(nn.Module):
  """Half the width, depthwise, all of it; and a way past them. New channels start as zeros."""

  width: int
  halve: bool = PLAIN

  @nn.compact
  def __call__(self, x):
    side = 2 if self.halve else 1
    y = nn.Conv(self.width // 2, (side, side), (side, side), padding='VALID')(x)
    y = Depthwise()(PRelu()(y))
    y = nn.Conv(self.width, (1, 1))(y)
    if self.halve:
      x = nn.max_pool(x, (2, 2), (2, 2))
      x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.width - x.shape[-1])))
    return PRelu()(x + y)


class LandmarkerNetwork(nn.Module):
  """Locates a face's points. RGB in [0, 1], [B, 256, 256, 3] -> points, logit of a face.

  Points are [B, 478, 2] in pixels of the input, x before y; the logit is [B].
  """

  @nn.compact
  def __call__(self, image):
    x = nn.Conv(16, (3, 3), (2, 2), padding=((0, 1), (0, 1)))(image)
    x = PRelu()(x)
    for width, halve in TRUNK:
      x = Bottleneck(width, halve)(x)  # at last [B, 2, 2, 128]
    presence = nn.Conv(1, (2, 2), padding='VALID', name='presence')(x)
    points = nn.Conv(3 * POINTS_WITH_IRISES, (2, 2), padding='VALID', name='points')(x)
    return points.reshape(-1, POINTS_WITH_IRISES, 3)[..., :2], presence[:, 0, 0, 0]


def load():
  """Reads the published weights as params of `LandmarkerNetwork`, float32."""
  layers = tflite.Layers(FILE).in_order()
  take = lambda *names: {name: next(layers) for name in names}
  params = take('Conv_0', 'PRelu_0')
  for i in range(len(TRUNK)):
    params[f'Bottleneck_{i}'] = take('Conv_0', 'PRelu_0', 'Depthwise_0', 'Conv_1', 'PRelu_1')
  _, params['presence'], params['points'] = layers  # the first says whether the tongue is out
  return params


def find(params, pictures, sample):
  """Finds the points of the one face of each picture, without a detector; for use under jit.

  As `mesh.find`: the mean of what is found in the picture and in its mirror image.

  Args:
    params: of `LandmarkerNetwork`.
    pictures: [B, R, R, 3] in [0, 1], cut so that the face is about where training had it.
    sample: bilinear look-up (picture [B, R, R, 3], grid [B, h, w, 2] as fractions).

  Returns:
    [B, 478, 2], fractions of the side.
  """
  network = lambda patches: LandmarkerNetwork().apply({'params': params}, patches)[0]
  return find_by(network, SIDE, MIRROR_WITH_IRISES, REFINEMENTS, pictures, sample)


def opencv(depth=False):
  """Runs the network in OpenCV: uint8 [256, 256, 3] -> points [478, 2] in its pixels, logit.

  With `depth` points are [478, 3]; it grows away from the camera, about 0 in the middle of a head.
  """
  net = tflite.network(FILE)

  def run(patch):
    net.setInput(cv2.dnn.blobFromImage(patch, 1 / 255))
    points, presence = net.forward(['Identity', 'Identity_1'])
    return points.reshape(POINTS_WITH_IRISES, 3)[:, : 3 if depth else 2], presence.item()

  return run


class FaceLandmarker(FaceMesh):
  """Finds the 468 points that the mesh has, too, as `find` does: in a square and its mirror image.

  The mesh says whether a face is there, and where the first square is: it loses fewer small faces.
  Pictures are uint8 RGB of any size, places are in pixels.

  Attributes:
    squares: that the network sees of each picture, and of its mirror image.
  """

  def __init__(self, squares=2):
    super().__init__(refinements=1)
    self.squares, self._landmarker = squares, _both_sides(opencv())

  def landmarks(self, image, where):
    """Finds the points of one face; see `FaceMesh.landmarks`."""
    points, presence = super().landmarks(image, where)
    for _ in range(self.squares):
      points, _ = see(self._landmarker, SIDE, image, *square_of(points))
    return points[:POINTS], presence


def _both_sides(network):
  """Runs a network as `opencv` returns it; points are the mean with those of the mirror image."""

  def run(patch):
    points, presence = network(patch)
    mirrored, _ = network(np.ascontiguousarray(patch[:, ::-1]))
    mirrored = mirrored[MIRROR_WITH_IRISES] * np.float32([-1, 1]) + np.float32([SIDE, 0])
    return (points + mirrored) / 2, presence

  return run
