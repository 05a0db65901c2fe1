"""Checks what the jobs of a batch name, before any work."""

import os
import pathlib

from ifmdm_jax import errors, files
from ifmdm_jax.errors import InputError


def check(jobs, base, folder):
  """Checks that all portraits and voices are there, and that no video would replace one of them.

  Args:
    jobs: list of `jobs.Job`.
    base: folder from which they name portraits and voices.
    folder: of the videos.

  Raises:
    InputError: that is not so; it names the first job, and says how many there are.
  """
  base, folder, seen, missing = pathlib.Path(base), pathlib.Path(folder), {}, []
  for job in jobs:
    try:
      for cell, what in ((job.image, 'a picture'), (job.audio, 'a file with sound')):
        path = base / pathlib.Path(cell).expanduser()
        if cell and path not in seen:
          seen[path] = os.path.realpath(files.check(path, what))
    except InputError as error:
      missing.append((job.number, error))
  if missing:
    more = f' ({len(missing)} of {len(jobs)} jobs name such files)' if len(missing) > 1 else ''
    raise InputError(f'job {missing[0][0]}: {missing[0][1]}{more}')
  inputs = set(seen.values())
  for job in jobs:
    with errors.explained('a file to write', job.output):
      place = os.path.realpath(folder / job.output)
    if place in inputs:
      raise InputError(
        f'job {job.number}: expected a new file, {job.output} is the portrait or the voice of a '
        'job: choose another output, or another --output'
      )
