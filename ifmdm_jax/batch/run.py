"""Runs a batch from its first check to its report and exit status."""

import os
import pathlib
import re
import sys
import time

from tqdm import tqdm

from ifmdm_jax import errors, extras, files
from ifmdm_jax.batch import maker, share
from ifmdm_jax.batch.report import Report
from ifmdm_jax.errors import InputError

SHOWN = 5  # failures that are said at the end; the report has all


def run(jobs, settings, *, workers=1, part=None, runner=None, options=(), ready=maker.ready):
  """Makes the videos of all jobs that are not finished.

  Args:
    jobs: list of `Job`.
    settings: `maker.Settings`.
    workers: processes, each with its own copy of the weights; 0: this one.
    part: 'K/N': every Nth portrait from the Kth on, of jobs that N commands share.
    runner: of Apache Beam, which then does the work.
    options: of its pipeline.
    ready: see `share.among`.

  Returns:
    Exit status: 0, all videos are there; 1, some failed, the report says why.

  Raises:
    InputError: the batch as a whole cannot be made, or not be continued.
  """
  number, count = shard_of(part)
  if runner:
    extras.require('apache_beam')
  elif options:
    raise InputError('expected --beam_pipeline_options with --runner, got them without')
  check(jobs, settings)
  jobs = share.shard(jobs, number, count)
  name = f'report_{number}_of_{count}.csv' if part else 'report.csv'
  folder = pathlib.Path(settings.output)
  lock = f'.lock_{number}_of_{count}' if part else '.lock'
  start = time.monotonic()
  with files.alone(folder, lock):
    report = Report(folder / name, jobs)
    try:
      _run(report, settings, workers, runner, options, ready)
    finally:
      report.write()
  return conclude(report, time.monotonic() - start)


def _run(report, settings, workers, runner, options, ready):
  waiting = []
  for job in report.jobs:
    frames = maker.finished(job, settings) if settings.place(job).exists() else None
    if frames is None:
      waiting.append(job)
    else:
      report.add(maker.Outcome(job.number, maker.KEPT, frames=frames))
  if not waiting:
    return
  if runner:
    from ifmdm_jax.batch import on_beam  # of the extra `beam`

    done = on_beam.run(waiting, settings, [f'--runner={runner}', *options], ready)
  elif workers:
    done = share.among(waiting, settings, workers, ready)
  else:
    done = share.here(waiting, settings)
  failed, total = 0, len(report.jobs)
  bar = tqdm(total=total, initial=total - len(waiting), unit='video', disable=None)
  try:
    with bar:
      for outcome in done:
        if outcome.status == maker.STOP:
          raise InputError(f'{outcome.reason}; what is finished stays, the same command goes on')
        report.add(outcome)
        failed += outcome.status == maker.FAILED
        bar.set_postfix(failed=failed, refresh=False)
        bar.update()
  finally:
    done.close()  # processes end


def check(jobs, settings):
  """Raises InputError where files of jobs are not there, or a video would replace one of them."""
  missing, inputs = {}, set()
  for job in jobs:
    for cell, what in ((job.image, 'a picture'), (job.audio, 'a file with sound')):
      path = settings.source(cell) if cell else None
      if path and path not in inputs and job.number not in missing:
        try:
          files.check(path, what)
          inputs.add(path)
        except InputError as error:
          missing[job.number] = error
  if missing:
    number, error = next(iter(missing.items()))
    others = f' ({len(missing)} jobs of {len(jobs)} name such files)' if len(missing) > 1 else ''
    raise InputError(f'job {number}: {error}{others}')
  real = {os.path.realpath(path) for path in inputs}
  for job in jobs:
    if os.path.realpath(settings.place(job)) in real:
      raise InputError(
        f'job {job.number}: expected a new file, {settings.place(job)} is an input: choose another '
        'output'
      )


def shard_of(part):
  """Reads 'K/N' -> (K, N)."""
  if not part:
    return 1, 1
  found = re.fullmatch(r'([0-9]{1,6})/([0-9]{1,6})', part)
  if not found or not 1 <= int(found[1]) <= int(found[2]):
    raise InputError(f'expected --shard K/N with K from 1 to N, got {part!r}: pass e.g. 1/4')
  return int(found[1]), int(found[2])


def conclude(report, seconds):
  """Says what became of the jobs; returns the exit status."""
  counts = report.counts()
  failed = [each for each in report.outcomes.values() if each.status == maker.FAILED]
  names = {job.number: job.output for job in report.jobs}
  for outcome in sorted(failed)[:SHOWN]:
    print(f'failed: job {outcome.number}, {names[outcome.number]}: {outcome.reason}',
          file=sys.stderr)  # fmt: skip
  if len(failed) > SHOWN:
    errors.note(f'{len(failed) - SHOWN} more failed: {report.path} says why')
  lost = f', {counts[maker.WAITING]} without a word' if counts[maker.WAITING] else ''
  print(
    f'{report.path}: {len(report.jobs)} videos, {counts[maker.MADE]} made, {counts[maker.KEPT]} '
    f'there already, {counts[maker.FAILED]} failed{lost}, in {seconds:.0f} s'
  )
  return int(bool(counts[maker.FAILED] or counts[maker.WAITING]))
