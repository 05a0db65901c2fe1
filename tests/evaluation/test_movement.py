import numpy as np
import pytest

from ifmdm_jax.evaluation import movement
from ifmdm_jax.evaluation.types import Absent
from tests.evaluation import synthetic


@pytest.fixture(scope='module')
def clip():
  """A video of noise on grey that never changes, and a face that moves."""
  frames = np.full((60, 64, 64, 3), 128, np.uint8)
  points = synthetic.mesh(60)
  return synthetic.Pair('c', 'p', frames, frames, points, points)


def wave(fps, seconds=4):
  time = np.arange(round(seconds * fps)) / fps
  return np.stack([np.sin(2 * np.pi * time), np.cos(2 * np.pi * 0.7 * time)], -1)[:, None]


def test_jitter_is_a_property_of_the_motion_not_of_the_frame_rate():
  slow, fast = movement.jitter(wave(25), 25), movement.jitter(wave(50), 50)
  assert slow == pytest.approx(fast, rel=0.1)
  # |d^3/dt^3 (sin wt, cos vt)|, mean over a period.
  t = np.linspace(0, 10, 10_000)
  w, v = 2 * np.pi, 1.4 * np.pi
  exact = np.hypot(w**3 * np.cos(w * t), v**3 * np.sin(v * t)).mean()
  assert fast == pytest.approx(exact, rel=0.1)


def test_jitter_of_shuffled_frames_is_higher():
  points = wave(25)
  shuffled = np.random.default_rng(0).permutation(points)
  assert movement.jitter(shuffled, 25) > 5 * movement.jitter(points, 25)


def test_jitter_skips_gaps():
  points = wave(25)
  gaps = points.copy()
  gaps[40:45] = np.nan
  assert movement.jitter(gaps, 25) == pytest.approx(movement.jitter(points, 25), rel=0.1)
  assert np.isnan(movement.jitter(np.full((9, 1, 2), np.nan), 25))


def test_the_truth_has_ratios_of_one_and_a_still_video_moves_nothing(clip):
  scores = movement.load().score(clip)
  for name in movement.RATIOS:
    assert scores[name] == pytest.approx(1)
  still = movement.load().score(synthetic.still(clip))
  for name in [*movement.RATIOS, *movement.RATIOS.values()]:
    assert name not in still or still[name] == pytest.approx(0, abs=1e-3)
  assert still['flicker'] == 0


def test_noise_raises_jitter_far_more_than_amplitude(clip):
  noise = np.random.default_rng(0).normal(0, 1, clip.landmarks.shape).astype(np.float32)
  scores = movement.load().score(synthetic.replace(clip, landmarks=clip.landmarks + noise))
  assert scores['jitter_ratio'] > 2 and scores['motion_ratio'] < 1.2


def test_turning_the_head_is_no_expression():
  points = synthetic.mesh(60)
  turns = [synthetic.rotation(0, 0, a)[:2, :2] for a in np.linspace(0, 0.5, 60)]
  turned = np.stack([points[0] @ turn.T for turn in turns])
  scores = movement.measures(turned, turned, 25)
  assert scores['expression_std'] == pytest.approx(0, abs=1e-4)
  assert scores['roll_std'] > 5 and scores['motion_amplitude'] > 1


def test_flicker_is_seen_where_the_reference_is_static_and_nowhere_else():
  real = np.full((20, 32, 32, 3), 100, np.uint8)
  real[::2, :8] = 200  # moves: not looked at
  made = real.copy()
  assert movement.flicker(made, real) == 0
  made[::2, :8] = 0
  assert movement.flicker(made, real) == 0
  made[::2, 16:] += 6
  assert movement.flicker(made, real) == pytest.approx(6 * 16 / 24, rel=0.01)


def test_a_reference_that_moves_everywhere_has_no_flicker():
  rng = np.random.default_rng(0)
  real = rng.integers(0, 255, (10, 32, 32, 3), np.uint8)
  assert movement.flicker(real, real) is None


def test_too_few_faces_are_a_reason(clip):
  nowhere = np.full_like(clip.landmarks, np.nan)
  scores = movement.load().score(synthetic.replace(clip, landmarks=nowhere))
  assert list(scores) == list(movement.METRICS) and scores['flicker'] == 0
  assert 'of the video' in scores['jitter'].reason
  assert all(isinstance(v, Absent) for name, v in scores.items() if name != 'flicker')
