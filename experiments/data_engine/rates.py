"""Clips in sync at 25 fps, re-encoded at other rates with a late voice: do they come back in sync?

  PYTHONPATH=. python experiments/data_engine/rates.py --source CLIPS [--split val] [--clips 3]

Every clip at 23.976, 29.97, 30, 50 and a variable rate, voice as it was and 200 ms late; then one
film of five people in a row. Prints one row per rate and, of the film, where its tracks lie.
"""

import pathlib
import tempfile

import numpy as np
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.audio import waveform
from ifmdm_jax.face.crop import cut
from ifmdm_jax.pipeline.prep import lag, layouts, process, results
from ifmdm_jax.video import read
from tests.pipeline import films

_SOURCE = flags.DEFINE_string('source', None, 'Folder with MANIFEST.csv.', **errors.SHARED)
_SPLIT = flags.DEFINE_string('split', 'val', 'Of the manifest.', **errors.SHARED)
_CLIPS = flags.DEFINE_integer('clips', 3, 'The first so many of 5 s or more.', **errors.SHARED)
_PEOPLE = flags.DEFINE_integer('people', 5, 'In the film of many.', **errors.SHARED)
SIDE = 256


def grid(rate, seconds):
  """Times of frames; 0: a variable rate between 15 and 60 fps."""
  if rate:
    return np.arange(int(seconds * rate)) / rate
  steps = np.random.default_rng(0).uniform(1 / 60, 1 / 15, int(60 * seconds))
  times = np.concatenate([[0.0], np.cumsum(steps)])
  return times[times < seconds]


def load(source):
  pictures = [cut(f, (0, 0, len(f)), SIDE) for f in read.frames(source.path)]
  return pictures, waveform.prepare(*waveform.read(source.path))


def made(folder, name, pictures, sound, times, late=0.0):
  chosen = [pictures[min(int(t * 25 + 1e-6), len(pictures) - 1)] for t in times]
  path = films.write(folder / f'{name}.mp4', chosen, times, sound, late)
  return layouts.Source(str(path), path.name, name, 'train')


def main(_):
  settings, estimator = results.Settings(size=SIDE), lag.LagEstimator()
  found = [s for s in layouts.find(_SOURCE.value) if s.split == _SPLIT.value]
  clips = [c for c in map(load, found) if len(c[0]) >= 50]
  long = [c for c in clips if len(c[0]) >= 125][: _CLIPS.value]
  print('| rate | voice | kept | shift found, frames | frames less sound, frames |')
  print('| --- | --- | --- | --- | --- |')
  with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for rate in (25, 23.976, 29.97, 30, 50, 0):
      for late in (0.0, 0.2):
        kept, shifts, lengths = 0, [], []
        for number, (pictures, sound) in enumerate(long):
          times = grid(rate, len(pictures) / 25)
          name = f'{number}_{rate}_{late}'
          result = process.process(
            made(folder, name, pictures, sound, times, late), folder, settings, estimator
          )
          kept += len(result['kept'])
          shifts += [entry['offset_frames'] for entry in result['kept']]
          lengths.append(round(25 * result['seconds']) - len(pictures))
        voice = f'{1000 * late:.0f} ms late'
        print(f'| {rate or "15 to 60"} | {voice} | {kept} of {len(long)} | {shifts} | {lengths} |',
              flush=True)  # fmt: skip
    if len(clips) >= _PEOPLE.value:
      some = [(p[:50], s[:32_000]) for p, s in clips[: _PEOPLE.value]]
      pictures = sum((p for p, _ in some), [])
      sound = np.concatenate([s for _, s in some])
      source = made(folder, 'many', pictures, sound, np.arange(len(pictures)) / 25)
      result = process.process(source, folder, settings, estimator)
      spans = [(e['start'], e['stop'], e.get('reason', 'kept'))
               for e in result['kept'] + result['dropped']]  # fmt: skip
      print(f'\n{_PEOPLE.value} people, 50 frames each: {sorted(spans)}')


if __name__ == '__main__':
  errors.run(main)
