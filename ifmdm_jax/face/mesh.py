"""Finds the 468 points of a face: MediaPipe's face mesh (Kartynnik et al. 2019).

Lips and lids that move are seen better by the network of 478 points in `landmarker.py`.

One network by two engines: OpenCV, quick on one core, and JAX, a pure function that can be compiled
with whatever uses it, so that a sampler reads a portrait without leaving the device.

The network sees a square, turned until the eyes are level, around the points that it found in the
square before. The first square is a guess; after `REFINEMENTS` of them the points hardly depend on
it.
"""

from collections.abc import Iterable

import cv2
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import align, crop, tflite
from ifmdm_jax.face.detect import Face, FaceDetector
from ifmdm_jax.face.points import LEFT_LIDS, MIRROR, POINTS, RIGHT_LIDS
from ifmdm_jax.nn.depthwise import Depthwise
from ifmdm_jax.nn.prelu import PRelu

FILE = 'face_landmark.tflite'
SIDE = 192  # pixels that the network sees
REFINEMENTS = 6
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
SHARED = 14  # of these blocks precede the head that says whether a face is there
# The first square in a picture that `crop.crop_square` cut: centre x, y and side as fractions.
EXPECTED = (0.5, 0.47, 0.8)


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


class MeshNetwork(nn.Module):
  """Locates a face's points. RGB in [0, 1], [B, 192, 192, 3] -> points, features.

  Points are [B, 468, 2] in pixels of the input, x before y; features [B, 6, 6, 128] are for
  `PresenceNetwork`.
  """

  @nn.compact
  def __call__(self, image):
    x = nn.Conv(16, (3, 3), (2, 2), padding=((0, 1), (0, 1)))(image)
    x = PRelu()(x)
    for i, (width, halve) in enumerate(TRUNK):
      if i == SHARED:
        features = x
      x = Block(width, halve)(x)
    x = PRelu()(nn.Conv(32, (1, 1))(x))
    x = Block(32)(x)
    x = nn.Conv(3 * POINTS, (3, 3), padding='VALID', name='points')(x)
    return x.reshape(-1, POINTS, 3)[..., :2], features


class PresenceNetwork(nn.Module):
  """Says whether a face is there. Features of `MeshNetwork` -> logit [B]."""

  @nn.compact
  def __call__(self, features):
    x = Block(128, HALVE)(features)
    x = PRelu()(nn.Conv(32, (1, 1))(x))
    x = Block(32)(x)
    return nn.Conv(1, (3, 3), padding='VALID', name='presence')(x)[:, 0, 0, 0]


def load():
  """Reads the published weights as params of `MeshNetwork`, float32."""
  layers, last = tflite.Layers(FILE), len(TRUNK)
  params = {f'Block_{i}': _block(layers, i, i + 1, i + 1) for i in range(last)}
  params |= {
    'Conv_0': layers.conv(0), 'PRelu_0': layers.prelu(0),
    'Conv_1': layers.conv(last + 1), 'PRelu_1': layers.prelu(last + 1),
    f'Block_{last}': _block(layers, last, last + 2, last + 2),
    'points': layers.conv(last + 3),
  }  # fmt: skip
  return params


def load_presence():
  """Reads the published weights as params of `PresenceNetwork`, float32."""
  layers = tflite.Layers(FILE)
  return {
    'Block_0': _block(layers, 22, 27, 25),
    'Conv_0': layers.conv(28), 'PRelu_0': layers.prelu(26),
    'Block_1': _block(layers, 23, 29, 27),
    'presence': layers.conv(30),
  }  # fmt: skip


def _block(layers, depthwise, pointwise, prelu):
  return {
    'Depthwise_0': layers.depthwise(depthwise),
    'Conv_0': layers.conv(pointwise),
    'PRelu_0': layers.prelu(prelu),
  }


def square(low, high, left, right):
  """Places the network's square: 1.5 times the longer side of a box, eyes level (MediaPipe's rule).

  Args:
    low, high: corners of the box, [..., 2]; NumPy or JAX.
    left, right: outer corners of the eyes, [..., 2].

  Returns:
    Centre [..., 2], and a vector along the upper edge, as long as the side, [..., 2].
  """
  np_ = align.numpy_of(low)
  level = right - left
  level = level / np_.linalg.norm(level, axis=-1, keepdims=True)
  return (low + high) / 2.0, 1.5 * (high - low).max(-1, keepdims=True) * level


def square_of(landmarks):
  """Places the square around points [..., 468, 2]; see `square`."""
  eyes = landmarks[..., LEFT_LIDS.outer, :], landmarks[..., RIGHT_LIDS.outer, :]
  return square(landmarks.min(-2), landmarks.max(-2), *eyes)


def find(params, pictures, sample):
  """Finds the points of the one face of each picture, without a detector; for use under jit.

  Each is the mean of what is found in the picture and in its mirror image: the network errs
  differently in the two, and a good part of it cancels.

  Args:
    params: of `MeshNetwork`.
    pictures: [B, R, R, 3] in [0, 1], cut so that the face is about where training had it.
    sample: bilinear look-up (picture [B, R, R, 3], grid [B, h, w, 2] as fractions).

  Returns:
    [B, 468, 2], fractions of the side.
  """
  network = lambda patches: MeshNetwork().apply({'params': params}, patches)[0]
  return find_by(network, SIDE, MIRROR, REFINEMENTS, pictures, sample)


def find_by(network, side, mirror, refinements, pictures, sample):
  """Finds points as `find` does, by any network of such squares.

  Args:
    network: [B, side, side, 3] in [0, 1] -> points [B, P, 2] in its pixels.
    side: pixels that the network sees.
    mirror: [P], for each point its number in a mirrored picture.
    refinements: squares that the network sees of each picture and of its mirror image.
    pictures, sample: see `find`.

  Returns:
    [B, P, 2], fractions of the side of the picture.
  """
  x, y, extent = EXPECTED
  pictures = jnp.concatenate([pictures, pictures[:, :, ::-1]])
  batch = pictures.shape[0]
  centre = jnp.broadcast_to(jnp.array([x, y]), (batch, 2))
  across = jnp.broadcast_to(jnp.array([extent, 0.0]), (batch, 2))
  pixel = (jnp.arange(side, dtype=jnp.float32) + 0.5) / side - 0.5
  u, v = (c[None, ..., None] for c in jnp.meshgrid(pixel, pixel))  # [1, side, side, 1]

  def refine(where, _):
    centre, across = where
    down = jnp.stack([-across[:, 1], across[:, 0]], -1)
    place = lambda u, v: centre[:, None, None] + u * across[:, None, None] + v * down[:, None, None]
    points = network(sample(pictures, place(u, v))) / side - 0.5
    points = place(points[:, :, None, :1], points[:, :, None, 1:])[:, :, 0]
    return square_of(points), points

  points = jax.lax.scan(refine, (centre, across), length=refinements)[1][-1]
  seen, mirrored = jnp.split(points, 2)
  mirrored = mirrored[:, mirror]
  mirrored = jnp.stack([1.0 - mirrored[..., 0], mirrored[..., 1]], axis=-1)
  return (seen + mirrored) / 2.0


def see(network, side, image, centre, across):
  """Runs a network on one square of a picture.

  Args:
    network: uint8 RGB [side, side, 3] -> points [P, 2] in its pixels, logit of a face.
    side: pixels that the network sees.
    image: uint8 RGB [H, W, 3].
    centre, across: the square, see `square`.

  Returns:
    Points float32 [P, 2] in pixels of the picture, and the probability of a face.
  """
  x, y = np.asarray(across, np.float64) / side
  turn = np.array([[x, -y], [y, x]])
  to_picture = np.column_stack([turn, centre - turn @ np.full(2, side / 2)])
  patch = crop.warp(image, crop.indexed(to_picture), side, inverse=True, edge=cv2.BORDER_CONSTANT)
  points, presence = network(patch)
  points = points @ turn.T + to_picture[:, 2]
  return points.astype(np.float32), float(1 / (1 + np.exp(-presence)))


def _opencv():
  """Runs the network in OpenCV: uint8 [192, 192, 3] -> points [468, 2] in its pixels, logit."""
  net = tflite.network(FILE)

  def run(patch):
    net.setInput(cv2.dnn.blobFromImage(patch, 1 / 255))
    points, presence = net.forward(['conv2d_20', 'conv2d_30'])
    return points.reshape(POINTS, 3)[:, :2], presence.item()

  return run


def _jax():
  """Runs the network in JAX; as `_opencv`."""
  params, presence_params = load(), load_presence()

  @jax.jit
  def network(patch):
    points, features = MeshNetwork().apply({'params': params}, patch[None] / 255.0)
    return points[0], PresenceNetwork().apply({'params': presence_params}, features)[0]

  def run(patch):
    points, presence = network(patch.astype(np.float32))
    return np.asarray(points), float(presence)

  return run


ENGINES = {'opencv': _opencv, 'jax': _jax}


class FaceMesh:
  """Finds the points of faces in uint8 RGB pictures of any size, places in pixels.

  Attributes:
    network: uint8 [192, 192, 3] -> points [468, 2] in its pixels, logit of a face.
    refinements: squares that the network sees of each picture. One is enough to follow a face.
  """

  def __init__(self, refinements=REFINEMENTS, engine='opencv'):
    """`engine`: 'opencv' or 'jax'.

    Raises:
      InputError: there is no such engine.
    """
    if engine not in ENGINES:
      raise InputError(f'expected an engine of {", ".join(ENGINES)}, got {engine!r}: choose one')
    self.network, self.refinements = ENGINES[engine](), refinements

  def landmarks(self, image, where) -> tuple[np.ndarray, float]:
    """Finds the points of one face.

    Args:
      image: uint8 RGB [H, W, 3].
      where: a `Face`, from which a first square follows and is refined; or points [468, 2], of the
        frame before or a guess.

    Returns:
      Points float32 [468, 2] and the probability that a face is there.
    """
    if isinstance(where, Face):
      low, extent = where.box[:2], where.box[2:]
      where, _ = self._see(image, *square(low, low + extent, *where.eyes))
    for _ in range(self.refinements):
      where, presence = self._see(image, *square_of(where))
    return where, presence

  def _see(self, image, centre, across):
    return see(self.network, SIDE, image, centre, across)

  def track(self, frames: Iterable[np.ndarray], detector=None, threshold=0.5) -> np.ndarray:
    """Follows the largest face of a video from frame to frame.

    A lost face is searched anew; where there is none the points are NaN.

    Args:
      frames: uint8 RGB [H, W, 3].
      detector: a `FaceDetector`; None makes one.
      threshold: probability below which the face is lost.

    Returns:
      float32 [T, 468, 2].
    """
    detector = detector or FaceDetector()
    track, last = [], None
    for image in frames:
      points, presence = (None, 0.0) if last is None else self.landmarks(image, last)
      if presence < threshold:
        faces = detector(image)
        if faces:
          points, presence = self.landmarks(image, faces[0])
      last = points if presence >= threshold else None
      track.append(np.full((POINTS, 2), np.nan, np.float32) if last is None else last)
    return np.stack(track) if track else np.zeros((0, POINTS, 2), np.float32)
