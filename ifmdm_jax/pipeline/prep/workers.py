"""Films shared out among processes; one that kills its process costs itself only."""

import concurrent.futures
import multiprocessing
import os
import pathlib
import threading
import traceback

from ifmdm_jax.pipeline.prep import process


def run(sources, output, settings, make_sync, workers):
  """Yields the result of every film, as they finish.

  Args:
    sources: list of `layouts.Source`.
    output, settings: see `process.process`.
    make_sync: a function that can be pickled, called once in every process; returns `sync`.
    workers: processes; they start when there is something to do.
  """
  waiting = []
  for source in sources:
    folder = pathlib.Path(output) / 'videos' / source.key
    known = process.finished(folder, source, settings)
    if known:
      yield known
    else:
      waiting.append(source)
  local, stop, crew = threading.local(), threading.Event(), []

  def one(source):
    if stop.is_set():
      return None
    if not hasattr(local, 'worker'):
      local.worker = Worker(output, settings, make_sync)
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
  """`worker(source)` is the result of one film, made by a process that lives on to the next.

  A film that kills the process, as a broken decoder does, is reported; the next gets a new one.
  """

  def __init__(self, output, settings, make_sync):
    self.output, self.settings, self.make_sync = output, settings, make_sync
    self.process, self.closed = None, False

  def __call__(self, source):
    """What `process.process` returns; None: `close` was called meanwhile."""
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
      return process.failed(
        source, self.output, self.settings, 'crashed', status, 'is the status of its process'
      )

  def _start(self):
    context = multiprocessing.get_context('spawn')
    self.pipe, theirs = context.Pipe()
    task = (theirs, self.output, self.settings, self.make_sync)
    self.process = context.Process(target=_serve, args=task, daemon=True)
    self.process.start()
    theirs.close()

  def close(self):
    self.closed, child = True, self.process
    if child is not None:
      child.terminate()
      child.join()


def _serve(pipe, output, settings, make_sync):
  import signal

  import cv2

  signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
  cv2.setNumThreads(1)
  os.environ.setdefault('OMP_NUM_THREADS', '1')
  sync = make_sync()
  while True:
    try:
      source = pipe.recv()
    except EOFError:
      return
    pipe.send(guarded(source, output, settings, sync))


def guarded(source, output, settings, sync):
  """`process.process`, where whatever goes wrong becomes a line of the report."""
  try:
    return process.process(source, output, settings, sync)
  except Exception as error:
    where = traceback.extract_tb(error.__traceback__)[-1]
    detail = f'{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})'
    size = os.path.getsize(source.path)
    return process.failed(source, output, settings, 'failed', size, f'bytes; {detail}')
