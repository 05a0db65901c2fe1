"""Paired picture metrics of the lower face alone: what a dub draws anew.

The lower face is the square around jaw and base of the nose (points 2 to 14 and 33 of the 68) of
the real frame, in both videos, at `crop.FACE_SIDE` pixels; the first frame counts as all others.
"""

import numpy as np

from ifmdm_jax.evaluation import images, perceptual
from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.face import crop

EVERY = 5  # frames
METRICS = {
  'lower_psnr': Metric('up', 'dB', f'square around jaw and nose, every {EVERY}th frame', 2),
  'lower_ssim': Metric('up', '', f'the same square, every {EVERY}th frame'),
  'lower_lpips': Metric('down', '', f'the same square, AlexNet, every {EVERY}th frame'),
}


def load(weights=None):
  """Loads AlexNet; InputError where its package is not installed."""
  return Scorer(perceptual.load(weights))


class Scorer:
  """See METRICS."""

  def __init__(self, distance):
    """`distance`: a `perceptual.Scorer`."""
    self._distance = distance

  def score(self, pair):
    chosen = np.flatnonzero(pair.reference_has_face)[::EVERY]
    if not len(chosen):
      return dict.fromkeys(METRICS, Absent('no face in the reference'))
    points = pair.reference_landmarks[chosen]
    predicted = crop.lower_faces(pair.predicted[chosen], points)
    real = crop.lower_faces(pair.reference[chosen], points)
    return {
      'lower_psnr': float(np.mean(images.psnr(predicted, real))),
      'lower_ssim': float(np.mean([images.ssim(a, b) for a, b in zip(predicted, real)])),
      'lower_lpips': float(self._distance.distance('alex', predicted, real).mean()),
    }
