import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.systems.difftalk.view import View


@pytest.fixture(scope='module')
def film():
  frames, landmarks, _ = testing.talking_face(6, 64, seed=1)
  return frames, landmarks * 64


def test_whole_squares_are_shown_as_they_are(film):
  frames, points = film
  view = View(points, 64, 64, still=False)
  assert view.show(frames, 0) is frames
  np.testing.assert_allclose(view.points, points / 64, rtol=1e-6)
  masks = np.ones((6, 64, 64), np.float32)
  assert view.back(frames, masks, 0) == (frames, masks)


def test_a_face_comes_back_to_where_it_was(film):
  frames, points = film
  view = View(points, 64, 128, still=True)
  shown = view.show(frames[2:5], 2)
  assert shown.shape == (3, 128, 128, 3)
  masks = np.ones((3, 128, 128), np.float32)
  back, share = view.back(shown, masks, 2)
  assert back.shape == (3, 64, 64, 3) and share.min() == 0 and share.max() == 1
  apart = np.abs(back.astype(int) - frames[2:5])[share > 0.99]
  assert np.mean(apart) < 2  # twice interpolated, at finer pixels


def test_points_are_where_the_picture_shows_them(film):
  frames, points = film
  dots = np.zeros_like(frames)
  place = points[:, 4].astype(int)  # tip of the nose
  for dot, (x, y) in zip(dots, place, strict=True):
    dot[y - 1 : y + 2, x - 1 : x + 2] = 255
  points = points.copy()
  points[:, 4] = place + 0.5
  view = View(points, 64, 128, still=True)
  for picture, wanted in zip(view.show(dots, 0), view.points[:, 4] * 128, strict=True):
    rows, columns = np.nonzero(picture[..., 0] > 127)
    assert abs(columns.mean() + 0.5 - wanted[0]) < 0.7 and abs(rows.mean() + 0.5 - wanted[1]) < 0.7
