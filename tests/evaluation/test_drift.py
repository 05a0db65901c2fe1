import numpy as np
import pytest

from ifmdm_jax.evaluation import drift

MINUTE = 60 * 25
STATISTICS = {
  'opening_weight': np.array([0.1, 0.0]),
  'opening_bias': np.array([0.0]),
  'lowest': np.full(2, -3.0),
  'highest': np.full(2, 3.0),
}


def voice(minutes=4):
  return np.sin(np.arange(minutes * MINUTE) / 3.0)


def codes_of(opening):
  return np.stack([opening / 0.1, np.zeros_like(opening)], axis=1)


def test_motion_that_stays_as_it_is_drifts_nowhere():
  heard = voice()
  found = drift.score(drift.table(codes_of(0.1 * heard), np.zeros(2), STATISTICS, heard))
  assert found['drift_r'] == pytest.approx(0, abs=1e-3) and found['code_range'] == 1
  assert found['drift_spread'] == pytest.approx(1, abs=0.01)
  assert found['drift_mean'] == pytest.approx(0, abs=1e-3)


def test_a_walk_of_the_lips_shows_in_the_mean_and_in_the_range():
  heard = voice()
  walk = np.linspace(0, 1, len(heard))
  found = drift.score(drift.table(codes_of(0.1 * heard + walk), np.zeros(2), STATISTICS, heard))
  assert found['drift_mean'] > 0.5 and found['code_range'] < 0.95


def test_lips_that_stop_following_show_in_r_and_lips_that_freeze_in_the_spread():
  heard = voice()
  late = heard.copy()
  late[3 * MINUTE :] = np.random.default_rng(0).standard_normal(MINUTE)
  assert drift.score(drift.table(codes_of(late), np.zeros(2), STATISTICS, heard))['drift_r'] < -0.8
  late[3 * MINUTE :] = 0.2 * heard[3 * MINUTE :]
  found = drift.score(drift.table(codes_of(late), np.zeros(2), STATISTICS, heard))
  assert found['drift_spread'] == pytest.approx(0.2, abs=0.01)


def test_lips_at_rest_stay_where_they_came_to_and_it_shows_if_they_open():
  still = 0.3 * np.exp(-np.arange(MINUTE) / 3.0)  # they close first
  assert drift.silence_rest(codes_of(still), STATISTICS) < 1e-3
  still[500:] += 0.1
  assert drift.silence_rest(codes_of(still), STATISTICS) == pytest.approx(0.1, abs=1e-3)


def test_a_short_last_piece_is_left_out():
  assert len(drift.pieces(2 * MINUTE + 100, 60)) == 2
  assert len(drift.pieces(100, 60)) == 1
