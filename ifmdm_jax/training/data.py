"""Batches ahead of time with the loader's state of the last one used, and whose rows are whose."""

import copy
import os
import queue
import threading
import time

from ifmdm_jax import errors

USUAL = 4096  # rows of a batch; more are measured first


class DataLost(errors.InputError):
  """The loader failed; the message says how, and what to do."""


class Prefetch:
  """Iterates over `place(batch)`; up to `ahead` batches wait on the devices.

  `state` is the loader's state right after the batch that `next` gave last, not after the ones that
  wait: with it a resumed run sees exactly the batches that an uninterrupted one would.
  `waited` adds up the seconds in which the caller had to wait. An error of the loader is raised by
  `next`, as DataLost unless it is an InputError already. Use as a context manager: leaving stops
  the thread.
  """

  def __init__(self, loader, place, ahead=2):
    self.state = copy.deepcopy(loader.get_state())
    self.waited = 0.0
    self._loader, self._place = loader, place
    self._queue = queue.Queue(maxsize=ahead)
    self._stop = threading.Event()
    self._thread = threading.Thread(target=self._work, daemon=True, name='prefetch')

  def __enter__(self):
    self._thread.start()
    return self

  def __exit__(self, *_):
    self._stop.set()
    self._thread.join()

  def __iter__(self):
    return self

  def __next__(self):
    begin = time.perf_counter()
    batch, state, error = self._queue.get()
    self.waited += time.perf_counter() - begin
    if error is not None:
      raise error
    self.state = state
    return batch

  def _work(self):
    while not self._stop.is_set():
      try:
        batch = next(self._loader)
        item = self._place(batch), copy.deepcopy(self._loader.get_state()), None
      except StopIteration:
        why = "the loader's split 'train' came to its end: it must repeat without end"
        item = None, None, errors.InputError(why)
      except errors.InputError as error:
        item = None, None, error
      except Exception as error:  # handed to the caller, who raises it
        lost = DataLost(
          f'the data can no longer be read ({type(error).__name__}: {error}): bring it back, and'
          ' the same command goes on'
        )
        lost.__cause__ = error
        item = None, None, lost
      while not self._stop.is_set():
        try:
          self._queue.put(item, timeout=0.1)
          break
        except queue.Full:
          continue
      if item[2] is not None:
        return


def check_size(make_loader, batch):
  """Raises InputError where a batch of so many rows cannot fit into this machine's memory."""
  if batch <= USUAL:
    return
  row = next(iter(make_loader(batch=1, split='train')), {})
  size = batch * sum(array.nbytes for array in row.values())
  memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') if hasattr(os, 'sysconf') else 0
  if size > (memory or 2**36):
    raise errors.InputError(
      f'config.train.batch is {batch} a process, {size / 1e9:,.0f} GB, too much for the memory'
    )


def own_rows(dataset, batch, process_index, process_count):
  """Takes the rows of a grain MapDataset that this process reads: batches do not depend on P.

  Global batch i is rows i B .. (i + 1) B - 1 whatever the number of processes; this one gets
  `batch` = B / P of them in a row. To be applied after `random_map`: what is random in a row then
  depends on its place in the whole alone. Rows that fill no whole batch are left out.
  """
  if process_count == 1:
    return dataset
  import grain  # of the extra `train`

  whole = batch * process_count

  class Own(grain.MapDataset):
    def __len__(self):
      return len(self._parent) // whole * batch  # rows of whole batches

    def __getitem__(self, index):
      block, row = divmod(index, batch)
      return self._parent[block * whole + process_index * batch + row]

  return Own(dataset)


def share_out(states, count):
  """Shares loader states of the processes that saved out among `count` that go on.

  Every process is as many rows into its share as any other, so positions (`next_index`, as grain
  counts) scale with the length of a share. Raises InputError for other kinds of state.
  """
  if len(states) == count:
    return states
  if any(state != states[0] for state in states) or not _has_position(states[0]):
    raise errors.InputError(
      f'the data position was saved by {len(states)} processes and cannot be shared out among'
      f' {count}: go on with {len(states)}, or start anew with --init_from'
    )
  return [_rescaled(states[0], len(states), count)] * count


def _has_position(state):
  if not isinstance(state, dict):
    return False
  return 'next_index' in state or any(_has_position(value) for value in state.values())


def _rescaled(state, before, after):
  if isinstance(state, dict):
    return {
      key: value * before // after if key == 'next_index' else _rescaled(value, before, after)
      for key, value in state.items()
    }
  return state
