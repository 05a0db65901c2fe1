"""Face units: named shapes of a face, seen as the head is."""

import pathlib

import numpy as np
import pytest

from ifmdm_jax.face.crop import cut
from ifmdm_jax.face.points import (
  CHIN_TIP,
  LEFT_LIDS,
  LEFT_MOUTH_CORNER,
  LOWER_MIDDLE,
  MIRROR,
  NOSE_TIP,
  RIGHT_MOUTH_CORNER,
  UPPER_MIDDLE,
)
from ifmdm_jax.systems.ifmdm.autoencoder.lite import model, surface, units
from ifmdm_jax.video import image

FIXTURE = pathlib.Path(__file__).parents[5] / 'data' / 'fixtures' / 'portrait.jpg'
BROWS = 105, 334  # the picture's left and right one, upper edge


def moved(**by_name):
  """Where units move a frontal face of height 1, [468, 2]."""
  landmarks = surface.MEAN[None, :, :2]
  return np.asarray(units.seen(landmarks, units.shape(by_name)))[0]


def test_a_smile_lifts_the_corner_of_the_persons_own_side():
  way = moved(mouthSmileLeft=0.5)  # the person's left is the picture's right
  assert way[RIGHT_MOUTH_CORNER, 1] < -0.02 and way[RIGHT_MOUTH_CORNER, 0] > 0
  assert np.abs(way[[LEFT_MOUTH_CORNER, NOSE_TIP, BROWS[0]]]).max() < 0.01


@pytest.mark.parametrize(
  'name, point, axis, sign',
  [
    ('mouthFrownRight', LEFT_MOUTH_CORNER, 1, 1),
    ('browOuterUpLeft', BROWS[1], 1, -1),
    ('browDownRight', BROWS[0], 1, 1),
    ('jawLeft', CHIN_TIP, 0, 1),
    ('jawOpen', CHIN_TIP, 1, 1),
    ('mouthRight', LEFT_MOUTH_CORNER, 0, -1),
    ('mouthPucker', LEFT_MOUTH_CORNER, 0, 1),
    ('mouthPucker', RIGHT_MOUTH_CORNER, 0, -1),
    ('mouthLowerDownLeft', LOWER_MIDDLE, 1, 1),
    ('mouthUpperUpLeft', UPPER_MIDDLE, 1, -1),
    ('eyeWideRight', LEFT_LIDS.upper, 1, -1),
  ],
)
def test_a_unit_moves_what_its_name_says(name, point, axis, sign):
  assert sign * moved(**{name: 1.0})[point, axis] > 0.005


def test_every_unit_moves_something_and_none_half_a_face():
  furthest = np.linalg.norm(units.basis(), axis=-1).max(1)
  assert len(furthest) == len(units.NAMES) == 38
  assert furthest.min() > 0.01 and furthest.max() < 0.3


def test_both_sides_of_a_face_do_the_same():
  pairs = [(name, name[:-4] + 'Right') for name in units.NAMES if name.endswith('Left')]
  assert len(pairs) == 15
  for left, right in pairs:
    of_left, of_right = (units.basis()[units.NAMES.index(name)] for name in (left, right))
    np.testing.assert_allclose(of_left[MIRROR] * [-1, 1, 1], of_right, atol=2e-4)


def test_units_turn_and_grow_with_the_head():
  shape = units.shape(dict(mouthSmileLeft=0.6, jawLeft=0.4))
  size, roll, yaw = 0.4, np.radians(20), np.radians(25)
  about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
  about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
  turn = size * about_z @ about_y
  landmarks = (surface.MEAN @ turn.T)[None, :, :2] + 0.5
  expected = (shape[0] @ turn.T)[:, :2]
  found = np.asarray(units.seen(landmarks, shape))[0]
  assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


@pytest.fixture(scope='module')
def drawn(encode, draw):
  """Draws the fixture's own code with units: by name -> uint8 [1, R, R, 3]."""
  picture = cut(image.read_image(FIXTURE), (150, 0, 220), 64)
  portrait = encode(picture)

  def by_name(units):
    given = portrait if units is None else model.with_units(portrait, units)
    return np.asarray(draw(given, portrait.code))

  return by_name, picture


def test_units_of_zero_draw_what_none_draw_bit_by_bit(drawn):
  by_name, picture = drawn
  np.testing.assert_array_equal(by_name({'mouthSmileLeft': 0.0}), by_name(None))
  assert np.abs(by_name(None)[0].astype(int) - picture).max() <= 1  # the portrait itself


def test_units_are_drawn_where_nothing_else_moves(drawn):
  by_name, picture = drawn
  apart = np.abs(by_name(dict(browInnerUp=1.0))[0].astype(float) - picture).mean(-1)
  rows = apart.mean(1)
  half = len(rows) // 2
  assert (
    rows[:half].max() > 1 and rows[:half].sum() > 2 * rows[half:].sum()
  )  # the rest is fresh paint
