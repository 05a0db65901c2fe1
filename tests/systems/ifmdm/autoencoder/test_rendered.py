"""Frames that the renderer draws: each pixel's partner in another frame shows the same."""

import cv2
import jax
import numpy as np
import pytest

from ifmdm_jax import bundle
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import resized
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.face.points import LEFT_MOUTH_CORNER, LOWER_MIDDLE, NOSE_TIP
from ifmdm_jax.systems.ifmdm.autoencoder import rendered
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite
from tests.test_house import ROOT

SIDE, SHIFT = 128, np.float32([0.03, 0.02])
FIRST, STILL, SHIFTED, OPEN = range(4)  # frames of the batch: the source, and three targets


@pytest.fixture(scope='module')
def pairs():
  """The portrait of the demo, at rest, at rest again, shifted, with its lower face further down."""
  picture = cv2.imread(str(ROOT / 'data' / 'fixtures' / 'portrait.jpg'))[..., ::-1]
  picture = resized(picture, SIDE)
  points = FaceLandmarker().track(resized(picture, 256)[None])[0] / np.float32(256)
  moved = np.zeros((4, *points.shape), np.float32)
  moved[SHIFTED] = SHIFT
  moved[OPEN, :, 1] = np.where(points[:, 1] > points[LOWER_MIDDLE, 1] - 0.005, 0.03, 0.0)
  batch = dict(
    picture=picture[None], points=points[None], moved=moved[None],
    gestures=np.zeros((1, 4, 4), np.float32),
  )  # fmt: skip
  config, params = rendered.load()
  draw = jax.jit(lambda params, batch: rendered.draw(params, config, batch, SIDE))
  return points, jax.tree.map(lambda x: np.asarray(x[0]), draw(params, batch))


def difference(pairs, target):
  """Mean absolute difference where there are partners: of partners, and of the same places."""
  places, visible = pairs.places[target - 1], pairs.visible[target - 1]
  found = np.asarray(composite.sample(pairs.source[None], places[None]))[0]
  wanted = pairs.target[target - 1]
  mean = lambda x: (np.abs(x - wanted) * visible).sum() / (3 * visible.sum())
  return mean(found), mean(pairs.source)


def test_without_motion_every_pixel_is_its_own_partner(pairs):
  _, pairs = pairs
  still = np.asarray(composite.identity_grid(SIDE))
  np.testing.assert_allclose(pairs.places[STILL - 1], still, atol=1e-5)
  assert pairs.visible[STILL - 1].mean() > 0.99
  np.testing.assert_array_equal(pairs.source, pairs.target[STILL - 1])


@pytest.mark.parametrize('target', (SHIFTED, OPEN))
def test_partners_show_the_same(pairs, target):
  found, same_place = difference(pairs[1], target)
  assert found < 0.35 * same_place
  assert 0.85 < pairs[1].visible[target - 1].mean() < 1  # and a rim has none


def test_a_face_that_shifts_is_found_where_it_was(pairs):
  points, pairs = pairs
  for point in (NOSE_TIP, LEFT_MOUTH_CORNER):
    x, y = np.int32((points[point] + SHIFT) * SIDE)
    assert pairs.visible[SHIFTED - 1][y, x] == 1
    way = (np.float32([x, y]) + 0.5) / SIDE - pairs.places[SHIFTED - 1][y, x]
    np.testing.assert_allclose(way, SHIFT, atol=0.006)  # codes keep landmarks only nearly


def test_the_inside_of_an_open_mouth_has_no_partner(pairs):
  _, pairs = pairs
  x, y = np.int32(SIDE * pairs.landmarks[OPEN][[13, 14]].mean(0))  # middle of the inner lips
  assert pairs.visible[OPEN - 1][y, x] == 0


def test_a_teacher_that_does_not_draw_by_landmarks_is_one_line():
  with pytest.raises(InputError, match='an autoencoder of kind lite to learn from, got .*vlogger'):
    rendered.load(str(bundle.BUNDLED.parent / 'vlogger'))
