import numpy as np
import pytest

from ifmdm_jax.evaluation import lip_sync, sync
from ifmdm_jax.face import lag
from ifmdm_jax.face.lag import OpeningRidge
from ifmdm_jax.pipeline.prep import lag as estimators


def clip(seed, frames=200, width=6):
  """Features of which the first carries the opening."""
  rng = np.random.default_rng(seed)
  opening = np.convolve(rng.normal(size=frames + 4), np.ones(5) / 5, 'valid')
  features = rng.normal(size=(2 * frames, width))
  features[:, 0] = 30 * np.repeat(opening, 2)
  return features.astype(np.float32), opening


@pytest.fixture(scope='module')
def ridge():
  return OpeningRidge.fit([clip(seed) for seed in range(20)])


@pytest.mark.parametrize('late', [-5, 0, 4])
def test_a_late_voice_is_positive_by_every_estimator(ridge, late, monkeypatch):
  """By the correlation, by the regression, by a sync network, and in the preparation of films."""
  features, opening = clip(99)
  delayed = np.roll(features, 2 * late, axis=0)  # the sound of frame t is heard at t + late
  assert lag.find(delayed[::2, 0], opening, 8).frames == late
  assert ridge.lag(delayed, opening, 8).frames == late

  vectors = np.random.default_rng(0).normal(size=(100, 16))  # of lips and voices that fit
  voices = np.roll(vectors, late, axis=0)[20:80]
  assert lip_sync.read(lip_sync.distances(vectors[20:80], voices)).lag == late

  landmarks = np.zeros((200, 468, 2))
  landmarks[:, 263, 0] = 1.0
  landmarks[:, 14, 1] = opening - opening.min()
  estimate = estimators.LagEstimator()
  encoder = type('Encoder', (), {'features': lambda self, waveform, rate: waveform})()
  monkeypatch.setitem(vars(estimate), '_networks', (encoder, ridge))
  assert estimate(delayed, landmarks).frames == late


def test_the_regression_knows_speech_from_chance(ridge):
  features, opening = clip(99)
  own = ridge.lag(features, opening, 3).r
  chance = ridge.lag(sync.shuffled(features), opening, 3).r
  assert own > 0.8 and abs(chance) < 0.4 and own > chance + 0.4


def test_the_lag_is_the_shift_of_the_sound():
  series = np.convolve(np.random.default_rng(0).normal(size=104), np.ones(5), 'valid')
  for shift in (-3, 0, 2):
    assert lag.find(np.roll(series, shift), series, 3).frames == shift


def test_series_of_different_lengths_and_with_gaps_are_compared_where_both_are_known():
  series = np.convolve(np.random.default_rng(0).normal(size=104), np.ones(5), 'valid')
  seen = series[:90].copy()
  seen[20:40] = np.nan
  assert lag.find(series, seen, 3).frames == 0
  assert lag.find(series, seen, 3).r == pytest.approx(1)


def test_a_face_that_does_not_move_agrees_with_nothing(ridge):
  features, opening = clip(7)
  assert ridge.lag(features, np.full_like(opening, 0.3), 3).r == 0.0
