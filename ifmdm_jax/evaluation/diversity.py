"""How much samples of one portrait and one voice differ: deviation over K seeds."""

import itertools

import cv2
import numpy as np

from ifmdm_jax.evaluation import geometry
from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.face import align, crop
from ifmdm_jax.face.points import EXPRESSIVE, RIGID

METRICS = {
  'diversity_face': Metric('truth', '/255', 'deviation over seeds in the face box at 1-4 s', 2),
  'diversity_torso': Metric('truth', '/255', 'the same below the face', 2),
  'diversity_background': Metric('down', '/255', 'the same in the rest of the picture', 2),
  'diversity_expression': Metric('truth', 'mm', 'pairwise distance of lips, lids, brows', 2),
}
MAP_SIDE, BRIGHTEST = 256, 64  # of a map: pixels, and the deviation of 255 that is white


def score(samples, landmarks, portrait_landmarks):
  """Measures METRICS of one clip.

  Args:
    samples: uint8 [K, N, R, R, 3], K samples at N instants.
    landmarks: [K, N, 468, 2] of them, pixels, NaN where no face was found.
    portrait_landmarks: [468, 2] of the picture they started from; says where the face is.
  """
  if not np.isfinite(portrait_landmarks).all():
    return dict.fromkeys(METRICS, Absent('no face in the first frame'))
  spread = deviation(samples).mean(0)
  face, torso = regions(portrait_landmarks, spread.shape[0])
  shapes = _from_the_head(landmarks, portrait_landmarks)
  pairs = [np.linalg.norm(a - b, axis=-1) for a, b in itertools.combinations(shapes, 2)]
  distance = np.stack(pairs)[np.isfinite(pairs)]
  return {
    'diversity_face': float(spread[face].mean()),
    'diversity_torso': float(spread[torso].mean()) if torso.any() else Absent('no torso in view'),
    'diversity_background': float(spread[~face & ~torso].mean()),
    'diversity_expression': float(distance.mean()) if distance.size else Absent('no face'),
  }


def deviation(samples):
  """Measures by how much uint8 samples [K, N, R, R, 3] differ in each pixel: [N, R, R], of 255."""
  return samples.astype(np.float32).std(0).mean(-1)


def spread_map(samples, portrait):
  """Draws the portrait and beside it, instant by instant, where samples differ: black to white.

  Args:
    samples: uint8 [K, N, R, R, 3].
    portrait: uint8 [R, R, 3].

  Returns:
    uint8 [MAP_SIDE, (1 + N) MAP_SIDE, 3]; white is a deviation of BRIGHTEST or more.
  """
  levels = (deviation(samples) * (255 / BRIGHTEST)).clip(0, 255).astype(np.uint8)
  maps = [cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)[..., ::-1] for level in levels]
  small = lambda picture: cv2.resize(picture, (MAP_SIDE, MAP_SIDE), interpolation=cv2.INTER_AREA)
  return np.concatenate([small(picture) for picture in (portrait, *maps)], axis=1)


def regions(landmarks, side):
  """Draws masks [side, side] of face and torso for landmarks [468, 2] in pixels."""
  face, torso = np.zeros((2, side, side), bool)
  rows, columns = crop.face_box(landmarks, side)
  face[rows, columns] = True
  middle, half = (columns.start + columns.stop) // 2, columns.stop - columns.start
  torso[rows.stop :, max(0, middle - half) : middle + half] = True
  return face, torso


def _from_the_head(landmarks, portrait):
  """Brings each head onto the portrait's; its expressive points in mm, [K, N, P, 2]."""
  move = align.similarity(
    landmarks[..., RIGID, :],
    np.broadcast_to(portrait[RIGID], (*landmarks.shape[:2], len(RIGID), 2)),
  )
  return geometry.to_mm(move(landmarks[..., EXPRESSIVE, :]), portrait[None])
