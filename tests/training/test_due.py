import ml_collections
import pytest

from ifmdm_jax.training import program
from ifmdm_jax.training.due import Clock, Due


def due(done, last=False, stop=False, late=False, **train):
  settings = ml_collections.ConfigDict(program.defaults(log_every=10, **train))
  return Due.after(done, settings, last=last, stop=stop, late=late)


def test_nothing_is_due_between_and_each_thing_at_its_multiple():
  assert not due(7)
  assert due(20).log and not due(20).save
  some = due(30, eval_every=15, pictures_every=30, videos_every=60, save_every_steps=6)
  assert some == Due(log=True, validate=True, pictures=True, videos=False, save=True)


def test_at_the_end_all_that_is_ever_done_is_done_once_more():
  assert due(7, last=True, eval_every=15) == Due(True, True, False, False, True)
  assert due(7, last=True, videos_every=9).videos


def test_a_run_that_stops_or_is_late_saves():
  assert due(7, stop=True) == Due(True, False, False, False, True)
  assert due(7, late=True) == Due(False, False, False, False, True)


@pytest.mark.parametrize('keep_best', ['', 'loss'])
def test_a_validation_is_saved_where_the_best_are_kept(keep_best):
  assert due(15, eval_every=15, keep_best=keep_best).save == bool(keep_best)


def test_the_clock_counts_the_runs_before_and_says_why_it_is_over(monkeypatch):
  now = [100.0]
  monkeypatch.setattr('time.monotonic', lambda: now[0])
  clock = Clock(began=100.0, before=50.0, max_minutes=2.0, save_every_minutes=1.0)
  now[0] = 159.0
  assert clock.seconds() == 109.0 and not clock.late() and not clock.over()
  now[0] = 220.0
  assert clock.late() and clock.over() == '2 minutes are over'
  clock.saved()
  assert not clock.late()
