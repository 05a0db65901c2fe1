import numpy as np
import pytest

from ifmdm_jax.evaluation import sync


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
