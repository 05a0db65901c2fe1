"""How work is laid out on the processor at hand: the only file that asks which one that is."""

import collections
import concurrent.futures
import dataclasses
import functools
import os

import jax

BLOCK = 8  # frames drawn by one call, at most
WORKERS = 8  # calls under way at once on a CPU, at most; one for each core
# A CPU's compiler would drop barriers, and compute again what a pixel needs for each that reads it.
KEEP_BARRIERS = {'xla_disable_hlo_passes': 'cse_barrier_expander'}


@dataclasses.dataclass(frozen=True)
class Layout:
  """Sizes of calls.

  Attributes:
    cpu: whether the processor is a CPU.
    block: frames drawn by one call.
    workers: calls under way at once.
    compiler_options: of programs that draw.
  """

  cpu: bool
  block: int
  workers: int
  compiler_options: dict | None


def layout():
  """Returns the `Layout` of JAX's default backend.

  A CPU is kept busy by a call of one frame on each core, others by wide calls and a queue.
  """
  if jax.default_backend() == 'cpu':
    return Layout(True, 1, min(WORKERS, cores()), KEEP_BARRIERS)
  return Layout(False, BLOCK, 2, None)


def backend():
  """Names JAX's default backend."""
  return jax.default_backend()


def cores():
  """Counts the cores that this process may use."""
  if hasattr(os, 'process_cpu_count'):
    return os.process_cpu_count() or 1
  if hasattr(os, 'sched_getaffinity'):  # Linux
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


class Pool:
  """Runs calls side by side and hands their results on in order."""

  def __init__(self, workers):
    self.workers = workers

  @functools.cached_property
  def _threads(self):
    return concurrent.futures.ThreadPoolExecutor(self.workers)

  def submit(self, call):
    """Starts a call; returns its future."""
    return self._threads.submit(call)

  def ahead(self, calls):
    """Yields the results of `calls` in order, while the next ones are at work on other cores, or,
    on an accelerator, while the last one is fetched."""
    waiting = collections.deque()
    try:
      for call in calls:
        waiting.append(self.submit(call))
        if len(waiting) > 2 * self.workers:
          yield waiting.popleft().result()
      while waiting:
        yield waiting.popleft().result()
    finally:  # nobody wants the rest
      for job in waiting:
        job.cancel()
