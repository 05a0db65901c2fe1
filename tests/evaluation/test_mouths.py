"""A mouth with teeth, tongue or dark in it is no void; a smear of skin or grey is."""

import cv2
import numpy as np
import pytest

from ifmdm_jax.evaluation import mouths
from ifmdm_jax.face import points
from ifmdm_jax.face.mesh import FaceMesh
from tests.evaluation import synthetic

SKIN, LIPS, DARK, TONGUE = (215, 165, 140), (180, 90, 90), (45, 20, 22), (185, 80, 85)


def scene(fill=None, opening=40):
  """Draws a face of skin with an open mouth: uint8 [256, 256, 3], landmarks [468, 2]."""
  landmarks = np.full((468, 2), 128.0)
  landmarks[points.FOREHEAD], landmarks[points.CHIN_TIP] = (128, 20), (128, 240)
  landmarks[mouths.SKIN] = (70, 140), (186, 140), (80, 120), (176, 120)
  x = np.linspace(-1, 1, 11)
  for lip, bow in ((points.UPPER_LIP_INNER, -0.3), (points.LOWER_LIP_INNER, 0.7)):
    landmarks[lip] = np.stack([128 + 40 * x, 180 + bow * opening * (1 - x**2)], -1)
  picture = np.full((256, 256, 3), SKIN, np.uint8)
  cv2.ellipse(picture, (128, 188), (52, 30), 0, 0, 360, LIPS, -1)
  inside = mouths.interior(landmarks, picture.shape[:2])
  if fill is not None:
    painted = picture.copy()
    fill(painted)
    # A margin, so that lips are nowhere within the interior.
    wide = cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    picture[wide] = painted[wide]
  return picture, landmarks


def flat(colour):
  def fill(picture):
    picture[:] = colour

  return fill


def teeth_over_dark(picture):
  picture[:] = DARK
  for left in range(88, 168, 10):
    cv2.rectangle(picture, (left, 160), (left + 8, 185), (235, 228, 215), -1)


def half(colour):
  def fill(picture):
    picture[:] = DARK
    picture[:, 128:] = colour

  return fill


@pytest.mark.parametrize(
  'fill, void',
  [
    (flat(DARK), 0),
    (flat(TONGUE), 0),
    (flat((235, 230, 220)), 0),  # all teeth
    (teeth_over_dark, 0),
    (flat(SKIN), 1),
    (flat((120, 118, 116)), 1),  # grey
    (half((120, 118, 116)), 0.5),
  ],
)
def test_known_mouths(fill, void):
  assert mouths.interior_void(*scene(fill)) == pytest.approx(void, abs=0.12)


def test_a_closed_mouth_has_no_void():
  assert mouths.interior_void(*scene(flat(SKIN), opening=2)) == 0


def test_a_grey_picture_is_judged_as_a_coloured_one():
  grey = lambda picture: np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, -1)
  for fill, void in ((teeth_over_dark, 0), (flat(DARK), 0), (flat((120, 118, 116)), 1)):
    picture, landmarks = scene(fill)
    assert mouths.interior_void(grey(picture), landmarks) == pytest.approx(void, abs=0.12)


def test_the_more_a_mouth_is_smeared_the_more_of_it_is_void():
  picture, landmarks = scene(teeth_over_dark)
  grey = np.full_like(picture, 125)
  inside = mouths.interior(landmarks, picture.shape[:2])[..., None]
  smeared = [np.where(inside, (1 - s) * picture + s * grey, picture) for s in (0, 0.5, 0.9, 1)]
  voids = [mouths.interior_void(each.astype(np.uint8), landmarks) for each in smeared]
  assert voids == sorted(voids) and voids[0] < 0.1 and voids[-1] > 0.9


def test_light_and_size_do_not_matter():
  picture, landmarks = scene(half((120, 118, 116)))
  void = mouths.interior_void(picture, landmarks)
  small = cv2.resize(picture, (128, 128), interpolation=cv2.INTER_AREA)
  assert mouths.interior_void(small, landmarks / 2) == pytest.approx(void, abs=0.1)
  dim = (picture * 0.7).astype(np.uint8)
  assert mouths.interior_void(dim, landmarks) == pytest.approx(void, abs=0.1)


def test_the_bundled_portrait_has_no_void():
  portrait = synthetic.portrait()
  landmarks = FaceMesh(1).track(iter([portrait]))[0]
  assert mouths.interior_void(portrait, landmarks) < 0.1
