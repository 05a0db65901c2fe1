import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm import knobs, motion_stream


def test_knobs_that_are_left_alone_change_nothing_whatever_the_code():
  np.testing.assert_array_equal(knobs.gains(20, {}), 1)
  np.testing.assert_array_equal(knobs.gains(7, dict(head=1.0)), 1)


def test_a_knob_moves_its_own_part_alone():
  moved = {name: np.flatnonzero(knobs.gains(20, {name: 0.0}) == 0) for name in knobs.KNOBS}
  np.testing.assert_array_equal(moved['head'], np.arange(0, 6))
  np.testing.assert_array_equal(moved['mouth'], np.arange(6, 14))
  np.testing.assert_array_equal(moved['expression'], np.arange(14, 20))
  np.testing.assert_array_equal(moved['brows'], np.arange(17, 20))


def test_knobs_multiply():
  made = knobs.gains(20, dict(expression=0.5, brows=0.5))
  assert set(made[14:17]) == {0.5} and set(made[17:]) == {0.25}


@pytest.mark.parametrize(
  'bad',
  [
    dict(nose=1.0),
    dict(head=-0.1),
    dict(mouth=3.0),
    dict(brows=float('nan')),
    dict(motion_mean={'nose_1': 1.0}),
    dict(blinks_per_minute=-1),
    dict(blinks_per_minute=61.0),
    dict(blinks_per_minute=float('nan')),
    dict(blinks_per_minute='often'),
    dict(gaze='away'),
    dict(gaze=None),
    dict(unit={'mouthSmileLef': 0.3}),
    dict(unit={'mouthSmileLeft': 1.5}),
    dict(unit={'mouthSmileLeft': float('nan')}),
    dict(unit={'mouthSmileLeft': 'much'}),
    dict(unit='mouthSmileLeft'),
  ],
)
def test_a_knob_that_cannot_be_turned_so_is_refused_in_one_line(bad):
  with pytest.raises(InputError) as error:
    motion_stream.Options().changed(**bad)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  'name, instead',
  [
    ('tongueOut', 'no tongue'),
    ('cheekPuff', 'towards the viewer'),
    ('eyeBlinkLeft', '--blinks_per_minute'),
    ('eyeLookUpRight', '--gaze'),
    ('mouthClose', '--mouth'),
  ],
)
def test_a_unit_that_landmarks_cannot_show_is_refused_and_says_what_to_use(name, instead):
  with pytest.raises(InputError, match=instead) as error:
    motion_stream.Options(unit={name: 0.3})
  assert '\n' not in str(error.value)


def test_a_head_follows_softly_and_nothing_else_waits():
  codes = np.random.default_rng(0).normal(size=(4, 24)).astype(np.float32)
  before = np.zeros(24, np.float32)
  moved = knobs.steadied(codes, before, np.array([1, 0.5, 0, 1], np.float32))
  np.testing.assert_array_equal(moved[:, 6:], codes[:, 6:])  # lips, lids, brows, eyes
  half = codes[0, :6] + 0.5 * (codes[1, :6] - codes[0, :6])
  np.testing.assert_allclose(moved[:, :6], [codes[0, :6], half, half, codes[3, :6]], rtol=1e-6)
  nameless = codes[:, :7]
  assert knobs.steadied(nameless, nameless[0], np.zeros(4)) is nameless


def test_a_misspelt_unit_is_told_the_nearest_names():
  with pytest.raises(InputError, match='mouthSmilLeft: the nearest are mouthSmileLeft'):
    motion_stream.Options(unit={'mouthSmilLeft': 0.3})


def test_units_of_nothing_are_no_units():
  assert motion_stream.Options(unit={'jawLeft': 0.0}) == motion_stream.Options()
  one = motion_stream.Options(unit={'jawLeft': 0.5, 'mouthPucker': 1})
  assert one == motion_stream.Options(unit={'mouthPucker': 1.0, 'jawLeft': 0.5})


def test_parts_of_codes_without_names_are_refused():
  with pytest.raises(InputError, match='7 without names'):
    motion_stream.check(motion_stream.Options(head=0.5), 7)


def test_an_offset_by_name_moves_that_direction_alone():
  options = motion_stream.Options(motion_mean={'pose_1': 0.5, 'brows_3': -1})
  made = motion_stream.controls(np.zeros((1, 20)), np.ones(20), options)
  np.testing.assert_array_equal(np.flatnonzero(made.mean), [0, 19])
  assert (made.mean[0, 0, 0], made.mean[0, 0, 19]) == (0.5, -1.0)
