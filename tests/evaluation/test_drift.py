import numpy as np
import pytest

from ifmdm_jax.evaluation import drift
from ifmdm_jax.generator import Motion

MINUTE = 60 * 25


def voice(minutes=4):
  return np.sin(np.arange(minutes * MINUTE) / 3.0)


def moved(opening):
  """A motion whose single number is ten times the opening, of people who go to 3."""
  return Motion(opening, np.abs(opening[:, None]) < 0.3)


def score(opening):
  """Figures of an opening that was to follow `voice`, beside that which began anew and did."""
  heard = voice()
  return drift.score(drift.table(moved(opening), heard), drift.table(moved(0.1 * heard), heard))


def test_motion_that_stays_as_it_is_drifts_nowhere():
  found = score(0.1 * voice())
  assert found['drift_r'] == 0 and found['drift_spread'] == 1 and found['drift_mean'] == 0
  assert found['code_range'] == 1


def test_a_walk_of_the_lips_shows_in_the_mean_and_in_the_range():
  found = score(0.1 * voice() + np.linspace(0, 1, 4 * MINUTE))
  assert found['drift_mean'] > 0.5 and found['code_range'] < 0.95


def test_lips_that_stop_following_show_in_r_and_lips_that_freeze_in_the_spread():
  late = 0.1 * voice()
  late[3 * MINUTE :] = 0.1 * np.random.default_rng(0).standard_normal(MINUTE)
  assert score(late)['drift_r'] < -0.8
  late[3 * MINUTE :] = 0.02 * voice()[3 * MINUTE :]
  assert score(late)['drift_spread'] == pytest.approx(0.2, abs=0.01)


def test_a_quiet_minute_of_the_voice_is_no_drift():
  quiet = voice() * np.repeat([1, 1, 0.5, 1], MINUTE)
  found = drift.table(moved(0.1 * quiet), quiet)
  assert found['spread'][2] == pytest.approx(0.5 * found['spread'][0], rel=0.01)
  assert drift.score(found, found)['drift_spread'] == 1


def test_lips_at_rest_stay_where_they_came_to_and_it_shows_if_they_open():
  still = 0.3 * np.exp(-np.arange(MINUTE) / 3.0)  # they close first
  assert drift.silence_rest(still) < 1e-3
  still[500:] += 0.1
  assert drift.silence_rest(still) == pytest.approx(0.1, abs=1e-3)


def test_a_short_last_piece_is_left_out():
  assert len(drift.pieces(2 * MINUTE + 100, 60)) == 2
  assert len(drift.pieces(100, 60)) == 1
