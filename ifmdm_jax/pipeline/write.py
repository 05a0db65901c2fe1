"""Writes a prepared set: a folder of films, or of ready clips, becomes records with a report."""

import contextlib
import dataclasses
import functools
import io
import itertools
import json
import pathlib
import shutil

import numpy as np
from tqdm import tqdm

from ifmdm_jax import files
from ifmdm_jax.errors import InputError, note
from ifmdm_jax.pipeline import records
from ifmdm_jax.pipeline.prep import layouts, report, results, workers

# Of a track's entry: where these are the same, so is the record.
MAKES = ('start', 'stop', 'offset_frames', 'bytes', 'matte', 'measures')


def build(
  root, output, settings, make_lag, *, layout='folder', ready=False, processes=1, beam=None
):
  """Turns the videos and stills under `root` into records at `output`.

  Args:
    root: folder with videos at any depth, and perhaps stills/ and MANIFEST.csv.
    output: folder of the set; what is finished there is not done again.
    settings: `prep.results.Settings`.
    make_lag: makes the estimator of lags in every process, see `prep.process`.
    layout: see `prep.layouts`.
    ready: whether the videos are square clips of one face, which are not cut.
    processes: that work side by side.
    beam: options of a Beam pipeline, which then does the work.

  Returns:
    The numbers of the report.

  Raises:
    InputError: there are no videos, or nothing in them could be kept.
  """
  output = pathlib.Path(output).resolve()
  sources = layouts.find(root, layout, ready)
  with files.alone(output):
    return _build(sources, output, settings, make_lag, processes, beam)


def _build(sources, output, settings, make_lag, processes, beam):
  results.sweep(output)
  if beam is None:
    done = workers.run(sources, output, settings, make_lag, processes)
    outcomes = list(tqdm(done, 'films', len(sources), unit='film'))
  else:
    from ifmdm_jax.pipeline.prep import on_beam  # of the extra `beam`

    on_beam.run(sources, output, settings, make_lag, beam)
    outcomes = [_outcome(output, source, settings) for source in sources]
  return conclude(output, outcomes, settings, beam)


def conclude(output, outcomes, settings, beam=None):
  """Writes the records and the report of what became of all sources; see `build`.

  Args:
    output: folder of the set, held alone.
    outcomes: list of what the result.json of each source says.
    settings: `prep.results.Settings`.
    beam: options of a Beam pipeline, which then does the work.
  """
  outcomes = sorted(outcomes, key=lambda result: result['source'])
  kept = [result for result in outcomes if result['kept']]
  failed = _failed(outcomes)
  if not kept:
    report.write(output, outcomes, dataclasses.asdict(settings))
    if failed:
      raise InputError(f'expected somebody who talks, nothing could be kept: {failed}')
    raise InputError(
      f'expected somebody who talks, nothing in {len(outcomes)} sources could be kept: '
      f'{output}/report.html says why, --limit moves the limits'
    )
  if not holds(output, outcomes):
    _write_all(output, kept, beam)
  if failed:
    note(failed)
  return report.write(output, outcomes, dataclasses.asdict(settings))


def _outcome(output, source, settings):
  """What another machine made of a source, which may have had no room to note it."""
  return results.finished(output, source, settings, again=True) or results.failed(
    output, source, settings, 'failed', 0, 'words that its machine left', again=True
  )


def _failed(outcomes):
  """Says of how many sources the machine, a full disk for one, is to blame; '': of none."""
  failed = [result for result in outcomes if result.get('again')]
  if not failed:
    return ''
  why = failed[0]['dropped'][0]['detail'].removeprefix('bytes; ')
  return f'{len(failed)} of {len(outcomes)} failed, {why}: the same command tries them again'


def _write_all(output, kept, beam):
  """Writes the records of all results that kept something, by their split."""
  chosen = {split: [r for r in kept if r['split'] == split] for split in _splits(kept)}
  if beam is None:
    examples = {
      split: itertools.chain.from_iterable(map(functools.partial(examples_of, output=output), some))
      for split, some in chosen.items()
    }
  else:
    from ifmdm_jax.pipeline.prep import on_beam  # of the extra `beam`

    examples = {
      split: on_beam.examples(some, functools.partial(examples_of, output=output))
      for split, some in chosen.items()
    }
  write('TalkingFaces', output, examples, beam)


def _splits(results):
  return sorted({result['split'] for result in results})


def examples_of(result, output):
  """Yields (name, example) of the kept tracks of one source's result."""
  folder = pathlib.Path(output) / 'videos' / result['key']
  for entry in result['kept']:
    stem = entry['name'].rsplit('_', 1)[1]
    sound, matte = folder / f'{stem}.flac', folder / f'{stem}.matte'
    with np.load(folder / f'{stem}.npz') as file:
      landmarks, squares = file['landmarks'], file['squares']
    about = {k: result[k] for k in ('person', 'split', 'licence')}
    about |= {k: v for k, v in entry.items() if k != 'picture'}
    yield (
      entry['name'],
      dict(
        video=(folder / f'{stem}.frames').read_bytes(),
        sound=sound.read_bytes() if sound.exists() else b'',
        landmarks=landmarks.tobytes(),
        squares=squares.tobytes(),
        matte=matte.read_bytes() if matte.exists() else b'',
        about=json.dumps(about, sort_keys=True),
      ),
    )


def write(kind, folder, examples, beam=None):
  """Writes `folder`/records and its index in place of those that were there.

  The old ones stay until the new ones are whole.

  Args:
    kind: the name of a class of `schema`.
    folder: of the set.
    examples: {split: iterable of (key, example), or a Beam collection}.
    beam: options of a Beam pipeline, which then does the work.

  Returns:
    `records.Entry` of each.
  """
  import tensorflow_datasets as tfds  # half a second, and of the extra `train`

  from ifmdm_jax.pipeline import schema  # which needs it

  tfds.disable_progress_bar()
  config = tfds.download.DownloadConfig()
  if beam is not None:
    from apache_beam.options.pipeline_options import PipelineOptions  # of the extra `beam`

    config.beam_options = PipelineOptions(beam)
  with files.atomic(pathlib.Path(folder) / 'records') as half:
    dataset = getattr(schema, kind)(examples, data_dir=str(half))
    with contextlib.redirect_stdout(io.StringIO()):  # it says where the temporary folder is
      dataset.download_and_prepare(download_config=config)
    shutil.rmtree(half / 'downloads', ignore_errors=True)
  return records.write_index(folder)


def write_arrays(kind, folder, clips, make):
  """Writes a set of arrays, one record for every clip with a voice, under the clip's name.

  Args:
    kind: the name of a class of `schema`.
    folder: of the set that is written.
    clips: `records.Records` of clips.
    make: (entry, clip) -> ({name: array}, what the index is to say of them), or None.

  Returns:
    `records.Entry` of each.
  """
  progress = tqdm(total=len(clips), desc=pathlib.Path(folder).name, unit='clip')

  def examples(split):
    for index, entry in enumerate(clips.entries):
      if entry.split != split:
        continue
      record = make(entry, clips[index]) if entry.sound else None
      progress.update()
      if record is None:
        continue
      arrays, about = record
      about = dict(
        about, name=entry.name, person=entry.person, split=entry.split, licence=entry.licence
      )
      stored = {k: np.ascontiguousarray(v).tobytes() for k, v in arrays.items()}
      yield entry.name, dict(stored, about=json.dumps(about, sort_keys=True))

  with progress:
    having = sorted({entry.split for entry in clips.entries if entry.sound})
    return write(kind, folder, {split: examples(split) for split in having})


def holds(output, outcomes):
  """Says whether the records are those of these results already."""
  path = pathlib.Path(output) / 'index.json'
  if not path.exists() or records.version(output) is None:
    return False
  try:
    known = {e['name']: e for e in files.read_json(path)}
  except (InputError, KeyError, TypeError):  # damaged: it is written again
    return False
  wanted = [entry for result in outcomes for entry in result['kept']]
  same = lambda e: all(known.get(e['name'], {}).get(k) == e[k] for k in MAKES)
  return len(known) == len(wanted) and all(map(same, wanted))


def sentence(summary):
  """Says the numbers of `build` in one line."""
  people = summary['people']
  stills = f', {summary["stills"]} stills' if summary['stills'] else ''
  return (
    f'{summary["tracks_kept"]} tracks, {60 * summary["hours_kept"]:.1f} minutes{stills}, '
    f'{people["train"]} people to train on, {people["val"]} held out; '
    f'{sum(summary["dropped"].values())} dropped'
  )
