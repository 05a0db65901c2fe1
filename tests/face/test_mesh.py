import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import mesh as mesh_file
from ifmdm_jax.face.mesh import FaceMesh, MeshNetwork


def test_the_network_gives_opencv_s_points():
  patch = np.random.default_rng(0).integers(0, 255, (192, 192, 3), np.uint8)
  expected, _ = FaceMesh().network(patch)
  picture = patch[None].astype(np.float32) / 255
  points, _ = jax.jit(MeshNetwork().apply)({'params': mesh_file.load()}, picture)
  np.testing.assert_allclose(points[0], expected, atol=0.01)  # pixels of 192


def test_the_square_turns_with_the_head():
  points = np.full((1, 468, 2), 0.5, np.float32)
  points[0, 0], points[0, 1] = (0.3, 0.4), (0.7, 0.6)  # corners of the box
  points[0, 33], points[0, 263] = (0.5, 0.45), (0.5, 0.55)  # eyes above one another
  for each in (points, jnp.asarray(points)):
    centre, axis = mesh_file.square_of(each)
    np.testing.assert_allclose(centre[0], [0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(axis[0], [0.0, 0.6], atol=1e-6)


@pytest.mark.parametrize('engine', ['jax'])
def test_both_engines_find_the_same_points_in_the_same_faces(portrait, landmarks, engine):
  opencv, other = FaceMesh(2), FaceMesh(2, engine)
  for image in (portrait, np.zeros_like(portrait)):
    (expected, presence), (found, probability) = (
      each.landmarks(image, landmarks) for each in (opencv, other)
    )
    np.testing.assert_allclose(found, expected, atol=0.1)  # pixels of 512
    assert probability == pytest.approx(presence, abs=1e-3)
  assert probability < 0.5 < opencv.landmarks(portrait, landmarks)[1]


def test_an_unknown_engine_is_refused():
  with pytest.raises(InputError, match="opencv, jax, got 'torch'"):
    FaceMesh(engine='torch')


def test_mesh_and_detector_agree_on_the_eyes(portrait, detector, landmarks):
  middles = [landmarks[[33, 133]].mean(0), landmarks[[362, 263]].mean(0)]
  np.testing.assert_allclose(middles, detector(portrait)[0].eyes, atol=5)


def test_after_several_refinements_it_does_not_matter_where_the_first_one_was(portrait, landmarks):
  mesh = FaceMesh()
  settled, _ = mesh.landmarks(portrait, landmarks)
  side = np.linalg.norm(settled[10] - settled[152])
  for guess in (landmarks + 0.1 * side, landmarks.mean(0) + 1.2 * (landmarks - landmarks.mean(0))):
    assert np.abs(mesh.landmarks(portrait, guess)[0] - settled).mean() < 0.002 * side


@pytest.mark.parametrize('degrees', [0, 25, -40])
def test_landmarks_move_with_the_picture(portrait, detector, mesh, landmarks, degrees):
  matrix = cv2.getRotationMatrix2D((226, 127), degrees, 1.1)
  matrix[:, 2] += (20, 80)
  moved = cv2.warpAffine(portrait, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
  found, presence = mesh.landmarks(moved, detector(moved)[0])
  expected = landmarks @ matrix[:, :2].T + matrix[:, 2]
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
