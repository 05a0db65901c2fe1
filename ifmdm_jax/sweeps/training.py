"""What a run of a sweep does unless its file says otherwise: it trains."""

import csv
import pathlib

from ifmdm_jax import compile_cache
from ifmdm_jax.errors import InputError
from ifmdm_jax.training import hosts, loop


def train(config, workdir):
  """Trains, with the other processes of a SLURM step if there are any.

  Returns the last validation; None where the run was stopped before its end, and in all processes
  but the first.
  """
  hosts.connect()
  compile_cache.keep()
  state = loop.train(config, workdir)
  done = int(state.step) >= config.train.steps
  return last_validation(workdir) if done and hosts.first() else None


def last_validation(workdir):
  """Reads {name: value} of the last step in log.csv that has any."""
  with (pathlib.Path(workdir) / 'log.csv').open() as file:
    rows = [row for row in csv.DictReader(file) if row['name'].startswith('val/')]
  if not rows:
    raise InputError(f'{workdir} has no validation: the sweep needs train.eval_every')
  last = [row for row in rows if row['step'] == rows[-1]['step']]
  return {row['name'].removeprefix('val/'): float(row['value']) for row in last}
