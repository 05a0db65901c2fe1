"""Lip sync without a sync network: does the mouth open when the voice says so?

A ridge regression from speech features to mouth opening, fitted on real people of the training
split, predicts the opening of a video from its sound alone. The score is the correlation of
that with the opening seen. On real videos of unseen people it is about 0.78; what counts is to
come near, not above it: a generator that drew the regression itself would score 1.
"""

import dataclasses
import pathlib

import numpy as np

from ifmdm_jax.evaluation.types import SAMPLE_RATE, Absent, Metric
from ifmdm_jax.face import points
from ifmdm_jax.face.points import smooth

METRICS = {
  'sync_ridge': Metric('truth', '', 'r of the opening with that predicted from the voice', 2),
  'sync_ridge_shuffled': Metric('truth', '', 'the same, voice rolled by half the clip: chance', 2),
  'sync_lag': Metric('truth', 'frames', 'shift of the opening at which r is best, -3 to 3', 1),
  'av_corr': Metric('truth', '', 'r of the opening with the level of the voice; weak', 2),
}
BUNDLED = pathlib.Path(__file__).parents[1] / 'weights' / 'sync_ridge.npz'
FEWEST = 25  # frames with a face
CONTEXT = 2  # frames on either side
RIDGE = 1e5
LAG = 3  # frames either way that sound and picture may be apart


def standard(x):
  """Mean 0 and deviation 1 over time."""
  return (x - x.mean(0)) / (x.std(0) + 1e-8)


def context(features):
  """[2T, A] -> [T, 2 A (2 CONTEXT + 1)], standardised per clip, ends repeated."""
  features = standard(features)
  frames = features.reshape(len(features) // 2, -1)
  padded = np.pad(frames, ((CONTEXT, CONTEXT), (0, 0)), mode='edge')
  return np.concatenate([padded[i : i + len(frames)] for i in range(2 * CONTEXT + 1)], axis=1)


def correlation(a, b):
  """Pearson's r of two series where both are finite; 0 if one of them does not move."""
  both = np.isfinite(a) & np.isfinite(b)
  if both.sum() < 2:
    return 0.0
  a, b = a[both].astype(np.float64), b[both].astype(np.float64)
  a, b = a - a.mean(), b - b.mean()
  norm = np.sqrt((a**2).sum() * (b**2).sum())
  return float((a * b).sum() / norm) if norm > 1e-12 else 0.0


def best_lag(predicted, seen, lag=LAG):
  """(r, lag): the best correlation over shifts of up to `lag` frames, and its shift."""
  count = min(len(predicted), len(seen))
  scores = {}
  for shift in range(-lag, lag + 1):
    a = predicted[max(0, shift) : count + min(0, shift)]
    b = seen[max(0, -shift) : count + min(0, -shift)]
    scores[shift] = correlation(a, b)
  shift = max(scores, key=lambda s: scores[s])
  return scores[shift], shift


def level(waveform, frames):
  """Root mean square of the voice in each video frame, [frames]."""
  samples = np.resize(waveform, frames * SAMPLE_RATE // 25).reshape(frames, -1)
  return np.sqrt((samples**2).mean(1))


def load(weights=None):
  """The judge that ships, fitted by experiments/reproduction/judges.py on real people only."""
  with np.load(BUNDLED) as file:
    return Scorer(RidgeJudge(file['weight'].astype(np.float64)))


class Scorer:
  """See METRICS."""

  def __init__(self, judge):
    self.judge = judge

  def score(self, pair):
    if pair.waveform is None:
      return dict.fromkeys(METRICS, Absent('the clip has no sound'))
    if pair.has_face.sum() < FEWEST:
      reason = f'a face in {pair.has_face.sum()} of {len(pair.has_face)} frames, expected {FEWEST}'
      return dict.fromkeys(METRICS, Absent(reason))
    opening = points.mouth_opening(pair.landmarks)
    score, lag = best_lag(self.judge.predict(pair.speech), smooth(opening))
    return {
      'sync_ridge': score,
      'sync_ridge_shuffled': self.judge.chance(pair.speech, opening),
      'sync_lag': float(lag),
      'av_corr': best_lag(level(pair.waveform, len(opening)), smooth(opening))[0],
    }


@dataclasses.dataclass(frozen=True)
class RidgeJudge:
  """Predicts mouth opening from speech features; see `fit`."""

  weight: np.ndarray

  @classmethod
  def fit(cls, clips):
    """From (features [2T, A], mouth opening [T]) of real people."""
    inputs, targets = [], []
    for features, opening in clips:
      count = min(len(features) // 2, len(opening))
      inputs.append(context(features[: 2 * count]))
      targets.append(standard(smooth(opening[:count])))
    x, y = np.concatenate(inputs).astype(np.float64), np.concatenate(targets)
    gram = x.T @ x + RIDGE * np.eye(x.shape[1])
    return cls(np.linalg.solve(gram, x.T @ y))

  def predict(self, features):
    """[2T, A] -> opening [T], no unit."""
    return context(features) @ self.weight

  def score(self, features, opening):
    """`sync_ridge` of one video: r at its best lag."""
    return best_lag(self.predict(features), smooth(opening))[0]

  def chance(self, features, opening):
    """The same with the voice rolled by half the clip."""
    half = len(features) // 4 * 2
    return self.score(np.roll(features, half, axis=0), opening)
