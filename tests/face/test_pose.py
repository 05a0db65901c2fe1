import numpy as np
import pytest

from ifmdm_jax.face import pose
from tests.evaluation import synthetic


def seen(angles, scale=25.0, place=200.0):
  """Points of a turned canonical head, of which all others are at 0."""
  shape = np.zeros((1, 468, 3))
  shape[:, pose.HEAD] = pose.HEAD_SHAPE
  return scale * (shape @ synthetic.rotation(*np.radians(angles)).T)[..., :2] + place


@pytest.mark.parametrize('angles', [(20, 0, 0), (0, -15, 0), (0, 0, 25), (15, 10, -20)])
def test_the_angles_of_a_turned_head_are_found(angles):
  found = pose.fit(seen(angles))
  np.testing.assert_allclose(np.degrees(pose.angles(found.turn[0])), angles, atol=0.01)
  np.testing.assert_allclose(found.scale, 25.0, rtol=1e-4)


def test_the_place_moves_with_the_picture():
  there, here = pose.fit(seen((5, 5, 5), place=230.0)), pose.fit(seen((5, 5, 5)))
  np.testing.assert_allclose(there.place - here.place, 30.0, atol=1e-6)


def test_a_frame_without_a_face_has_no_pose():
  found = pose.fit(np.full((2, 468, 2), np.nan))
  assert np.isnan(found.turn).all() and np.isnan(found.scale).all()
