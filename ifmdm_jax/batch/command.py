"""From what `sample --batch` is told to a folder of videos and an exit status."""

import pathlib

from ifmdm_jax import errors, extras
from ifmdm_jax.batch import check, jobs, maker, run
from ifmdm_jax.errors import InputError

DONE, SOME_FAILED = 0, 1  # exit statuses; 2: nothing was begun, or there is no room


def make(batch, output, defaults, *, workers=None, beam=None, **settings):
  """Makes the videos of a batch, and says how many.

  Args:
    batch: a table of jobs, or a folder of portraits.
    output: folder of the videos.
    defaults: {column: value} of jobs that do not say it; places as from the folder of the command.
    workers: see `run.run`.
    beam: options of an Apache Beam pipeline, which then does the work; None: this machine does.
    settings: of `maker.Settings`, but base, folder and weights.

  Returns:
    Exit status: DONE, or SOME_FAILED.

  Raises:
    InputError: the table or a flag is wrong, or a file that it names is not there, and nothing was
      done; or no room is left for videos.
  """
  batch, output = (pathlib.Path(each).expanduser() for each in (batch, output))
  if workers is not None and beam is not None:
    raise InputError('expected --workers without --runner, got both: leave one out')
  with errors.explained('a table of jobs, or a folder of portraits', batch):
    table = not batch.is_dir()
  if output.exists() and not output.is_dir():
    raise InputError(f'expected a folder, {output} is a file: choose another --output')
  # Of the command; cells of a table count from the table's folder.
  here = {name: str(pathlib.Path(defaults[name]).expanduser().absolute())
          for name in ('image', 'audio') if defaults.get(name)}  # fmt: skip
  defaults = defaults | here | {'checkpoint': settings.get('checkpoint')}
  if table:
    wanted = jobs.read(batch, defaults)
  elif 'image' in here or not here.get('audio'):
    raise InputError(
      'expected --audio, a folder of voices or one voice, and no --image beside a folder of '
      'portraits: --help shows an example'
    )
  else:
    wanted = jobs.pairs(batch, here['audio'], defaults)
  if beam is not None:
    extras.require('apache_beam')
  if settings.get('checkpoint') is not None:  # other machines begin elsewhere
    settings['checkpoint'] = str(pathlib.Path(settings['checkpoint']).absolute())
  base = (batch.parent if table else batch).absolute()
  check.check(wanted, base, output)
  every = maker.Settings(str(base), str(output.absolute()), **settings).digested()
  if beam is None:
    counts = run.run(wanted, every, workers)
  else:
    from ifmdm_jax.batch import on_beam  # of the extra `beam`

    counts = on_beam.make(wanted, every, beam)
  print(run.sentence(counts, output))
  return SOME_FAILED if counts[maker.FAILED] else DONE
