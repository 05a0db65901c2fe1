import numpy as np
import pytest

from ifmdm_jax.evaluation import sync
from ifmdm_jax.evaluation.types import Absent
from ifmdm_jax.face import lag
from tests.evaluation import synthetic


class Known:
  """Stands for the regression: features are [2T, 1], the opening twice."""

  def lag(self, features, opening, most):
    return lag.find(features[::2, 0], opening, most)


@pytest.fixture
def pair():
  """A face whose mouth opens at random, smoothly, and a voice that is loud when it is open."""
  points = synthetic.mesh(200)
  opening = np.convolve(np.random.default_rng(0).random(204), np.ones(5) / 5, 'valid')
  points[:, 14] = points[:, 13] + np.stack([0 * opening, 40 * opening], -1)
  loudness = np.repeat(opening, 640)
  waveform = loudness * np.sin(np.arange(len(loudness)))
  video = np.zeros((200, 8, 8, 3), np.uint8)
  speech = np.repeat(opening, 2)[:, None]
  return synthetic.Pair('c', 'p', video, video, points, points, waveform, speech)


def test_the_truth_is_in_sync_and_shuffled_voice_is_not(pair):
  scores = sync.Scorer(Known()).score(pair)
  assert scores['sync_ridge'] > 0.95 and scores['sync_lag'] == 0
  assert scores['sync_ridge_shuffled'] < 0.5 and scores['av_corr'] > 0.8


def test_a_late_mouth_is_found_at_its_lag_and_too_late_a_one_scores_less(pair):
  late = lambda frames: synthetic.replace(pair, landmarks=np.roll(pair.landmarks, frames, axis=0))
  assert sync.Scorer(Known()).score(late(3))['sync_lag'] == -3
  assert sync.Scorer(Known()).score(late(12))['sync_ridge'] < 0.6


def test_frames_without_a_face_are_left_out(pair):
  gaps = pair.landmarks.copy()
  gaps[50:90] = np.nan
  scores = sync.Scorer(Known()).score(synthetic.replace(pair, landmarks=gaps))
  assert scores['sync_ridge'] > 0.95 and scores['sync_lag'] == 0


def test_no_sound_or_hardly_a_face_is_a_reason(pair):
  silent = sync.Scorer(Known()).score(synthetic.replace(pair, waveform=None, speech=None))
  nowhere = np.full_like(pair.landmarks, np.nan)
  faceless = sync.Scorer(Known()).score(synthetic.replace(pair, landmarks=nowhere))
  assert all(isinstance(v, Absent) for v in [*silent.values(), *faceless.values()])
  assert 'no sound' in silent['sync_ridge'].reason and '0 of 200' in faceless['av_corr'].reason


def test_the_regression_that_ships_fits_the_speech_features():
  scorer = sync.load()
  assert scorer.ridge.predict(np.random.default_rng(0).normal(size=(20, 384))).shape == (10,)
