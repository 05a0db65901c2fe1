"""Finds by how many frames a voice is late for the lips. One sign everywhere: positive, it is late.

Lips alone say little; what they are compared with is the mouth opening that a ridge regression,
fitted on real people, predicts from the voice.
"""

import dataclasses
import pathlib

import numpy as np

from ifmdm_jax.face.points import smooth

BUNDLED = pathlib.Path(__file__).parents[1] / 'weights' / 'sync_ridge.npz'
MEL = BUNDLED.with_name('sync_ridge_mel.npz')
CONTEXT = 2  # frames on either side of the one that is predicted
RIDGE = 1e5


@dataclasses.dataclass(frozen=True)
class Lag:
  """How late a voice is for the lips.

  Attributes:
    frames: at 25 per second; positive: the voice is late, and the pictures have to wait for it.
    r: how well both agree there: a correlation, or the confidence of a network.
  """

  frames: int
  r: float


def correlation(a, b):
  """Computes Pearson's r of two series where both are finite; 0 if one of them does not move."""
  both = np.isfinite(a) & np.isfinite(b)
  if both.sum() < 2:
    return 0.0
  a, b = a[both].astype(np.float64), b[both].astype(np.float64)
  a, b = a - a.mean(), b - b.mean()
  norm = np.sqrt((a**2).sum() * (b**2).sum())
  return float((a * b).sum() / norm) if norm > 1e-12 else 0.0


def find(of_voice, of_lips, most):
  """Finds the shift at which two series correlate best.

  Args:
    of_voice, of_lips: one number a frame, [T] and [T'], from the same moment on; NaN is left out.
    most: frames either way that are tried.

  Returns:
    `Lag`; its r is the correlation there.
  """
  count = min(len(of_voice), len(of_lips))
  scores = {}
  for late in range(-most, most + 1):
    voice = of_voice[max(0, late) : count + min(0, late)]
    lips = of_lips[max(0, -late) : count + min(0, -late)]
    scores[late] = correlation(voice, lips)
  late = max(scores, key=lambda frames: scores[frames])
  return Lag(late, scores[late])


def standard(x):
  """Brings a series [T, ...] to mean 0 and deviation 1 over time."""
  return (x - x.mean(0)) / (x.std(0) + 1e-8)


def context(features):
  """Lists features [2T, A] of each frame and its neighbours: [T, 2 A (2 CONTEXT + 1)].

  They are standardised over the clip; ends repeat.
  """
  features = standard(features)
  frames = features.reshape(len(features) // 2, -1)
  padded = np.pad(frames, ((CONTEXT, CONTEXT), (0, 0)), mode='edge')
  return np.concatenate([padded[i : i + len(frames)] for i in range(2 * CONTEXT + 1)], axis=1)


@dataclasses.dataclass(frozen=True)
class OpeningRidge:
  """Predicts mouth opening from speech features; see `fit`.

  Attributes:
    weight: [2 A (2 CONTEXT + 1)].
  """

  weight: np.ndarray

  @classmethod
  def fit(cls, clips):
    """Fits the regression to (features [2T, A], mouth opening [T]) of real people."""
    inputs, targets = [], []
    for features, opening in clips:
      count = min(len(features) // 2, len(opening))
      inputs.append(context(features[: 2 * count]))
      targets.append(standard(smooth(opening[:count])))
    x, y = np.concatenate(inputs).astype(np.float64), np.concatenate(targets)
    gram = x.T @ x + RIDGE * np.eye(x.shape[1])
    return cls(np.linalg.solve(gram, x.T @ y))

  def predict(self, features):
    """Predicts the opening of [2T, A], [T], no unit."""
    return context(features) @ self.weight

  def lag(self, features, opening, most):
    """Finds the `Lag` of features [2T, A] of a voice for a mouth opening [T]; see `find`."""
    return find(self.predict(features), smooth(opening), most)


def load(path=BUNDLED):
  """Reads a regression that ships: on features of Whisper-tiny (block 2), or MEL, on the log-mel
  spectrum, of which no network that knows one language better than another has made anything."""
  with np.load(path) as file:
    return OpeningRidge(file['weight'].astype(np.float64))
