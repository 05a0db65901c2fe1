"""Behind parted lips there are teeth and the dark, in the light of the portrait; never skin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.face import points
from ifmdm_jax.systems.ifmdm.autoencoder.lite import mouth, surface

SIDE, SIZE = 256, 0.5
LIGHT, DARK = np.array([205, 150, 125]), np.array([95, 62, 48])
make = jax.jit(mouth.interior)
paste = jax.jit(mouth.paste)


def face(gap=0.0):
  """A frontal mean face, lips so many of its heights apart: landmarks [1, 468, 3]."""
  landmarks = np.float32(SIZE * surface.MEAN + [0.5, 0.5, 0.0])
  upper, lower = points.UPPER_LIP_INNER, points.LOWER_LIP_INNER
  row = 0.5 * (landmarks[upper, 1] + landmarks[lower, 1])
  landmarks[upper, 1] = landmarks[lower, 1] = row
  round_lips = 1.0 - np.linspace(-1, 1, 11) ** 4
  landmarks[lower, 1] += np.float32(gap * SIZE) * round_lips
  landmarks[points.CHIN, 1] += np.float32(gap * SIZE)
  return landmarks[None]


def skin(colour=LIGHT, eyes=(205, 195, 185)):
  """A picture all skin, with eyes: [1, SIDE, SIDE, 3] in [-1, 1]."""
  picture = np.full((1, SIDE, SIDE, 3), colour, np.float32)
  for ring in (points.LEFT_EYE, points.RIGHT_EYE):
    low, high = (f(face()[0, ring, :2] * SIDE, 0).astype(int) for f in (np.min, np.max))
    picture[:, low[1] : high[1] + 1, low[0] : high[0] + 1] = eyes
  return picture / 127.5 - 1.0


def opened(gap, picture=None, portrait=None):
  """Colours 0 to 255 along the middle of the mouth, from upper to lower lip, [n, 3]."""
  picture = skin() if picture is None else picture
  inside = make(picture, face() if portrait is None else portrait)
  landmarks = face(gap)[..., :2]
  drawn = np.asarray(paste(picture, inside, landmarks, jnp.ones((1, 1, 1, 1))))
  column, top = (landmarks[0, points.UPPER_MIDDLE] * SIDE).astype(int)
  bottom = int(landmarks[0, points.LOWER_MIDDLE, 1] * SIDE)
  return 127.5 * (drawn[0, top + 1 : bottom - 1, column] + 1.0), drawn


def test_an_open_mouth_shows_teeth_above_and_the_dark_below():
  column, _ = opened(0.1)
  assert column[2:4].mean() > 90  # teeth
  assert column[len(column) // 2].max() < 110  # not the skin, which is 205


def test_nothing_is_drawn_outside_the_lips():
  _, drawn = opened(0.1)
  changed = np.argwhere(np.abs(drawn - skin()).max(-1)[0] > 0)
  low, high = (f(face(0.1)[0, points.LIPS_INNER, :2] * SIDE, 0) for f in (np.min, np.max))
  assert (changed >= low[::-1] - 2).all() and (changed <= high[::-1] + 2).all()


def test_closed_lips_stay_as_they_are():
  _, drawn = opened(0.0)
  np.testing.assert_array_equal(drawn, skin())


def test_where_nothing_moved_nothing_is_drawn():
  inside, picture = make(skin(), face()), skin()
  drawn = paste(picture, inside, face(0.1)[..., :2], jnp.zeros((1, 1, 1, 1)))
  np.testing.assert_array_equal(drawn, picture)


def test_a_portrait_that_shows_its_teeth_keeps_them():
  shown = face(0.06)
  inside = make(skin(), shown)
  assert float(inside.closed[0]) == 0
  picture = skin()
  drawn = paste(picture, inside, shown[..., :2], jnp.ones((1, 1, 1, 1)))
  assert (
    np.abs(np.asarray(drawn) - picture).mean()
    < 0.05 * np.abs(np.asarray(opened(0.06)[1]) - picture).mean()
  )


def test_teeth_are_fixed_to_the_skull_and_do_not_stretch_with_the_jaw():
  little, much = (opened(gap)[0] for gap in (0.06, 0.1))
  np.testing.assert_allclose(little[2:5], much[2:5], atol=12)


@pytest.mark.parametrize('whites', [(205, 195, 185), (150, 142, 135)])
def test_teeth_are_as_light_as_the_eyes_whatever_the_skin(whites):
  teeth = lambda colour: opened(0.1, skin(colour, whites))[0][2:4].mean()
  assert teeth(DARK) > 0.7 * teeth(LIGHT)


def test_a_grey_portrait_gets_a_grey_mouth():
  column, _ = opened(0.1, skin((150, 150, 150), (190, 190, 190)))
  assert (column.max(-1) - column.min(-1)).max() < 3
