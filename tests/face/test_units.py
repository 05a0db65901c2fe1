"""Eyes that close are seen to close, and eyes that look aside to look aside."""

import cv2
import numpy as np
import pytest

from ifmdm_jax.face import points, units


@pytest.fixture(scope='module')
def reader():
  return units.FaceUnits()


def shut(picture, found):
  """Paints skin and a line of lashes over open eyes of points [478, 2]."""
  picture = picture.copy()
  for eye in (points.LEFT_EYE, points.RIGHT_EYE):
    corners = found[eye]
    x, y = corners.mean(0)
    width = np.ptp(corners[:, 0])
    skin = picture[int(y + 0.6 * width), int(x)].tolist()
    axes = int(0.6 * width), int(0.33 * width)
    cv2.ellipse(picture, (int(x), int(y)), axes, 0, 0, 360, skin, -1)
    cv2.ellipse(picture, (int(x), int(y)), (axes[0], axes[1] // 2), 0, 10, 170, (60, 40, 35), 2)
  return cv2.GaussianBlur(picture, (0, 0), 1.0)


def test_a_closed_eye_is_seen_to_be_closed(reader, portrait):
  found, scores = reader.track([portrait])
  closed, of_closed = reader.track([shut(portrait, found[0])])
  assert scores.shape == (1, len(units.NAMES)) and found.shape == (1, 478, 2)
  assert (units.opening(closed) < 0.6 * units.opening(found)).all()
  assert units.blink(of_closed) > units.blink(scores) + 0.2


def test_gaze_is_to_the_right_and_down_in_the_picture_whatever_the_roll():
  found = np.zeros((478, 2))
  for eye, x in zip(points.LIDS, (0.0, 100.0)):
    corners = (eye.outer, eye.inner) if x == 0.0 else (eye.inner, eye.outer)
    found[list(corners)] = (x, 0), (x + 40, 0)
  for iris, x in ((points.LEFT_IRIS, 20.0), (points.RIGHT_IRIS, 120.0)):
    found[iris] = x + 4, 2
  np.testing.assert_allclose(units.gaze(found), [0.1, 0.05], atol=1e-6)
  turn = np.array([[0.8, -0.6], [0.6, 0.8]])
  np.testing.assert_allclose(units.gaze(found @ turn.T), [0.1, 0.05], atol=1e-6)


def test_a_lost_face_is_a_gap_and_is_found_again(reader, portrait):
  found, scores = reader.track([portrait, np.zeros_like(portrait), portrait])
  assert np.isnan(found[1]).all() and np.isnan(scores[1]).all()
  assert np.abs(found[2] - found[0]).max() < 3  # pixels of 512
