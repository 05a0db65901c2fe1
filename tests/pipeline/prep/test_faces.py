import pathlib

import cv2
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline.prep import faces
from ifmdm_jax.video import image

PORTRAIT = pathlib.Path(__file__).parents[3] / 'data' / 'fixtures' / 'portrait.jpg'


@pytest.fixture(scope='module')
def portrait():
  return image.read_image(PORTRAIT)


@pytest.fixture(scope='module')
def detector():
  return faces.FaceDetector()


@pytest.fixture(scope='module')
def mesh():
  return faces.FaceMesh()


@pytest.fixture(scope='module')
def points(portrait, detector, mesh):
  return mesh.landmarks(portrait, detector(portrait)[0])[0]


def test_detector_finds_the_portrait_and_nothing_in_noise(portrait, detector):
  assert len(detector(portrait)) == 1
  noise = np.random.default_rng(0).integers(0, 256, portrait.shape, np.uint8)
  assert detector(noise) == []


def test_the_largest_face_comes_first(portrait, detector):
  small = cv2.resize(portrait, None, fx=0.5, fy=0.5)
  both = np.zeros((512, 1024, 3), np.uint8)
  both[:256, :256], both[:, 512:] = small, portrait
  found = detector(both)
  assert len(found) == 2
  assert found[0].box[0] > 512 > found[1].box[0]


def test_a_face_is_found_at_any_size(portrait, detector):
  for scale in (0.4, 1, 6):
    box = detector(cv2.resize(portrait, None, fx=scale, fy=scale))[0].box / scale
    np.testing.assert_allclose(box, detector(portrait)[0].box, atol=12)


def test_mesh_and_detector_agree_on_the_eyes(portrait, detector, points):
  middles = [points[[33, 133]].mean(0), points[[362, 263]].mean(0)]
  np.testing.assert_allclose(middles, detector(portrait)[0].eyes, atol=5)


def test_after_several_looks_it_does_not_matter_where_the_first_one_was(portrait, points):
  mesh = faces.FaceMesh(faces.LOOKS)
  settled, _ = mesh.landmarks(portrait, points)
  side = np.linalg.norm(settled[10] - settled[152])
  for guess in (points + 0.1 * side, points.mean(0) + 1.2 * (points - points.mean(0))):
    assert np.abs(mesh.landmarks(portrait, guess)[0] - settled).mean() < 0.002 * side


@pytest.mark.parametrize('degrees', [0, 25, -40])
def test_landmarks_move_with_the_picture(portrait, detector, mesh, points, degrees):
  matrix = cv2.getRotationMatrix2D((226, 127), degrees, 1.1)
  matrix[:, 2] += (20, 80)
  moved = cv2.warpAffine(portrait, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
  found, presence = mesh.landmarks(moved, detector(moved)[0])
  expected = points @ matrix[:, :2].T + matrix[:, 2]
  eyes = np.linalg.norm(expected[33] - expected[263])
  assert presence > 0.9
  # 5 % of the eyes' distance: the network itself is steady to 1 or 2 % of its own view.
  assert np.linalg.norm(found - expected, axis=1).mean() < 0.05 * eyes


def test_a_track_follows_a_face_and_marks_where_there_is_none(portrait, mesh):
  video = [np.roll(portrait, 4 * step, axis=1) for step in range(5)]
  video[2] = np.zeros_like(portrait)
  track = mesh.track(video)
  assert track.shape == (5, 468, 2)
  assert np.isnan(track[2]).all()
  assert np.isfinite(track[[0, 1, 3, 4]]).all()
  assert (track[4] - track[0])[:, 0].mean() == pytest.approx(16, abs=1.5)


def test_the_crop_follows_the_data_rule(points, portrait):
  x0, y0, side = faces.crop_square(points, portrait.shape)
  face = np.linalg.norm(points[10] - points[152])
  middle = (points.min(0) + points.max(0)) / 2
  assert face / side == pytest.approx(0.5, abs=0.01)
  np.testing.assert_allclose((middle - (x0, y0)) / side, (0.5, 0.47), atol=0.01)


def test_the_crop_shrinks_then_moves_to_stay_inside(points):
  low = points - points.min(0) + (40, 5)  # hair nearly at the upper edge
  x0, y0, side = faces.crop_square(low, (512, 512, 3))
  face = np.linalg.norm(points[10] - points[152])
  assert face / side == pytest.approx(0.6, abs=0.01)
  assert x0 >= 0
  assert y0 == 0


def test_a_face_larger_than_the_picture_is_padded_with_the_edge(portrait, points):
  x0, y0 = points.min(0).astype(int)
  x1, y1 = points.max(0).astype(int)
  close = portrait[y0:y1, x0:x1]
  square = faces.crop_square(points - (x0, y0), close.shape)
  assert square[2] > max(close.shape[:2])
  patch = faces.cut(close, square, 256)
  assert patch.shape == (256, 256, 3)
  assert (patch[0] == patch[1]).all()  # the repeated edge


def test_one_square_serves_a_whole_video_and_skips_lost_frames(points, portrait):
  lost = np.full_like(points, np.nan)
  video = np.stack([points - 3, lost, points, points + 3])
  assert faces.crop_square(video, portrait.shape) == faces.crop_square(points, portrait.shape)
  with pytest.raises(InputError, match='no face'):
    faces.crop_square(lost, portrait.shape)


def test_cut_without_resize_is_the_picture_itself(portrait):
  assert (faces.cut(portrait, (10, 20, 256), 256) == portrait[20:276, 10:266]).all()
