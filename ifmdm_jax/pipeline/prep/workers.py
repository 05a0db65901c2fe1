"""Shares films out among processes; one that kills its process costs itself only."""

import concurrent.futures
import os
import threading

import cv2

from ifmdm_jax import processes
from ifmdm_jax.pipeline.prep import process, results


def run(sources, output, settings, make_lag, workers):
  """Yields the result of every film, as they finish.

  Args:
    sources: list of `layouts.Source`.
    output, settings: see `process.process`.
    make_lag: a function that can be pickled, called once in every process; returns
      `estimate_lag`.
    workers: processes; they start when there is something to do.
  """
  waiting = []
  for source in sources:
    known = results.finished(output, source, settings)
    if known:
      yield known
    else:
      waiting.append(source)
  local, stop, crew = threading.local(), threading.Event(), []

  def one(source):
    if stop.is_set():
      return None
    if not hasattr(local, 'worker'):
      local.worker = Worker(output, settings, make_lag)
      crew.append(local.worker)
    return local.worker(source)

  with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    try:
      for done in concurrent.futures.as_completed([pool.submit(one, s) for s in waiting]):
        if done.result() is not None:
          yield done.result()
    finally:
      stop.set()
      for worker in crew:
        worker.close()


class Worker(processes.Worker):
  """Turns a source into its result, in a process that lives on to the next one.

  A film that kills the process, as a broken decoder does, is reported; the next gets a new one.
  """

  def __init__(self, output, settings, make_lag):
    super().__init__(_made, output, settings, make_lag)

  def __call__(self, source):
    """Returns what `process.process` does; None: `close` was called meanwhile."""
    try:
      return super().__call__(source)
    except processes.Died as died:  # the film's fault, unless we are being stopped
      if self.closed:
        return None
      output, settings, _ = self.args
      return results.failed(
        output, source, settings, 'crashed', died.status, 'is the status of its process'
      )


def _made(output, settings, make_lag):
  """Returns the function of a process: of a source its result."""
  cv2.setNumThreads(1)
  os.environ.setdefault('OMP_NUM_THREADS', '1')
  estimate_lag = make_lag()
  return lambda source: process.guarded(source, output, settings, estimate_lag)
