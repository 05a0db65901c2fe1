"""Eyes live by themselves: always within what people do, decided by the past, whatever the plan."""

import numpy as np
import pytest

from ifmdm_jax.systems.ifmdm.motion import eyes

MINUTE = 60 * 25


def speech(frames, seed=0):
  """Loudness of phrases with pauses between, dB: [frames]."""
  rng = np.random.default_rng(seed)
  levels = []
  while len(levels) < frames:
    phrase, pause = rng.integers(40, 100), rng.integers(8, 25)
    levels += [*rng.normal(-20, 4, phrase), *np.full(pause, -70.0)]
  return np.array(levels[:frames])


def lived(level, seed=0, **options):
  return eyes.advance(eyes.start(), eyes.controls(seed, **options), level[None])[0][0]


def blinks(values):
  """Counts how often the left eye closes by more than 0.6."""
  return int((np.diff((values[:, 0] > 0.6).astype(int)) > 0).sum())


@pytest.fixture(scope='module')
def hour():
  return lived(speech(60 * MINUTE))


def test_an_hour_of_eyes_is_like_people(hour):
  each = np.array([blinks(part) for part in np.split(hour, 20)]) / 3  # per minute
  assert 15 < each.mean() < 35 and each.min() > 5 and each.max() < 60
  assert abs(each[10:].mean() - each[:10].mean()) < 5  # nothing that grows
  assert (np.abs(hour[:, 2:]) <= np.float32(eyes.GAZE.furthest)).all() and hour[:, :2].min() >= 0
  assert not hour[0].any()  # it begins as the portrait
  assert (np.abs(hour[:, 2]) < 0.03).mean() > 0.5  # mostly where the portrait looks


def test_a_blink_closes_the_eye_and_closes_it_faster_than_it_opens(hour):
  closed = hour[:, 0]
  inside = np.split(closed, np.flatnonzero((closed[1:] > 0.3) & (closed[:-1] <= 0.3)) + 1)[1:]
  peaks = np.array([part[:12].max() for part in inside])
  assert np.median(peaks) > 0.95 and (peaks > 0.85).mean() > 0.6
  rise, fall = np.maximum(np.diff(closed), 0).max(), np.maximum(-np.diff(closed), 0).max()
  assert rise > fall and closed.max() <= 1 and (closed < 0.2).mean() > 0.75


@pytest.mark.parametrize('rate', [0, 5, 20, 60])
def test_eyes_blink_as_often_as_they_are_told(rate):
  values = lived(speech(30 * MINUTE), blinks_per_minute=rate, gaze='camera')
  assert blinks(values) / 30 == pytest.approx(rate, rel=0.2)  # three deviations at five
  assert not values[:, 2:].any()


def test_steps_of_any_length_and_neighbours_change_nothing():
  level, other = speech(600), speech(600, 1)
  want = [lived(level, 3), lived(other, 4)]
  state = eyes.start()
  state = eyes.State(*(np.concatenate([x, x]) for x in state))
  both = eyes.Controls(*(np.concatenate(x) for x in zip(eyes.controls(3), eyes.controls(4))))
  made, done = [], 0
  for count in (1, 6, 57, 6, 130, 400):
    part = np.stack([level, other])[:, done : done + count]
    values, state = eyes.advance(state, both, part)
    made.append(values)
    done += count
  np.testing.assert_array_equal(np.concatenate(made, axis=1), want)


def test_no_frame_knows_what_will_be_said():
  level = speech(2 * MINUTE)
  changed = np.where(np.arange(2 * MINUTE) < 300, level, speech(2 * MINUTE, 1))
  np.testing.assert_array_equal(lived(level)[:300], lived(changed)[:300])
  assert (lived(level) != lived(changed)).any()


def test_waits_pass_faster_after_a_phrase():
  level = speech(60 * MINUTE)
  values = lived(level, gaze='camera')
  onsets = np.flatnonzero((values[1:, 0] > 0) & (values[:-1, 0] == 0)) + 1
  pause = level < -60
  assert pause[onsets].mean() > 1.15 * pause.mean()


def test_seeds_are_performances():
  level = speech(MINUTE)
  assert len({blinks(lived(level, seed)) for seed in range(5)}) > 1
  first = [int(np.argmax(lived(level, seed)[:, 0] > 0.5)) for seed in range(12)]
  assert np.std(first) > 10  # no two videos need to begin alike
