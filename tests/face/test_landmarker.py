"""The network of 478 points in JAX is the published one, and a picture is read alike both ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.ndimage import map_coordinates

from ifmdm_jax.face import landmarker
from ifmdm_jax.face.mesh import see, square_of
from ifmdm_jax.face.points import MIRROR, MIRROR_WITH_IRISES


@pytest.fixture(scope='module')
def params():
  return landmarker.load()


def follow(image, start, refinements=landmarker.REFINEMENTS):
  """Points [478, 2] of a face as OpenCV sees them in square after square."""
  network, points = landmarker.opencv(), start
  for _ in range(refinements):
    points, presence = see(network, landmarker.SIDE, image, *square_of(points))
  assert presence > 0.9
  return points


def test_the_network_gives_opencv_s_points(params, portrait, landmarks):
  patches, network = [], landmarker.opencv()
  keep = lambda patch: patches.append(patch) or network(patch)
  see(keep, landmarker.SIDE, portrait, *square_of(landmarks))
  patches.append(np.random.default_rng(0).integers(0, 255, patches[0].shape, np.uint8))
  run = jax.jit(
    lambda *inputs: landmarker.LandmarkerNetwork().apply({'params': inputs[0]}, inputs[1])
  )
  found, presence = run(params, np.stack(patches).astype(np.float32) / 255)
  assert presence[0] > 10 > 0 > presence[1]  # logits
  for i, patch in enumerate(patches):
    expected, logit = network(patch)
    np.testing.assert_allclose(found[i], expected, atol=1e-3)  # pixels of 256
    assert presence[i] == pytest.approx(logit, abs=1e-3)


def test_a_film_is_followed_by_what_it_shows_and_by_its_mirror_image(portrait, landmarks):
  reader, width = landmarker.FaceLandmarker(), portrait.shape[1]
  track = reader.track([portrait, portrait, np.zeros_like(portrait)])
  seen = follow(portrait, landmarks)
  image = np.ascontiguousarray(portrait[:, ::-1])
  other = follow(image, mirrored(landmarks, width, MIRROR))
  expected = (seen + mirrored(other, width, MIRROR_WITH_IRISES))[:468] / 2
  eyes = np.linalg.norm(seen[33] - seen[263])
  assert track.shape == (3, 468, 2) and np.isnan(track[2]).all()
  assert np.abs(track[0] - expected).mean() < 0.005 * eyes
  assert np.abs(track[0] - track[1]).max() < 0.01 * eyes  # the first frame is as good as the next


def mirrored(points, width, index):
  """Moves points [P, 2] into the mirrored picture, under the numbers that they have there."""
  return points[index] * [-1, 1] + [width, 0]


def test_a_mirrored_face_has_its_points_under_the_numbers_of_the_other_side(portrait, landmarks):
  seen, width = follow(portrait, landmarks), portrait.shape[1]
  image = np.ascontiguousarray(portrait[:, ::-1])
  other = follow(image, mirrored(landmarks, width, MIRROR))
  back = mirrored(other, width, MIRROR_WITH_IRISES)
  eyes = np.linalg.norm(seen[33] - seen[263])
  apart = np.linalg.norm(back - seen, axis=1)
  assert apart.mean() < 0.02 * eyes
  assert apart[468:].max() < 0.05 * eyes  # a third of an iris


def test_a_picture_is_read_under_jit_as_a_film_is_followed(params, portrait, landmarks):
  corner, side = [98, 0], 256
  picture, start = portrait[:side, 98 : 98 + side], landmarks - corner

  def sample_one(image, grid):
    rows, columns = (side * grid[..., i] - 0.5 for i in (1, 0))
    look = lambda channel: map_coordinates(channel, [rows, columns], 1, 'nearest')
    return jnp.stack([look(image[..., c]) for c in range(3)], axis=-1)

  find = jax.jit(lambda *inputs: landmarker.find(*inputs, jax.vmap(sample_one)))
  found = find(params, picture[None].astype(np.float32) / 255)
  seen = follow(picture, start)
  other = follow(np.ascontiguousarray(picture[:, ::-1]), mirrored(start, side, MIRROR))
  expected = (seen + mirrored(other, side, MIRROR_WITH_IRISES)) / 2
  eyes = np.linalg.norm(expected[33] - expected[263])
  # They start from different squares; after all refinements either is steady to 0.2 %.
  assert np.abs(side * found[0] - expected).mean() < 0.005 * eyes
