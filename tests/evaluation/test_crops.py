import numpy as np
import pytest

from ifmdm_jax.evaluation import crops


def points_at(x, y, width=100.0):
  """A mesh whose box is `width` wide around (x, y)."""
  points = np.full((468, 2), (x, y), np.float32)
  points[0], points[1] = (x - width / 2, y - width / 2), (x + width / 2, y + width / 2)
  return points


def test_the_mouth_box_holds_the_lips_and_stays_in_the_picture():
  points = np.full((468, 2), 50.0)
  points[61], points[291] = (40, 95), (60, 99)
  rows, columns = crops.mouth_box(points, 100)
  assert columns.start == pytest.approx(25, abs=12) and columns.stop == pytest.approx(75, abs=12)
  assert rows.stop == 100


def test_the_square_is_wider_than_the_face_by_the_rule_and_bridges_gaps():
  landmarks = np.stack([points_at(100, 80), np.full((468, 2), np.nan), points_at(120, 80)])
  boxes = crops.squares(landmarks)
  np.testing.assert_allclose(boxes, [[100, 80, 130], [110, 80, 130], [120, 80, 130]])


def test_the_crop_keeps_what_is_in_its_middle():
  frames = np.zeros((1, 300, 300, 3), np.uint8)
  frames[0, 70:90, 90:110] = 255
  face = crops.face(frames, points_at(100, 80)[None], size=130)
  assert face.shape == (1, 130, 130, 3)
  assert face[0, 60:70, 60:70].min() > 250 and face[0, :40].max() == 0


def test_without_any_face_there_is_no_crop():
  nowhere = np.full((2, 468, 2), np.nan)
  assert crops.face(np.zeros((2, 64, 64, 3), np.uint8), nowhere) is None
