"""The controls of the video model: dense map, masks, warped reference."""

import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.vlogger import body, controls
from tests.systems.vlogger import toy

SIZE, FOCAL = (32, 32), 60.0
PERSON = np.zeros(2, np.float32)


@pytest.fixture(scope='module')
def photo():
  ramp = np.linspace(0.1, 0.9, SIZE[0])
  return np.float32(np.stack([*np.meshgrid(ramp, ramp), np.full(SIZE, 0.5)], -1))


@pytest.fixture(scope='module')
def drawn(photo):
  model = toy.make()
  known = controls.reference(model, PERSON, toy.stand(), FOCAL, photo)
  motion = np.stack([toy.stand(), toy.stand(headX=0.5), toy.stand(headYaw=1.0, jawOpen=1.0)])
  return controls.draw(model, PERSON, motion, FOCAL, known, size=SIZE)


def test_the_photo_in_its_own_pose_is_the_photo(drawn, photo):
  valid = np.asarray(drawn.valid[0])
  assert valid.mean() > 0.15
  np.testing.assert_allclose(drawn.warped[0], photo * valid, atol=0.02)


def test_pixels_move_with_the_body(drawn):
  away = round(0.5 * FOCAL / 7)  # pixels by which a shift of 0.5 decimetres is seen at the face
  left, right = drawn.warped[0, 10:16, 14:18], drawn.warped[1, 10:16, 14 + away : 18 + away]
  np.testing.assert_allclose(left, right, atol=0.05)


def test_every_pixel_of_the_body_is_of_one_region(drawn):
  total = np.asarray(drawn.masks.sum(-1))
  assert set(np.unique(total)) == {0.0, 1.0}
  inside = total > 0
  assert (np.asarray(drawn.position)[~inside] == 0).all()
  assert (np.asarray(drawn.valid)[~inside] == 0).all()
  assert drawn.masks[0, 12, 16, body.REGIONS.index('face')] == 1
  assert drawn.masks[0, 30, 16, body.REGIONS.index('torso')] == 1


def test_the_dense_map_names_places_of_the_template(drawn):
  here = np.asarray(drawn.position[0, 12, 14:18]) * (controls.BOX[1] - controls.BOX[0])
  here = here + controls.BOX[0]
  assert (np.diff(here[:, 0]) > 0).all() and np.abs(here[:, 0]).max() < 0.3
  assert (here[:, 2] < -0.9).all()  # the front of the shell


def test_what_the_photo_did_not_show_is_no_known_pixel(photo):
  model = toy.make()
  aside = controls.reference(model, PERSON, toy.stand(headX=1.8), FOCAL, photo)  # half outside
  again = controls.draw(model, PERSON, toy.stand()[None], FOCAL, aside, size=SIZE)
  share = float(again.valid.sum() / again.masks.sum())
  assert 0.1 < share < 0.7


def test_controls_are_drawn_at_any_size(photo):
  model = toy.make()
  known = controls.reference(model, PERSON, toy.stand(), FOCAL, photo)
  wide = controls.draw(model, PERSON, toy.stand()[None], FOCAL, known, size=(24, 48))
  assert wide.warped.shape == (1, 24, 48, 3)
  assert controls.show(wide, np.zeros((24, 48, 3))).shape == (24, 4 * 48, 3)


def test_one_photo_is_wanted():
  with pytest.raises(InputError, match='one photo'):
    controls.reference(toy.make(), PERSON, jnp.asarray(toy.stand()), FOCAL, np.zeros((2, 8, 8, 3)))
