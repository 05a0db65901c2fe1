"""Shares jobs out among processes, portrait by portrait; one that kills its process costs itself.

A portrait stays with one process as long as there are others; the process that has nothing left
takes half of what another one still has.
"""

import collections
import queue
import threading

from ifmdm_jax import processes
from ifmdm_jax.batch import maker

MOST = 32  # jobs that a cluster hands to a machine at once


def groups(jobs, most=None):
  """Lists lists of the jobs of one portrait, `most` at once, in the order of the table."""
  found = {}
  for job in jobs:
    found.setdefault(job.portrait, []).append(job)
  return [
    group[start : start + (most or len(group))]
    for group in found.values()
    for start in range(0, len(group), most or len(group))
  ]


def shard(jobs, number, count):
  """Chooses the jobs of every `count`th portrait, from the `number`th on, counted from 1."""
  portraits = {}
  for job in jobs:
    portraits.setdefault(job.portrait, len(portraits))
  return [job for job in jobs if portraits[job.portrait] % count == number - 1]


class Queue:
  """Hands jobs out to several threads."""

  def __init__(self, jobs):
    self._waiting = collections.deque(map(collections.deque, groups(jobs)))
    self._own, self._lock = {}, threading.Lock()

  def take(self, who):
    """Returns the next job for a thread; None: there is none left."""
    with self._lock:
      if not self._own.get(who):
        self._own[who] = self._waiting.popleft() if self._waiting else self._half()
      return self._own[who].popleft() if self._own[who] else None

  def _half(self):
    most = max(self._own.values(), key=len, default=())
    return collections.deque(reversed([most.pop() for _ in range((len(most) + 1) // 2)]))


def here(jobs, settings):
  """Yields an `Outcome` for every job, made in this process."""
  make = maker.Maker(settings)
  for group in groups(jobs):
    yield from map(make, group)


def among(jobs, settings, count, ready=maker.ready):
  """Yields an `Outcome` for every job, as they finish, made in `count` processes.

  Args:
    jobs: list of `Job`.
    settings: `maker.Settings`.
    count: processes, each with its own copy of the weights.
    ready: makes the function that makes a job, in its process.
  """
  waiting, done, stop = Queue(jobs), queue.SimpleQueue(), threading.Event()
  workers = [processes.Worker(ready, settings) for _ in range(min(count, len(jobs)))]

  def serve(number):
    try:
      while not stop.is_set() and (job := waiting.take(number)) is not None:
        done.put(made(workers[number], job))
    except BaseException as error:  # raised again where the outcomes are wanted
      done.put(error)

  threads = [threading.Thread(target=serve, args=(k,), daemon=True) for k in range(len(workers))]
  for thread in threads:
    thread.start()
  try:
    for _ in jobs:
      outcome = done.get()
      if isinstance(outcome, BaseException):
        raise outcome
      yield outcome
  finally:
    stop.set()
    for worker in workers:
      worker.close()


def made(worker, job):
  """Returns the `Outcome` of a job by a `processes.Worker`, which may die of it."""
  try:
    return worker(job)
  except processes.Died as died:
    number = died.status
    how = f'was ended by signal {-number}' if number < 0 else f'ended with status {number}'
    often = ' (often: there is not enough memory)' if number == -9 else ''
    return maker.Outcome(job.number, maker.FAILED, f'the process that made it {how}{often}')
