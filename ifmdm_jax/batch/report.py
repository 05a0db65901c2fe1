"""Says what became of every job of a batch: one table, whole at any time."""

import collections
import csv
import time

from ifmdm_jax import files
from ifmdm_jax.batch.maker import WAITING, Outcome

EVERY = 10.0  # seconds between two writings
SHARE = 50  # and so many times as long as the last one took, of a large table
COLUMNS = ('job', 'output', 'status', 'reason', 'notes', 'frames', 'seconds', 'image', 'audio',
           'seed')  # fmt: skip


class Report:
  """Collects the outcomes of jobs.

  Attributes:
    path: of the CSV file.
    outcomes: {number of the job: `maker.Outcome`}.
  """

  def __init__(self, path, jobs):
    self.path, self.jobs, self.outcomes = path, jobs, {}
    self._next = 0.0

  def add(self, outcome):
    """Takes an outcome in, and writes the table now and then."""
    self.outcomes[outcome.number] = outcome
    if time.monotonic() > self._next:
      self.write()

  def write(self):
    """Writes the table in place of the last one, a row for every job in their order."""
    start = time.monotonic()
    with files.atomic(self.path) as half:
      with open(half, 'w', newline='', encoding='utf-8', errors='backslashreplace') as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow(COLUMNS)
        table.writerows(self._row(job) for job in self.jobs)
    end = time.monotonic()
    self._next = end + max(EVERY, SHARE * (end - start))

  def _row(self, job):
    done = self.outcomes.get(job.number) or Outcome(job.number, WAITING)
    return (job.number, job.output, done.status, done.reason, done.notes, done.frames or '',
            done.seconds or '', job.image, job.audio, job.seed)  # fmt: skip

  def counts(self):
    """Counts jobs by their status."""
    known = collections.Counter(outcome.status for outcome in self.outcomes.values())
    known[WAITING] += len(self.jobs) - sum(known.values())
    return known
