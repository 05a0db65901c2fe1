import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.face import crop


def mesh(places, frames=5):
  """Landmarks whose eyes and nose are at three places, everything else at the origin."""
  points = np.zeros((frames, 468, 2), np.float32)
  for corners, place in zip(((33, 133), (362, 263), (4,)), places):
    points[:, list(corners)] = place
  return points


def test_eyes_and_nose_fix_the_place_whatever_the_head_does():
  turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
  goal = (crop.LIPS_ANCHORS - crop.LIPS_MIDDLE) * 48 / crop.LIPS_SPAN + 23.5
  for places in (crop.LIPS_ANCHORS, 2.5 * crop.LIPS_ANCHORS @ turn.T + (70, 30)):
    points = mesh(places)
    where = crop.lips_matrices(points)
    found = crop.move(np.tile(np.float64(places), (5, 1, 1)), where)
    np.testing.assert_allclose(found, np.tile(goal, (5, 1, 1)), atol=1e-4)


def test_a_frame_without_a_face_takes_the_place_of_the_nearest():
  points = mesh(crop.LIPS_ANCHORS, 9)
  whole = crop.lips_matrices(points)
  points[4] = np.nan
  np.testing.assert_allclose(crop.lips_matrices(points), whole)
  with pytest.raises(InputError, match='no face'):
    crop.lips_matrices(np.full((3, 468, 2), np.nan))


@pytest.mark.parametrize('side', [64, 512])
def test_crops_are_small_grey_and_of_one_place_at_every_size(side):
  """The same face drawn at another size gives nearly the same crop."""
  frames, landmarks, _ = testing.talking_face(4, side)
  made = crop.lips(frames, landmarks * side)
  assert made.shape == (4, 48, 48) and made.dtype == np.uint8
  fine, points, _ = testing.talking_face(4, 256)
  apart = np.abs(made.astype(float) - crop.lips(fine, points * 256)).mean()
  assert apart < 12


def test_a_wider_crop_has_the_same_middle():
  frames, landmarks, _ = testing.talking_face(4, 256)
  narrow = crop.lips(frames, landmarks * 256)
  wide = crop.lips(frames, landmarks * 256, 60, 1.25)
  assert np.abs(wide[:, 6:-6, 6:-6].astype(float) - narrow).max() <= 1
