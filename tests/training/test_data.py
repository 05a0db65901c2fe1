import time

import pytest

from ifmdm_jax import errors
from ifmdm_jax.training.data import Prefetch


class Counter:
  """Yields 0, 1, ...; its state is the next number. Ends or breaks at `end`."""

  def __init__(self, end=None, error=StopIteration):
    self.next, self.end, self.error = 0, end, error

  def __next__(self):
    if self.next == self.end:
      raise self.error
    self.next += 1
    return self.next - 1

  def get_state(self):
    return {'next': self.next}


def test_state_belongs_to_the_batch_last_handed_out():
  with Prefetch(Counter(), place=lambda batch: batch * 10) as batches:
    assert batches.state == {'next': 0}
    for index in range(5):
      time.sleep(0.01)  # the thread runs ahead
      assert next(batches) == index * 10
      assert batches.state == {'next': index + 1}


def test_what_breaks_in_the_thread_is_raised_by_next():
  with Prefetch(Counter(1, OSError('disk')), place=lambda batch: batch) as batches:
    next(batches)
    with pytest.raises(OSError, match='disk'):
      next(batches)


def test_training_data_that_ends_is_told():
  with Prefetch(Counter(0), place=lambda batch: batch) as batches:
    with pytest.raises(errors.InputError, match='repeat without end'):
      next(batches)


def test_leaving_stops_the_thread():
  with Prefetch(Counter(), place=lambda batch: batch) as batches:
    next(batches)
  assert not batches._thread.is_alive()
