"""Which frame is shown when."""

import numpy as np
import pytest

from ifmdm_jax.dubbing import timeline

TIMES, END = np.array([0.0, 0.04, 0.09, 0.16]), 0.2  # of variable rate


@pytest.mark.parametrize('longer', timeline.LONGER)
def test_a_film_as_long_as_its_voice_or_longer_is_as_it_was(longer):
  for voice in (0.05, 0.2):
    plan = timeline.plan(TIMES, END, voice, longer)
    assert (plan.numbers == np.arange(4)).all() and (plan.times == TIMES).all()
    assert plan.end == END


def test_the_last_frame_is_held():
  plan = timeline.plan(TIMES, END, 0.31, 'hold')
  assert plan.numbers.tolist() == [0, 1, 2, 3, 3, 3, 3]
  assert plan.times[4:] == pytest.approx([0.2, 0.24, 0.28]) and plan.end == pytest.approx(0.32)


def test_a_loop_begins_again_with_the_same_times():
  plan = timeline.plan(TIMES, END, 0.5, 'loop')
  assert plan.numbers.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2]
  assert plan.times[4:8] == pytest.approx(TIMES + END)


def test_back_and_forth_shows_each_frame_as_long_as_before():
  plan = timeline.plan(TIMES, END, 0.6, 'pingpong')
  assert plan.numbers.tolist() == [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2, 3]
  lengths = np.diff(plan.times)
  assert lengths[:3] == pytest.approx(np.diff(TIMES))
  assert lengths[4:7] == pytest.approx([0.04, 0.07, 0.05])  # END - 0.16 first


def test_cut_ends_with_the_film():
  assert timeline.plan(TIMES, END, 5.0, 'cut').end == END


@pytest.mark.parametrize('longer', timeline.LONGER)
def test_times_rise_and_reach_the_end_of_the_voice(longer):
  for voice in np.linspace(0.01, 3, 40):
    plan = timeline.plan(TIMES, END, voice, longer)
    assert (np.diff(plan.times) > 0).all() and plan.end > plan.times[-1]
    assert longer == 'cut' or plan.end > voice - 0.03
    assert plan.end < max(voice, END) + 0.1
