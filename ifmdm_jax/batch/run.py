"""Makes all jobs of a batch on this machine, in processes side by side, and writes the report."""

import collections
import concurrent.futures
import queue
import sys
import threading
import time

from tqdm import tqdm

from ifmdm_jax import files, processes
from ifmdm_jax.batch import report
from ifmdm_jax.batch.maker import FAILED, KEPT, MADE, Maker, Outcome
from ifmdm_jax.errors import InputError
from ifmdm_jax.streaming import device

EVERY = 60.0  # seconds after which the report is written anew, and a log is told how far it is


class Shelf:
  """Jobs by their portraits: who has one in memory gets another job of it, as long as there is one.

  When all portraits are taken, the one with the most jobs left is shared.
  """

  def __init__(self, jobs):
    self._jobs, self._lock = collections.defaultdict(collections.deque), threading.Lock()
    for job in jobs:
      self._jobs[job.portrait].append(job)
    self._untouched = collections.deque(self._jobs)

  def next(self, portrait=None):
    """Takes a job: of this portrait, if there is one. None: there are none at all."""
    with self._lock:
      if portrait not in self._jobs:
        if not self._jobs:
          return None
        while self._untouched and self._untouched[0] not in self._jobs:
          self._untouched.popleft()
        portrait = (
          self._untouched.popleft()
          if self._untouched
          else max(self._jobs, key=lambda each: len(self._jobs[each]))
        )
      job = self._jobs[portrait].popleft()
      if not self._jobs[portrait]:
        del self._jobs[portrait]
      return job

  def clear(self):
    """Drops all jobs."""
    with self._lock:
      self._jobs.clear()


def run(jobs, settings, workers=None):
  """Brings a batch's folder up to date.

  Args:
    jobs: list of `jobs.Job`.
    settings: `maker.Settings`.
    workers: processes; 0: this one alone; None: one for each core, or one where an accelerator is.

  Returns:
    {status: number of jobs}.

  Raises:
    InputError: another command is at work in the folder, and nothing was done; or no room is left.
  """
  with files.alone(settings.folder):
    return conclude(jobs, settings, outcomes(jobs, settings, workers))


def conclude(jobs, settings, found):
  """Shows outcomes as they come and writes the report, also where it is stopped; see `run`."""
  known, told, bar = {}, time.monotonic(), Progress(len(jobs))
  output = {job.number: job.output for job in jobs}
  try:
    for outcome in found:
      known[outcome.number] = outcome
      bar.add(outcome, output[outcome.number])
      if outcome.full:
        raise InputError(f'{outcome.reason}; what is finished stays, the same command goes on')
      if time.monotonic() - told > EVERY:
        report.write(settings.folder, jobs, known)
        bar.tell()
        told = time.monotonic()
  finally:
    bar.close()
    report.write(settings.folder, jobs, known)
  return collections.Counter(outcome.status for outcome in known.values())


def outcomes(jobs, settings, workers=None):
  """Yields a `maker.Outcome` for each job, as they finish; see `run`."""
  shelf = Shelf(jobs)
  if workers == 0:
    make, job = Maker(settings), shelf.next()
    while job is not None:
      yield make(job)
      job = shelf.next(job.portrait)
    return
  most = min(len(jobs), workers or device.cores())
  crew = [processes.Worker(_maker, settings) for _ in range(most)]
  done = queue.SimpleQueue()
  with concurrent.futures.ThreadPoolExecutor(most) as pool:
    try:
      if workers is None and most > 1:
        crew = crew[: None if crew[0](None) == 'cpu' else 1]
      for worker in crew:
        pool.submit(_work, worker, shelf, done)
      for _ in jobs:
        yield done.get()
    finally:
      shelf.clear()
      for worker in crew:
        worker.close()


def _work(worker, shelf, done):
  """Has a process make jobs until there are none; what kills it costs its own job."""
  job = shelf.next()
  while job is not None:
    outcome = attempt(worker, job)
    if worker.closed:
      return
    done.put(outcome)
    job = shelf.next(job.portrait)


def attempt(worker, job):
  """Has a process make a job: `maker.Outcome`, also where it dies of it."""
  try:
    return worker(job)
  except processes.Died as died:
    return Outcome(
      job.number, FAILED, reason=f'its process ended with status {died.status}, as of a file that '
      'crashes its decoder, or for want of memory: try it by itself',
    )  # fmt: skip
  except Exception as error:  # a process that cannot be started, for one
    return Outcome(job.number, FAILED, reason=f'{type(error).__name__}: {error}')


def _maker(settings):
  """Returns the function of a process: of a job its outcome, of None the name of the backend."""
  make = Maker(settings)
  return lambda job: device.backend() if job is None else make(job)


def maker_worker(settings):
  """Returns a `processes.Worker` that makes jobs; see `attempt`."""
  return processes.Worker(_maker, settings)


class Progress:
  """Says how far a batch is: a bar with the time that is left, or a line a minute in a log."""

  def __init__(self, total):
    self.counts, self.began = collections.Counter(), time.monotonic()
    self.bar = tqdm(total=total, unit='video', disable=None, smoothing=0.1)

  def add(self, outcome, output):
    """Counts an outcome; its notes, and why it failed, are said."""
    self.counts[outcome.status] += 1
    for note in outcome.notes:
      tqdm.write(f'note: {output}: {note}', file=sys.stderr)
    if outcome.status == FAILED:
      tqdm.write(f'failed: {output}: {outcome.reason}', file=sys.stderr)
    if self.counts[FAILED]:
      self.bar.set_postfix(failed=self.counts[FAILED], refresh=False)
    self.bar.update()

  def tell(self):
    """Says it in a line, where there is no bar."""
    if self.bar.disable:
      print(f'{self.line()}, {self.left()} left', file=sys.stderr, flush=True)

  def line(self):
    return f'{self.counts.total()} of {self.bar.total} videos, {self.counts[FAILED]} failed'

  def left(self):
    """Estimates what is left, in words, by the videos that were made in this run."""
    made = self.counts[MADE] + self.counts[FAILED]
    if not made:
      return 'nobody knows how long'
    each = (time.monotonic() - self.began) / made
    minutes = each * (self.bar.total - self.counts.total()) / 60
    return f'about {minutes:.0f} min' if minutes < 90 else f'about {minutes / 60:.1f} h'

  def close(self):
    self.bar.close()


def sentence(counts, folder):
  """Says the numbers of `run` in one line."""
  kept = f', {counts[KEPT]} were there already' if counts[KEPT] else ''
  failed = f', {counts[FAILED]} failed' if counts[FAILED] else ''
  return f'{folder}: {counts[MADE]} videos made{kept}{failed}, see {report.FILE} there'
