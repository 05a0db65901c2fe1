import numpy as np
import pytest

from ifmdm_jax.evaluation import sync
from ifmdm_jax.evaluation.types import Absent
from tests.evaluation import synthetic


def clip(seed, frames=200, width=6):
  """Features of which the first carries the opening."""
  rng = np.random.default_rng(seed)
  opening = np.convolve(rng.normal(size=frames + 4), np.ones(5) / 5, 'valid')
  features = rng.normal(size=(2 * frames, width))
  features[:, 0] = 30 * np.repeat(opening, 2)
  return features.astype(np.float32), opening


@pytest.fixture(scope='module')
def judge():
  return sync.RidgeJudge.fit([clip(seed) for seed in range(20)])


def test_the_judge_knows_speech_from_chance(judge):
  features, opening = clip(99)
  assert judge.score(features, opening) > 0.8
  assert abs(judge.chance(features, opening)) < 0.4
  assert judge.score(features, opening) > judge.chance(features, opening) + 0.4


def test_the_lag_is_the_shift_of_the_sound():
  series = np.convolve(np.random.default_rng(0).normal(size=104), np.ones(5), 'valid')
  for shift in (-3, 0, 2):
    assert sync.best_lag(np.roll(series, shift), series)[1] == shift


def test_a_face_that_does_not_move_scores_nothing(judge):
  features, opening = clip(7)
  assert judge.score(features, np.full_like(opening, 0.3)) == 0.0


class Told:
  """A judge that has been told the opening: features are [2T, 1], the opening twice."""

  def predict(self, features):
    return features[::2, 0]

  def chance(self, features, opening):
    return sync.best_lag(np.roll(self.predict(features), len(opening) // 2), opening)[0]


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
  scores = sync.Scorer(Told()).score(pair)
  assert scores['sync_ridge'] > 0.95 and scores['sync_lag'] == 0
  assert scores['sync_ridge_shuffled'] < 0.5 and scores['av_corr'] > 0.8


def test_a_late_mouth_is_found_at_its_lag_and_too_late_a_one_scores_less(pair):
  late = lambda frames: synthetic.replace(pair, landmarks=np.roll(pair.landmarks, frames, axis=0))
  assert sync.Scorer(Told()).score(late(3))['sync_lag'] == -3
  assert sync.Scorer(Told()).score(late(12))['sync_ridge'] < 0.6


def test_frames_without_a_face_are_left_out(pair):
  gaps = pair.landmarks.copy()
  gaps[50:90] = np.nan
  scores = sync.Scorer(Told()).score(synthetic.replace(pair, landmarks=gaps))
  assert scores['sync_ridge'] > 0.95 and scores['sync_lag'] == 0


def test_no_sound_or_hardly_a_face_is_a_reason(pair):
  silent = sync.Scorer(Told()).score(synthetic.replace(pair, waveform=None, speech=None))
  nowhere = np.full_like(pair.landmarks, np.nan)
  faceless = sync.Scorer(Told()).score(synthetic.replace(pair, landmarks=nowhere))
  assert all(isinstance(v, Absent) for v in [*silent.values(), *faceless.values()])
  assert 'no sound' in silent['sync_ridge'].reason and '0 of 200' in faceless['av_corr'].reason


def test_the_judge_that_ships_fits_the_speech_features():
  scorer = sync.load()
  assert scorer.judge.predict(np.random.default_rng(0).normal(size=(20, 384))).shape == (10,)
