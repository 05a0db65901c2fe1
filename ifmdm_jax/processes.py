"""A process that does one thing after another, and may die of one without harm to the others."""

import multiprocessing
import os
import signal
import threading

from ifmdm_jax import errors

PATIENCE = 10.0  # seconds that a stopped process has to unwind


class Died(Exception):
  """The process ended while it was at work; `status` is its exit status, negative of a signal."""

  def __init__(self, status):
    super().__init__(f'the process ended with status {status}')
    self.status = status


class Worker:
  """Calls a function in a process of its own, which lives on to the next call.

  It starts at the first call; where it died, as a broken decoder lets it, the next call starts
  another. It ends with this process, however that ends.
  """

  def __init__(self, make, *args):
    """`make(*args)` returns the function, in the process; all of it can be pickled."""
    self.make, self.args = make, args
    self.process, self.closed = None, False

  def __call__(self, item):
    """Returns what the function does.

    Raises:
      Died: the process did.
    """
    if self.process is None and not self.closed:
      self._start()
    if self.process is None:
      raise Died(0)
    try:
      self.pipe.send(item)
      return self.pipe.recv()
    except (EOFError, OSError) as error:
      self.process.join()
      status, self.process = self.process.exitcode, None
      raise Died(status) from error

  def _start(self):
    context = multiprocessing.get_context('spawn')  # on all platforms: a fork copies XLA's threads
    self.pipe, remote = context.Pipe()
    task = (remote, self.make, self.args)
    self.process = context.Process(target=_serve, args=task, daemon=True)
    self.process.start()
    remote.close()
    if self.closed:  # meanwhile, by another thread
      self.process.terminate()

  def close(self):
    """Ends the process, whatever it is at."""
    self.closed, child = True, self.process
    if child is not None:
      child.terminate()
      child.join(PATIENCE)
      child.kill()
      child.join()


def _serve(pipe, make, args):
  errors.unwind_when_stopped()
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
  parent = multiprocessing.parent_process()
  threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
  function = make(*args)
  while True:
    try:
      item = pipe.recv()
    except EOFError:
      return
    pipe.send(function(item))


def _end_with(parent):
  """Ends this process when its parent is gone: nobody wants its work, and it holds memory."""
  parent.join()
  os._exit(1)
