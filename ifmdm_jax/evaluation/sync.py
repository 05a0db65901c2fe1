"""Lip sync without a sync network: does the mouth open when the voice says so?

A ridge regression from speech features to mouth opening, fitted on real people of the training
split, predicts the opening of a video from its sound alone. The score is the correlation of
that with the opening seen. On real videos of unseen people it is about 0.78; what counts is to
come near, not above it: a generator that drew the regression itself would score 1.
"""

import numpy as np

from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.face import lag
from ifmdm_jax.face.points import mouth_opening, smooth
from ifmdm_jax.rates import SAMPLE_RATE

METRICS = {
  'sync_ridge': Metric('truth', '', 'r of the opening with that predicted from the voice', 2),
  'sync_ridge_shuffled': Metric('truth', '', 'the same, voice rolled by half the clip: chance', 2),
  'sync_lag': Metric('truth', 'frames', 'lag at which r is best; positive: the voice is late', 1),
  'av_corr': Metric('truth', '', 'r of the opening with the level of the voice; weak', 2),
}
FEWEST = 25  # frames with a face
MOST = 3  # frames either way that sound and picture may be apart


def level(waveform, frames):
  """Measures the root mean square of a voice [L] at 16 kHz in each video frame: [frames]."""
  samples = np.resize(waveform, frames * SAMPLE_RATE // 25).reshape(frames, -1)
  return np.sqrt((samples**2).mean(1))


def shuffled(features):
  """Rolls features [2T, A] of a voice by half the clip: what lips agree with by chance."""
  return np.roll(features, len(features) // 4 * 2, axis=0)


def load(weights=None):
  """Makes the scorer of the regression that ships, fitted on real people only."""
  return Scorer(lag.load())


class Scorer:
  """See METRICS."""

  def __init__(self, ridge):
    """`ridge`: a `face.lag.OpeningRidge`."""
    self.ridge = ridge

  def score(self, pair):
    if pair.waveform is None:
      return dict.fromkeys(METRICS, Absent('the clip has no sound'))
    if pair.has_face.sum() < FEWEST:
      reason = f'a face in {pair.has_face.sum()} of {len(pair.has_face)} frames, expected {FEWEST}'
      return dict.fromkeys(METRICS, Absent(reason))
    opening = mouth_opening(pair.landmarks)
    best = self.ridge.lag(pair.speech, opening, MOST)
    loudness = level(pair.waveform, len(opening))
    return {
      'sync_ridge': best.r,
      'sync_ridge_shuffled': self.ridge.lag(shuffled(pair.speech), opening, MOST).r,
      'sync_lag': float(best.frames),
      'av_corr': lag.find(loudness, smooth(opening), MOST).r,
    }
