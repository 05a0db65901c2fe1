"""By how many frames a voice is late: the estimator that every process makes for itself."""

import functools

from ifmdm_jax.audio import features
from ifmdm_jax.clip import SAMPLE_RATE
from ifmdm_jax.evaluation import sync
from ifmdm_jax.face.points import mouth_opening

LAG = 15  # frames that voice and lips are looked for apart


class LagEstimator:
  """(waveform [L] at 16 kHz, landmarks [T, 468, 2]) -> (frames by which the voice is late, r).

  No network is trained for it: a ridge regression from Whisper features to the mouth opening
  (`evaluation.sync`), whose correlation with the opening seen is taken at every shift.
  """

  @functools.cached_property
  def _networks(self):
    """Loaded at the first call: ready clips and stills need none."""
    return features.load('whisper_tiny'), sync.load().judge

  def __call__(self, waveform, landmarks):
    encoder, ridge = self._networks
    speech = encoder.features(waveform, SAMPLE_RATE)
    return lag(ridge, speech, mouth_opening(landmarks))


def lag(ridge, speech, opening):
  """Estimates the same from features [2T, 384] and mouth opening [T]."""
  r, shift = sync.best_lag(ridge.predict(speech), sync.smooth(opening), LAG)
  return shift, r
