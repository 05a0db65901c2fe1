"""Axes of motion by their names."""

import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.vlogger import axes


def test_every_axis_has_one_name_and_one_place():
  assert len(axes.UNITS) == 51 and len(axes.POSE) == 15
  assert len(set(axes.AXES)) == len(axes.AXES) == 66
  assert all(axes.AXES[axes.INDEX[name]] == name for name in axes.AXES)


def test_values_are_read_by_name_over_a_start():
  start = np.full(len(axes.AXES), 0.25)
  frame = axes.read({'jawOpen': 0, 'gaze': 0.5}, start)
  assert frame[axes.INDEX['jawOpen']] == 0
  assert (frame[axes.indices('gaze')] == 0.5).all()
  assert (frame == 0.25).sum() == len(axes.AXES) - 5


@pytest.mark.parametrize('values', [{'jawOpn': 0}, {'jawOpen': 'wide'}, {'jawOpen': np.inf}])
def test_what_is_no_axis_or_no_number_is_refused_by_its_name(values):
  with pytest.raises(InputError, match=next(iter(values))):
    axes.read(values)
