"""Every generator on every clip: makes or reads the videos, scores them, keeps what is done.

The unit of work is one generator on one clip. Its figures go into OUTPUT/clips/ROW/NAME.json, what
metrics of sets need into .npz files beside it, its pictures into OUTPUT/videos/ROW/NAME.mp4; a
second run takes over whatever was made by the same files, settings and definitions. What cannot be
scored is written down with its reason: one bad clip costs one line, not the table.
"""

import hashlib
import json
import os
import pathlib
import time
import traceback

import numpy as np
from tqdm import tqdm

from ifmdm_jax import video
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import cost, diversity, protocol, report, suite
from ifmdm_jax.evaluation import generators as generators_module
from ifmdm_jax.evaluation.types import Absent
from ifmdm_jax.face import points

UNFORESEEN = 'failed, see errors.log'


class Store:
  """The files of a run under OUTPUT."""

  def __init__(self, output):
    self.output = pathlib.Path(output)

  def path(self, row, name, ending='.json'):
    return self.output / 'clips' / row / f'{name}{ending}'

  def read(self, row, name, fingerprint):
    """What was written for this fingerprint, else None."""
    try:
      text = self.path(row, name).read_text()
      found = json.loads(text)
    except (OSError, ValueError):
      return None
    if UNFORESEEN in text:  # it may have been mended since
      return None
    return found if found.get('fingerprint') == fingerprint else None

  def write(self, row, name, record, descriptions):
    """`record` last: it marks the rest as complete."""
    self.path(row, name).parent.mkdir(parents=True, exist_ok=True)
    for old in self.path(row, name).parent.glob(f'{name}.*'):
      old.unlink()
    for family, arrays in descriptions.items():
      temporary = self.path(row, name, f'.{family}.tmp.npz')
      np.savez(temporary, **arrays)
      os.replace(temporary, self.path(row, name, f'.{family}.npz'))
    temporary = self.path(row, name, '.tmp')
    temporary.write_text(json.dumps(record, indent=1) + '\n')
    os.replace(temporary, self.path(row, name))

  def reason(self, error):
    """One line for the report; what nobody foresaw goes into errors.log as well."""
    if isinstance(error, InputError):
      return str(error)
    with open(self.output / 'errors.log', 'a') as log:
      log.write(''.join(traceback.format_exception(error)) + '\n')
    return f'{UNFORESEEN}: {type(error).__name__}: {" ".join(str(error).split())}'

  def description(self, row, name, family):
    """Arrays that `describe` gave for a clip, or None."""
    path = self.path(row, name, f'.{family}.npz')
    if not path.exists():
      return None
    with np.load(path) as file:
      return dict(file)


def run(generators, asked, output, track, hear, weights=None):
  """Scores every generator on every clip of a protocol.

  Args:
    generators: see `generators`; their names differ.
    asked: `protocol.Protocol`.
    output: folder.
    track: frames -> landmarks [T, 468, 2] in pixels.
    hear: (waveform, sample rate) -> speech features.
    weights: folder of imported networks, or None.

  Returns:
    ({row: [record of each clip]}, scorers, Store); a record has name, person, notes, metrics
    {name: number or {'absent': reason}}, series and, where nothing could be scored, failed.
  """
  store, scorers, definitions = Store(output), None, suite.fingerprint()
  networks = generators_module.fingerprint(weights) if weights else None
  records = {generator.name: [] for generator in generators}
  total = len(generators) * len(asked.clips)
  with tqdm(total=total, desc=asked.name, unit='video', disable=None) as progress:
    for entry in asked.clips:
      clip = None
      for generator in generators:
        progress.set_postfix_str(f'{entry.name} {generator.name}')
        known = [definitions, str(entry), asked.size, asked.crop, asked.seeds, networks]
        try:
          path = protocol.find(asked, entry)
          known += [generator.fingerprint, path.stat().st_size, path.stat().st_mtime_ns]
          mark = hashlib.sha256(repr(known).encode()).hexdigest()
          record = store.read(generator.name, entry.name, mark)
          if record is None:
            scorers = scorers or suite.load(weights)
            clip = clip or protocol.load(asked, entry, track, hear)
            work = _Work(store, scorers, track, asked.seeds)
            start = time.monotonic()
            record = dict(fingerprint=mark, **work.score(generator, clip))
            record['seconds'] = round(time.monotonic() - start, 1)
            store.write(generator.name, entry.name, record, work.descriptions)
        except Exception as error:  # noqa: BLE001, a damaged file must not end the run
          reason = store.reason(error)
          record = dict(name=entry.name, person=entry.person, notes=[], failed=reason)
        records[generator.name].append(record)
        progress.update()
  return records, scorers or suite.load(weights), store


class _Work:
  """One generator on one clip."""

  def __init__(self, store, scorers, track, seeds):
    self.store, self.scorers, self.track, self.seeds = store, scorers, track, seeds
    self.descriptions, self.metrics, self.notes = {}, {}, []

  def score(self, generator, clip):
    """The record; `descriptions` are filled in passing."""
    pairs, made = {}, {}
    for kind, call in (
      (suite.DRIVEN, lambda: generator.driven(clip, self.seeds[0])),
      (suite.REENACT, lambda: generator.reenact(clip)),
    ):
      made[kind] = self._try(call)
      if not isinstance(made[kind], Absent):
        seen = made[kind]
        landmarks = self.track(seen.frames) if seen.landmarks is None else seen.landmarks
        pairs[kind] = clip.pair(seen.frames, landmarks, seen.notes)
        self._note(seen.notes, pairs[kind].found, kind)
    for family in suite.FAMILIES:
      self._family(family, pairs.get(family.video, made[family.video]))
    self._others(generator, clip, made[suite.DRIVEN])
    self._show(generator, clip, pairs)
    series = {kind or 'driven': _opening(pair.landmarks) for kind, pair in pairs.items()}
    return dict(
      name=clip.name,
      person=clip.person,
      notes=list(dict.fromkeys([*clip.notes, *self.notes])),
      metrics=self.metrics,
      series=dict(series, reference=_opening(clip.landmarks)),
    )

  def _try(self, call):
    """The call's result, or Absent with its reason: one family or video must not end a run."""
    try:
      return call()
    except Exception as error:  # noqa: BLE001, whatever a metric did not foresee
      return Absent(self.store.reason(error))

  def _note(self, notes, found, kind):
    kind = kind.rstrip('_') or 'driven'
    self.notes += [f'{kind}: {note}' for note in notes]
    if not found.all():
      self.notes.append(f'{kind}: a face in {found.sum()} of {len(found)} frames')

  def _family(self, family, pair):
    scorer = self.scorers[family.name]
    reason = next((x for x in (pair, scorer) if isinstance(x, Absent)), None)
    if reason is None and suite.is_set(scorer):
      reason = self._try(lambda: scorer.describe(pair))
      if not isinstance(reason, Absent):
        self.descriptions[family.name] = reason
        return
    if reason is None:
      found = self._try(lambda: scorer.score(pair))
      reason = found if isinstance(found, Absent) else None
    for name in family.metrics:
      value = reason or found[name.removeprefix(family.video)]
      self.metrics[name] = _plain(value)

  def _others(self, generator, clip, driven):
    def spread():
      samples = generator.samples(clip, self.seeds)
      landmarks = np.stack([self.track(sample) for sample in samples])
      return diversity.score(samples, landmarks, clip.landmarks[0])

    found = self._try(spread)
    for name in diversity.METRICS:
      self.metrics[name] = _plain(found if isinstance(found, Absent) else found[name])
    for name in cost.METRICS:
      spent = {} if isinstance(driven, Absent) else driven.cost
      self.metrics[name] = _plain(spent.get(name, Absent('not generated here')))

  def _show(self, generator, clip, pairs):
    """The videos beside the real one, for the report."""
    shown = [pairs[kind] for kind in (suite.DRIVEN, suite.REENACT) if kind in pairs]
    if not shown or generator.name in ('ground_truth', 'first_frame'):
      return
    path = self.store.output / 'videos' / generator.name / f'{clip.name}.mp4'
    path.parent.mkdir(parents=True, exist_ok=True)
    videos = [clip.frames, *(pair.predicted for pair in shown)]
    video.write(path, report.side_by_side(videos), clip.waveform, crf=23)


def _plain(value):
  """A metric's value for JSON."""
  if isinstance(value, Absent):
    return {'absent': value.reason}
  value = float(value)
  return value if np.isfinite(value) else {'absent': f'came out as {value}'}


def _opening(landmarks):
  """The mouth opening [T] for a plot, None where there is no face."""
  return [round(float(x), 4) if np.isfinite(x) else None for x in points.mouth_opening(landmarks)]
