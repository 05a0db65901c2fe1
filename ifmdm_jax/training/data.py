"""A thread that fetches ahead, and still knows the loader's state at the batch last handed out."""

import copy
import queue
import threading
import time

from ifmdm_jax import errors


class Prefetch:
  """Iterates over `place(batch)`; up to `ahead` batches wait on the devices.

  `state` is the loader's state right after the batch that `next` gave last, not after the ones that
  wait: with it a resumed run sees exactly the batches that an uninterrupted one would.
  `waited` adds up the seconds in which the caller had to wait. An error of the loader is raised by
  `next`. Use as a context manager: leaving stops the thread.
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
      except Exception as error:  # handed to the caller, who raises it
        item = None, None, error
      while not self._stop.is_set():
        try:
          self._queue.put(item, timeout=0.1)
          break
        except queue.Full:
          continue
      if item[2] is not None:
        return
