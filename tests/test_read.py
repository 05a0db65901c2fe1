"""Faces in pictures of all kinds, drawn from the portrait of the repository."""

import cv2
import numpy as np
import pytest

from ifmdm_jax import read, testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.video.image import read_image

PORTRAIT = testing.REPOSITORY / 'data' / 'fixtures' / 'portrait.jpg'


@pytest.fixture(scope='module')
def portrait():
  return read_image(PORTRAIT)


@pytest.fixture(scope='module')
def face(portrait):
  """The square around the face, 256 pixels, the face half of that."""
  x, y, side = read.find_square(portrait)
  return cv2.resize(portrait[y : y + side, x : x + side], (256, 256))


@pytest.mark.parametrize(
  ('turns', 'said'),
  [(1, '90 degrees to the right'), (2, '180 degrees'), (3, '90 degrees to the left')],
)
def test_a_turned_face_is_refused_and_the_way_back_is_said(face, turns, said):
  with pytest.raises(InputError, match=f'turn the picture by {said}'):
    read.find_square(np.ascontiguousarray(np.rot90(face, turns)))


@pytest.mark.parametrize('degrees', [-30, 20])
def test_a_tilted_head_is_as_good_as_an_upright_one(face, degrees):
  matrix = cv2.getRotationMatrix2D((128, 128), degrees, 1)
  tilted = cv2.warpAffine(face, matrix, (256, 256), borderMode=cv2.BORDER_REPLICATE)
  assert read.find_square(tilted)[2] > 150


@pytest.mark.parametrize('edge', ['left', 'right', 'top', 'bottom'])
def test_half_a_face_at_any_border_is_refused(face, edge):
  half = {
    'left': face[:, 128:], 'right': face[:, :128], 'top': face[115:], 'bottom': face[:135],
  }[edge]  # fmt: skip
  with pytest.raises(InputError, match='cut by the border|clearly visible'):
    read.find_square(np.ascontiguousarray(half))


def test_a_face_of_32_pixels_is_found_among_24_million(face):
  """And where it is. Of 100 million it is the same, and takes seconds more."""
  picture = np.full((4000, 6000, 3), (90, 110, 130), np.uint8)
  picture[3000:3080, 4500:4580] = cv2.resize(face, (80, 80), interpolation=cv2.INTER_AREA)
  x, y, side = read.find_square(picture)
  np.testing.assert_allclose((x + side / 2, y + side / 2), (4540, 3040), atol=8)
  assert 64 <= side <= 90


def test_what_only_looks_like_a_face_is_none(face, monkeypatch):
  monkeypatch.setattr(read.FaceMesh, 'landmarks', lambda *_: (np.zeros((468, 2)), 0.05))
  with pytest.raises(InputError, match='is none, or is covered'):
    read.find_square(face)
