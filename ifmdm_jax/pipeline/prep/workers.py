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
  local, stop = threading.local(), threading.Event()
  alive = []

  def one(source):
    if stop.is_set():
      return None
    if getattr(local, 'worker', None) is None:
      local.worker = _Worker(output, settings, make_sync)
      alive.append(local.worker)
    worker = local.worker
    try:
      return worker(source)
    except (EOFError, OSError):  # it died: the film's fault, unless we are being stopped
      local.worker = None
      if stop.is_set():
        return None
      worker.process.join()
      status = worker.process.exitcode
      return process.failed(source, output, settings, 'crashed', status, 'status of its process')

  with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    try:
      for done in concurrent.futures.as_completed([pool.submit(one, s) for s in waiting]):
        if done.result() is not None:
          yield done.result()
    finally:
      stop.set()
      for worker in alive:
        worker.close()


class _Worker:
  """A process that is asked for one film at a time."""

  def __init__(self, output, settings, make_sync):
    context = multiprocessing.get_context('spawn')
    self.pipe, theirs = context.Pipe()
    self.process = context.Process(
      target=_serve, args=(theirs, output, settings, make_sync), daemon=True
    )
    self.process.start()
    theirs.close()

  def __call__(self, source):
    self.pipe.send(source)
    return self.pipe.recv()

  def close(self):
    self.process.terminate()
    self.process.join()


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
    return process.failed(source, output, settings, 'failed', os.path.getsize(source.path), detail)
