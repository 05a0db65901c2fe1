"""Faces go no further than their portrait can show, and come to a stop softly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.face import points
from ifmdm_jax.systems.ifmdm.autoencoder.lite import limits, surface

SIZE = 0.4  # of the side: height of the face

within = jax.jit(limits.within)


def face(yaw=0.0, pitch=0.0):
  """A mean face turned by degrees: landmarks [468, 3]."""
  (c, d), (s, t) = np.cos(np.radians([yaw, pitch])), np.sin(np.radians([yaw, pitch]))
  turn = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]) @ [[1, 0, 0], [0, d, -t], [0, t, d]]
  return np.float32(SIZE * surface.MEAN @ turn.T + [0.5, 0.5, 0.0])


def looks(landmarks):
  """Yaw and pitch of landmarks, degrees."""
  pose = surface.fit(jnp.asarray(surface.MEAN), jnp.asarray(landmarks), SIZE)
  return np.degrees([float(angle) for angle in limits.angles(pose)])


def opened(gap):
  """A frontal face whose lips are so many of its heights apart."""
  landmarks = face()[:, :2]
  landmarks[points.UPPER_LIP_INNER[1:-1]] = landmarks[points.UPPER_MIDDLE]
  landmarks[points.LOWER_LIP_INNER[1:-1]] = landmarks[points.UPPER_MIDDLE]
  jaw = landmarks[:, 1] > landmarks[points.UPPER_MIDDLE, 1] + 1e-4
  jaw[points.LOWER_LIP_INNER[1:-1]] = True
  landmarks[jaw, 1] += gap * SIZE
  return landmarks


def gap_of(landmarks):
  apart = landmarks[points.LOWER_MIDDLE] - landmarks[points.UPPER_MIDDLE]
  return float(np.linalg.norm(apart) / np.linalg.norm(landmarks[10] - landmarks[152]))


@pytest.mark.parametrize('turn', [(0, 0), (15, 0), (-15, 10), (0, -12)])
def test_what_a_portrait_can_show_is_not_touched(turn):
  frame = face(*turn)[:, :2]
  np.testing.assert_array_equal(within(face(), frame), frame)


@pytest.mark.parametrize('yaw', [-60, -40, 40, 60])
def test_a_frontal_portrait_turns_a_third_of_a_right_angle_and_no_further(yaw):
  found = looks(within(face(), face(yaw)[:, :2]))[0]
  assert np.sign(found) == np.sign(yaw) and 24 < abs(found) < 1.02 * limits.YAW[1]


@pytest.mark.parametrize('side', [-1, 1])
def test_a_portrait_in_three_quarter_view_turns_less_towards_its_hidden_side(side):
  portrait = face(side * 35)
  back = looks(within(portrait, face(-side * 20)[:, :2]))[0]
  assert side * back > 20  # it hardly comes back
  further = looks(within(portrait, face(side * 50)[:, :2]))[0]
  assert side * further > 48  # and goes on where it shows the cheek


def test_limits_are_smooth():
  portrait = face()
  found = [looks(within(portrait, face(yaw)[:, :2]))[0] for yaw in np.arange(15.0, 60.0, 1.0)]
  step = np.diff(found)
  assert (step > -0.05).all() and (step < 1.1).all()
  assert (np.abs(np.diff(step)) < 0.25).all()  # no sudden stop


@pytest.mark.parametrize('gap', [0.02, 0.06])
def test_mouths_open_as_in_speech(gap):
  frame = opened(gap)
  np.testing.assert_array_equal(within(face(), frame), frame)


def test_a_mouth_that_would_tear_opens_no_further_than_people_do():
  wide = np.asarray(within(opened(0.0) @ np.eye(2, 3, dtype=np.float32), opened(0.3)))
  assert limits.OPENING[0] < gap_of(wide) < 1.2 * limits.OPENING[1]
  moved = np.abs(wide - opened(0.3)).max(1)
  assert moved[points.FOREHEAD] == 0 and moved[points.UPPER_MIDDLE] == 0  # only the jaw goes back


def test_a_portrait_that_laughs_may_go_on_laughing():
  portrait = np.concatenate([opened(0.2), face()[:, 2:]], 1)
  frame = opened(0.2)
  np.testing.assert_allclose(within(portrait, frame), frame, atol=1e-6)
