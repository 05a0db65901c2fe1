import time

import grain
import pytest

from ifmdm_jax import errors
from ifmdm_jax.training.data import DataLost, Prefetch, own_rows, share_out


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
    with pytest.raises(DataLost, match='OSError: disk.*the same command goes on'):
      next(batches)


def test_training_data_that_ends_is_reported():
  with Prefetch(Counter(0), place=lambda batch: batch) as batches:
    with pytest.raises(errors.InputError, match='repeat without end'):
      next(batches)


def test_leaving_stops_the_thread():
  with Prefetch(Counter(), place=lambda batch: batch) as batches:
    next(batches)
  assert not batches._thread.is_alive()


def test_the_batches_do_not_depend_on_the_number_of_processes():
  def rows(process, count):
    dataset = grain.MapDataset.source(range(50)).seed(1).shuffle().repeat()
    own = own_rows(dataset, 8 // count, process, count)
    loader = iter(own.to_iter_dataset().batch(8 // count))
    return [next(loader).tolist() for _ in range(8)], loader.get_state()

  alone, position = rows(0, 1)
  (left, position_left), (right, _) = rows(0, 2), rows(1, 2)
  assert alone == [a + b for a, b in zip(left, right, strict=True)]
  assert share_out([position_left] * 2, 1) == [position]
  assert share_out([position], 2) == [position_left] * 2


def test_a_position_that_cannot_be_shared_out_is_reported():
  with pytest.raises(errors.InputError, match='saved by 2 processes'):
    share_out([{'shard': 1}, {'shard': 2}], 1)
