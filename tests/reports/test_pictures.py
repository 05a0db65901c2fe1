"""Pictures as people sent them, each with its right result; see the README beside the files."""

import numpy as np
import pytest

from ifmdm_jax import read, testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.video.image import read_image

FOLDER = testing.REPOSITORY.parent / 'shared' / 'data' / 'reports'
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f'no reports in {FOLDER}')


def is_upright(picture):
  assert picture.pixels.shape == (300, 400, 3)
  np.testing.assert_allclose(picture.square, (91, 15, 169), atol=6)
  difference = picture.pixels.astype(int) - read_image(FOLDER / 'upright.jpg')
  assert np.abs(difference).mean() < 8


def test_upright():
  is_upright(read.read_picture(FOLDER / 'upright.jpg'))


@pytest.mark.parametrize('number', [1, 2, 3])
def test_a_picture_that_its_transform_turns_upright(number):
  is_upright(read.read_picture(FOLDER / f'turned_by_irot{number}.avif'))


def test_heic():
  is_upright(read.read_picture(FOLDER / 'phone.heic'))


def test_a_wide_colour_profile():
  picture = read.read_picture(FOLDER / 'prophoto.jpg')
  means = [x.mean((0, 1)) for x in (picture.pixels, read_image(FOLDER / 'upright.jpg'))]
  assert np.abs(means[0] - means[1]).max() < 6


@pytest.mark.parametrize(('name', 'side'), [('turned_90', 'left'), ('turned_270', 'right')])
def test_a_head_that_lies_on_its_side_is_refused(name, side):
  with pytest.raises(InputError, match=f'is turned: turn the picture by 90 degrees to the {side}'):
    read.read_picture(FOLDER / f'{name}.jpg')


def test_a_face_that_the_border_cuts_is_refused():
  with pytest.raises(InputError, match='is cut by the border'):
    read.read_picture(FOLDER / 'face_cut_left.jpg')


def test_a_small_face_in_a_large_picture():
  x, y, side = read.read_picture(FOLDER / 'small_face_24mp.jpg').square
  assert abs(side - 177) <= 20
  assert abs(x + side / 2 - 2970) < 60 and abs(y + side / 2 - 1895) < 60
