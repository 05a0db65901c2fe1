"""The report of a batch: a table with a line for each job, that says what became of it."""

import csv
import io
import pathlib

from ifmdm_jax import files
from ifmdm_jax.batch.maker import FAILED
from ifmdm_jax.rates import FPS

FILE = 'report.csv'
COLUMNS = 'job', 'output', 'status', 'reason', 'seconds', 'image', 'audio', 'seed'
DONE, WAITING = 'done', 'waiting'


def write(folder, jobs, outcomes):
  """Writes the table, in place of the one that was there.

  It says nothing of the run that made it, so a batch that was stopped and one that was not end with
  the same table.

  Args:
    folder: of the batch.
    jobs: list of `jobs.Job`.
    outcomes: {number of a job: `maker.Outcome`}; others are waiting.

  Returns:
    Its path.
  """
  text = io.StringIO()
  table = csv.writer(text, lineterminator='\n')
  table.writerow(COLUMNS)
  for job in jobs:
    found = outcomes.get(job.number)
    status = WAITING if found is None else FAILED if found.status == FAILED else DONE
    reason, seconds = (found.reason, found.frames / FPS) if found else ('', 0)
    shown = f'{seconds:.2f}' if status == DONE else ''
    table.writerow((job.number, job.output, status, reason, shown, job.image, job.audio, job.seed))
  path = pathlib.Path(folder) / FILE
  files.write_text(path, text.getvalue())
  return path
