"""One evaluation from rows and a protocol to the files that tell of it."""

import dataclasses
import json
import os
import pathlib
import platform

import jax

from ifmdm_jax import __version__
from ifmdm_jax.audio import features
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import dubs, generators, page, protocol, scoring, suite, table
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.generator import Configured

BASELINES = {
  suite.TALK: (generators.GroundTruth, generators.FirstFrame),
  suite.DUB: (dubs.Film, dubs.Pasted),
}


def evaluate(rows, path, output, weights=None):
  """Scores rows on the clips of a protocol and writes everything under `output`.

  Args:
    rows: of `generators`, for a protocol of films to be dubbed of `dubs`, one or more; the two of
      BASELINES are added.
    path: of the protocol, a JSON file.
    output: folder.
    weights: folder of imported networks; by default the environment's.

  Returns:
    `table.Table`.

  Raises:
    InputError: two rows share a name, no clip can be scored, or a generator fails on every clip.
  """
  output, clips = pathlib.Path(output), protocol.read(path)
  main, rows = main_row(rows, clips.kind), with_baselines(rows, clips.kind)
  weights = weights or os.environ.get('IFMDM_WEIGHTS')
  try:
    output.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(
      f'expected a folder to write into, cannot make {output} ({error.strerror}): '
      'choose another --output'
    ) from error
  encode_audio = features.load('whisper_tiny', layer=2).features
  track = FaceMesh(refinements=1).track
  records, scorers, store = scoring.run(rows, clips, output, track, encode_audio, weights)
  if all(record.failed for each in records.values() for record in each):
    reason = next(iter(records.values()))[0].failed
    raise InputError(f'none of the clips of {path} can be scored; the first: {reason}')
  facts = settings(clips, records, weights, rows)
  needs = {row.name: generators.describe(row.needs) for row in rows}
  result = table.Table(
    table.aggregate(records, scorers, store, clips.kind), needs, records, main, facts, clips.kind
  )
  table.write(output, result)
  page.write(output, result)
  _check_generators(records)
  return result


def main_row(rows, kind=suite.TALK):
  """Names the row of the flat summary: the first that is no baseline, else the first."""
  return next((row for row in rows if not isinstance(row, BASELINES[kind])), rows[0]).name


def with_baselines(rows, kind=suite.TALK):
  """Returns the rows behind those that every table has.

  Raises:
    InputError: two have one name.
  """
  baselines = [make() for make in BASELINES[kind]]
  rows = [*baselines, *(row for row in rows if not isinstance(row, BASELINES[kind]))]
  names = [row.name for row in rows]
  doubled = next((name for name in names if names.count(name) > 1), None)
  if doubled:
    raise InputError(f'two rows would be named {doubled}: rename one of the folders')
  return rows


def settings(clips, records, weights, rows):
  """Lists what has to be known to make the table again, {name: text}."""
  bundles = [row.generator for row in rows if isinstance(row, generators.Bundle | dubs.Engine)]
  spent = sum(record.seconds for each in records.values() for record in each)
  scored = {row: sum(not record.failed for record in each) for row, each in records.items()}
  return {
    'protocol': clips.name,
    'clips': json.dumps(scored),
    'size': f'{clips.size} px; smaller clips enlarged (bicubic), larger ones by area',
    'crop': clips.crop,
    'frames': '25 per second, by timestamps',
    'seeds': f'{list(clips.seeds)}; the first makes the videos, all make diversity and best',
    'sampler': json.dumps(
      {each.name: _plain(each.defaults) for each in bundles if isinstance(each, Configured)}
    ),
    'encoding': 'generated frames are scored before any video codec, folders as decoded',
    'intervals': '95 %, bootstrap over clips',
    'networks': pathlib.Path(weights).name if weights else 'none imported',
    'version': f'ifmdm_jax {__version__}, jax {jax.__version__}',
    'machine': f'{os.cpu_count()} cores, {platform.machine()}, {jax.devices()[0].device_kind}',
    'minutes': round(spent / 60, 1),
  }


def _plain(options):
  """Options, a mapping or a dataclass, as JSON can say them."""
  return dataclasses.asdict(options) if dataclasses.is_dataclass(options) else dict(options)


def _check_generators(records):
  """Raises InputError where a generator failed on every clip with what nobody planned for."""
  for row, clips in records.items():
    errors = [record.generator_error for record in clips if not record.failed]
    if errors and all(errors):
      raise InputError(f'{row} fails on every clip; the first: {errors[0]}')
