"""Shares films out among processes; one that kills its process costs itself only."""

import concurrent.futures
import multiprocessing
import os
import signal
import threading

import cv2

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


class Worker:
  """Turns a source into its result, in a process that lives on to the next one.

  A film that kills the process, as a broken decoder does, is reported; the next gets a new one.
  """

  def __init__(self, output, settings, make_lag):
    self.output, self.settings, self.make_lag = output, settings, make_lag
    self.process, self.closed = None, False

  def __call__(self, source):
    """Returns what `process.process` does; None: `close` was called meanwhile."""
    if self.process is None:
      self._start()
    try:
      self.pipe.send(source)
      return self.pipe.recv()
    except (EOFError, OSError):  # it died: the film's fault, unless we are being stopped
      if self.closed:
        return None
      self.process.join()
      status, self.process = self.process.exitcode, None
      return results.failed(
        self.output, source, self.settings, 'crashed', status, 'is the status of its process'
      )

  def _start(self):
    context = multiprocessing.get_context('spawn')  # on all platforms: a fork copies XLA's threads
    self.pipe, remote = context.Pipe()
    task = (remote, self.output, self.settings, self.make_lag)
    self.process = context.Process(target=_serve, args=task, daemon=True)
    self.process.start()
    remote.close()

  def close(self):
    self.closed, child = True, self.process
    if child is not None:
      child.terminate()
      child.join()


def _serve(pipe, output, settings, make_lag):
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
  cv2.setNumThreads(1)
  os.environ.setdefault('OMP_NUM_THREADS', '1')
  estimate_lag = make_lag()
  while True:
    try:
      source = pipe.recv()
    except EOFError:
      return
    pipe.send(process.guarded(source, output, settings, estimate_lag))
