"""One file to finished pieces: the function that every core, or every Beam worker, runs."""

import pathlib
import traceback

from ifmdm_jax import errors
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline.prep import film, ready, results
from ifmdm_jax.video import read

KINDS = {'film': film.Film, 'clip': ready.ReadyClip, 'still': ready.Still}


def process(source, output, settings, estimate_lag, kinds=KINDS):
  """Brings `output`/videos/KEY up to date and returns what its result.json says.

  Args:
    source: a `layouts.Source`.
    output: folder of the whole set.
    settings: `results.Settings`.
    estimate_lag: (waveform [L] at 16 kHz, landmarks [T, 468, 2]) -> (frames by which the voice is
      late, r).
    kinds: {kind of source: (source, folder, settings, estimate_lag) -> `job.Job`}.
  """
  done = results.finished(output, source, settings)
  if done:
    return done
  with results.fresh_folder(results.folder_of(output, source)) as folder:
    job = kinds[source.kind](source, folder, settings, estimate_lag)
    checksum = source.checksum()
    try:
      job.run()
    except InputError as error:
      if isinstance(error.__cause__, OSError) and error.__cause__.errno in errors.PASSING:
        raise  # the machine's fault
      job.give_up(
        'no video in it' if isinstance(error, read.MissingStream) else 'unreadable',
        results.describe(source, settings)['bytes'],
        f'bytes; {str(error).replace(source.path, source.name)}',
      )
    finally:
      job.close()
      for path in folder.glob('*.tmp*'):
        path.unlink()
    result = dict(
      results.describe(source, settings),
      sha256=checksum,
      seconds=round(job.seconds, 2),
      offset_frames=job.offset,
      damage=job.damage,
      kept=job.kept,
      dropped=job.dropped,
    )
    results.save(folder, result)
  return result


def guarded(source, output, settings, estimate_lag, kinds=KINDS):
  """Calls `process`; whatever goes wrong becomes a line of the report."""
  try:
    return process(source, output, settings, estimate_lag, kinds)
  except Exception as error:
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f'{pathlib.Path(where.filename).name}:{where.lineno}'
    detail = f'bytes; {type(error).__name__}: {error} ({place})'
    # What nobody foresaw may be a full disk, whatever library was told of it: the next run tries.
    size = results.describe(source, settings)['bytes']
    return results.failed(output, source, settings, 'failed', size, detail, again=True)
