import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import crop


def points_at(x, y, width=100.0):
  """A mesh whose box is `width` wide around (x, y)."""
  points = np.full((468, 2), (x, y), np.float32)
  points[0], points[1] = (x - width / 2, y - width / 2), (x + width / 2, y + width / 2)
  return points


def test_the_mouth_box_holds_the_lips_and_stays_in_the_picture():
  points = np.full((468, 2), 50.0)
  points[61], points[291] = (40, 95), (60, 99)
  rows, columns = crop.mouth_box(points, 100)
  assert columns.start == pytest.approx(25, abs=12) and columns.stop == pytest.approx(75, abs=12)
  assert rows.stop == 100


def test_the_square_is_wider_than_the_face_by_the_rule_and_bridges_gaps():
  landmarks = np.stack([points_at(100, 80), np.full((468, 2), np.nan), points_at(120, 80)])
  boxes = crop.face_boxes(landmarks)
  np.testing.assert_allclose(boxes, [[100, 80, 130], [110, 80, 130], [120, 80, 130]])


def test_the_crop_keeps_what_is_in_its_middle():
  frames = np.zeros((1, 300, 300, 3), np.uint8)
  frames[0, 70:90, 90:110] = 255
  face = crop.faces(frames, points_at(100, 80)[None], size=130)
  assert face.shape == (1, 130, 130, 3)
  assert face[0, 60:70, 60:70].min() > 250 and face[0, :40].max() == 0


def test_without_any_face_there_is_no_crop():
  nowhere = np.full((2, 468, 2), np.nan)
  assert crop.faces(np.zeros((2, 64, 64, 3), np.uint8), nowhere) is None


def test_the_crop_follows_the_data_rule(landmarks, portrait):
  x0, y0, side = crop.crop_square(landmarks, portrait.shape)
  face = np.linalg.norm(landmarks[10] - landmarks[152])
  middle = (landmarks.min(0) + landmarks.max(0)) / 2
  assert face / side == pytest.approx(0.5, abs=0.01)
  np.testing.assert_allclose((middle - (x0, y0)) / side, (0.5, 0.47), atol=0.01)


def test_the_crop_shrinks_then_moves_to_stay_inside(landmarks):
  low = landmarks - landmarks.min(0) + (40, 5)  # hair nearly at the upper edge
  x0, y0, side = crop.crop_square(low, (512, 512, 3))
  face = np.linalg.norm(landmarks[10] - landmarks[152])
  assert face / side == pytest.approx(0.6, abs=0.01)
  assert x0 >= 0
  assert y0 == 0


def test_a_face_larger_than_the_picture_is_padded_with_the_edge(portrait, landmarks):
  x0, y0 = landmarks.min(0).astype(int)
  x1, y1 = landmarks.max(0).astype(int)
  close = portrait[y0:y1, x0:x1]
  square = crop.crop_square(landmarks - (x0, y0), close.shape)
  assert square[2] > max(close.shape[:2])
  patch = crop.cut(close, square, 256)
  assert patch.shape == (256, 256, 3)
  assert (patch[0] == patch[1]).all()  # the repeated edge


def test_one_square_serves_a_whole_video_and_skips_lost_frames(landmarks, portrait):
  lost = np.full_like(landmarks, np.nan)
  video = np.stack([landmarks - 3, lost, landmarks, landmarks + 3])
  assert crop.crop_square(video, portrait.shape) == crop.crop_square(landmarks, portrait.shape)
  with pytest.raises(InputError, match='no face'):
    crop.crop_square(lost, portrait.shape)


def test_cut_without_resize_is_the_picture_itself(portrait):
  assert (crop.cut(portrait, (10, 20, 256), 256) == portrait[20:276, 10:266]).all()
