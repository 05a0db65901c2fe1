"""Estimates by how many frames a voice is late; every process makes an estimator for itself."""

import functools

from ifmdm_jax.audio import features
from ifmdm_jax.face import lag
from ifmdm_jax.face.points import mouth_opening
from ifmdm_jax.rates import SAMPLE_RATE

MOST = 15  # frames that voice and lips are looked for apart


class LagEstimator:
  """Finds the `face.lag.Lag` of a waveform [L] at 16 kHz for landmarks [T, 468, 2].

  No network is trained for it: `face.lag.OpeningRidge` on Whisper features.
  """

  @functools.cached_property
  def _networks(self):
    """Loaded at the first call: ready clips and stills need none."""
    return features.load('whisper_tiny'), lag.load()

  def __call__(self, waveform, landmarks):
    encoder, ridge = self._networks
    speech = encoder.features(waveform, SAMPLE_RATE)
    return ridge.lag(speech, mouth_opening(landmarks), MOST)
