import numpy as np
import pytest

from ifmdm_jax.evaluation import landmarks
from ifmdm_jax.evaluation.types import Absent
from ifmdm_jax.face.points import IBUG, IBUG_MOUTH, LIPS
from tests.evaluation import synthetic


@pytest.fixture(scope='module')
def points():
  return synthetic.mesh()


def score(made, real):
  video = np.zeros((len(real), 64, 64, 3), np.uint8)
  clip = synthetic.Pair('c', 'p', video, video, made, real)
  return landmarks.load().score(clip)


def test_the_same_motion_is_best(points):
  scores = score(points, points)
  assert [scores['lmd'], scores['f_lmd']] == pytest.approx([0, 0], abs=1e-3)
  for name in ('opening_r', 'opening_slope'):
    assert scores[name] == pytest.approx(1, abs=1e-4)


def test_a_shift_of_two_pixels_changes_no_landmark_distance(points):
  np.testing.assert_allclose(landmarks.lmd(points + 2, points), 0, atol=1e-3)
  np.testing.assert_allclose(landmarks.f_lmd(points + 2, points), 0, atol=1e-3)


def test_a_turned_and_scaled_face_is_the_same_face_but_not_the_same_mouth(points):
  turn = 1.1 * synthetic.rotation(0, 0, 0.1)[:2, :2].astype(np.float32)
  np.testing.assert_allclose(landmarks.f_lmd(points @ turn, points), 0, atol=1e-2)
  assert landmarks.lmd(points @ turn, points).mean() > 0.5


def test_distances_grow_with_the_error(points):
  noise = np.random.default_rng(0).normal(size=points.shape).astype(np.float32)
  small, large = score(points + noise, points), score(points + 3 * noise, points)
  assert 0 < small['lmd'] < large['lmd'] and 0 < small['f_lmd'] < large['f_lmd']
  assert small['opening_r'] > large['opening_r']


def test_the_slope_says_how_far_the_mouth_opens(points):
  half = points.copy()
  gap = half[:, 14] - half[:, 13]
  half[:, 14] = half[:, 13] + 0.5 * gap
  scores = score(half, points)
  assert scores['opening_slope'] == pytest.approx(0.5, abs=1e-3)
  assert scores['opening_r'] == pytest.approx(1, abs=1e-4)


def test_a_still_face_has_no_correlation(points):
  still = np.broadcast_to(points[:1], points.shape)
  scores = score(still, points)
  assert scores['opening_r'] == 0
  assert scores['opening_slope'] == pytest.approx(0, abs=1e-6)


def test_frames_without_a_face_are_left_out_and_too_few_are_a_reason(points):
  gaps = points.copy()
  gaps[::2] = np.nan
  assert score(gaps, points)['opening_r'] == pytest.approx(1, abs=1e-4)
  gaps[2:] = np.nan
  assert all(isinstance(value, Absent) for value in score(gaps, points).values())


def test_the_dlib_mouth_is_made_of_lip_points():
  lips = set(LIPS)
  assert len(IBUG) == 68 and set(IBUG_MOUTH) <= lips
