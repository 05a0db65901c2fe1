import cv2
import jax
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import matte
from ifmdm_jax.face.matte import PersonMatte


def test_the_network_gives_opencv_s_matte(portrait):
  picture = cv2.resize(portrait, (matte.SIDE, matte.SIDE), interpolation=cv2.INTER_AREA)
  expected = PersonMatte()(picture) / 255.0
  found = jax.jit(matte.find)(matte.load(), picture[None].astype(np.float32) / 255)[0, ..., 0]
  np.testing.assert_allclose(found, expected, atol=0.5 / 255 + 1e-3)


def test_both_engines_find_the_same_person(portrait):
  expected, found = (PersonMatte(engine)(portrait).astype(int) for engine in ('opencv', 'jax'))
  assert np.abs(found - expected).max() <= 1


def test_an_unknown_engine_is_refused():
  with pytest.raises(InputError, match="opencv, jax, got 'torch'"):
    PersonMatte('torch')


def test_the_face_is_the_person_and_the_corners_are_not(portrait):
  found = PersonMatte()(portrait)
  assert found.shape == (256, 256) and found.dtype.name == 'uint8'
  face, corner = found[50:70, 105:125], found[:30, :60]  # of the bundled portrait
  assert face.min() > 200 and corner.max() < 55
  assert 0.3 < (found > 127).mean() < 0.7


def test_the_picture_decides_and_not_its_size(portrait):
  small = cv2.resize(portrait, (300, 300), interpolation=cv2.INTER_AREA)
  find = PersonMatte()
  assert ((find(small) > 127) != (find(portrait) > 127)).mean() < 0.03  # edges only
