"""Paired landmark metrics: where lips and face are against the real ones, frame by frame."""

import numpy as np

from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.face import align, points
from ifmdm_jax.face.lag import correlation

METRICS = {
  'lmd': Metric('down', '%', '20 mouth points less their mean, % of the real eye distance', 2),
  'f_lmd': Metric('down', '%', '68 face points after similarity alignment, % of eye distance', 2),
  'opening_r': Metric('up', '', 'Pearson r of the mouth opening with the real one', 2),
  'opening_slope': Metric('truth', '', 'slope of the opening over the real one; 1 is right', 2),
}
FEWEST = 5  # frames with both faces


def load(weights=None):
  return Scorer()


def lmd(predicted, real):
  """Measures the landmark distance of the mouth (Chen et al. 2018), % of eye distance, [T].

  Args:
    predicted, real: [T, 468, 2], pixels of the same scale.
  """
  mouth = lambda landmarks: landmarks[:, points.IBUG_MOUTH]
  centred = lambda landmarks: mouth(landmarks) - mouth(landmarks).mean(1, keepdims=True)
  return _relative(centred(predicted) - centred(real), real)


def f_lmd(predicted, real):
  """Measures the landmark distance of 68 points after a similarity alignment, %, per frame [T]."""
  predicted, target = predicted[:, points.IBUG], real[:, points.IBUG]
  return _relative(align.similarity(predicted, target)(predicted) - target, real)


def _relative(difference, real):
  return 100 * np.linalg.norm(difference, axis=-1).mean(1) / points.eye_distance(real)


def slope(x, y):
  """Fits y(x) by a line, least squares, and returns its slope; 0 if x does not move."""
  x = x - x.mean()
  return float((x * y).sum() / max((x**2).sum(), 1e-12))


class Scorer:
  """Over the frames in which both videos show a face."""

  def score(self, pair):
    both = pair.has_face & pair.reference_has_face
    if both.sum() < FEWEST:
      reason = f'a face in both videos in {both.sum()} of {len(both)} frames'
      return dict.fromkeys(METRICS, Absent(reason))
    predicted, real = pair.landmarks[both], pair.reference_landmarks[both]
    opening, real_opening = points.mouth_opening(predicted), points.mouth_opening(real)
    return {
      'lmd': float(lmd(predicted, real).mean()),
      'f_lmd': float(f_lmd(predicted, real).mean()),
      'opening_r': correlation(opening, real_opening),
      'opening_slope': slope(real_opening, opening),
    }
