"""Does one see that a film was dubbed? The edge of what was changed, and its steadiness.

Both are held against the film itself in the same pixels: nobody could tell a dub by a seam of 0
and a flicker of 1. They take the film as it was read and the dub as it was drawn: a codec in
between would change every pixel, and so the edge would be that of the picture.
"""

import cv2
import numpy as np

from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.face import points

METRICS = {
  'changed': Metric('down', '%', 'pixels that are not the bits of the film', 1),
  'seam': Metric(
    'down', '', "gradient that an edge of what was changed adds, over the film's there"
  ),
  'flicker_ratio': Metric(
    'truth', '', "mean |I(t+1) - 2 I(t) + I(t-1)| of the skin around the mouth, over the film's", 2
  ),
}
RING = 3  # pixels either way: how wide an edge is
SKIN = (0.15, 0.5)  # margins of the inner and the outer box around the lips, shares of their width


def load(weights=None):
  return Scorer()


def changed(predicted, film):
  """Marks the pixels of two frames uint8 [H, W, 3] that differ: bool [H, W]."""
  return (predicted != film).any(-1)


def seam(predicted, film):
  """Sums gradients along the edge of what was changed.

  Returns:
    (those that were added to the film's, the film's own), grey levels; (0, 0) without a change.
  """
  here = changed(predicted, film).astype(np.uint8)
  kernel = np.ones((2 * RING + 1, 2 * RING + 1), np.uint8)
  filled = cv2.morphologyEx(here, cv2.MORPH_CLOSE, kernel)  # equal by chance is no edge
  ring = cv2.dilate(filled, kernel) > cv2.erode(filled, kernel)
  drawn, real = _gradient(predicted)[ring], _gradient(film)[ring]
  return tuple(float(np.hypot(*each.T).sum()) for each in (drawn - real, real))


def _gradient(frame):
  grey = _grey(frame)
  return np.stack([cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)], -1)


def unsteadiness(frames, landmarks):
  """Averages |I(t+1) - 2 I(t) + I(t-1)| around the lips, from frames uint8 [T, H, W, 3].

  Args:
    landmarks: [T, 468, 2] of the film, pixels, NaN where there is no face.

  Returns:
    grey levels, or None if no three frames in a row show a face.
  """
  seen = np.isfinite(landmarks).all((1, 2))
  values = []
  for t in np.flatnonzero(seen[:-2] & seen[1:-1] & seen[2:]) + 1:
    before, now, after = (_grey(frames[i]) for i in (t - 1, t, t + 1))
    values.append(np.abs(before - 2 * now + after)[_skin(landmarks[t], now.shape)].mean())
  return float(np.mean(values)) if values else None


def _grey(frame):
  return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _skin(landmarks, shape):
  """Marks the frame of skin around the lips of landmarks [468, 2]: bool [H, W]."""
  lips = landmarks[points.LIPS_OUTER]
  low, high = lips.min(0), lips.max(0)
  here = np.zeros(shape, bool)
  for margin, inside in zip(SKIN[::-1], (True, False)):
    room = margin * (high[0] - low[0])
    (x_0, y_0), (x_1, y_1) = (np.round(edge).astype(int) for edge in (low - room, high + room))
    here[max(y_0, 0) : max(y_1, 0), max(x_0, 0) : max(x_1, 0)] = inside
  return here


class Scorer:
  """See METRICS."""

  def score(self, pair):
    both = list(zip(pair.predicted, pair.reference))
    if pair.predicted is pair.reference:
      return {'changed': 0.0, 'seam': 0.0, 'flicker_ratio': 1.0}
    share = float(100 * np.mean([changed(a, b).mean() for a, b in both]))
    added, real = np.sum([seam(a, b) for a, b in both], axis=0)
    steady = unsteadiness(pair.reference, pair.reference_landmarks)
    unknown = Absent('no three frames in a row with a face that moves')
    return {
      'changed': share,
      'seam': float(added / real) if real > 0 else 0.0,
      'flicker_ratio': (
        unsteadiness(pair.predicted, pair.reference_landmarks) / steady if steady else unknown
      ),
    }
