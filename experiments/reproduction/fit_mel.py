"""Fits the second judge of lip sync, which no language model has heard: log-mel to mouth opening.

  python experiments/reproduction/fit_mel.py --data ../shared/data [--output ifmdm_jax/weights]

The regression of `sync_ridge` reads Whisper-tiny, which knows English; whether lips follow other
languages is asked of this one as well. Fitted on the real people of split `train` of DATA, a folder
with MANIFEST.csv (columns file, kind, split); writes sync_ridge_mel.npz. Prints how well both
judges know the lips of real people of the other splits, and of those whose files --foreign finds.
"""

import csv
import pathlib
import re

import numpy as np
from absl import flags
from tqdm import tqdm

from ifmdm_jax import errors
from ifmdm_jax.audio import features, waveform
from ifmdm_jax.evaluation import sync
from ifmdm_jax.face import lag
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.face.points import mouth_opening
from ifmdm_jax.rates import SAMPLE_RATE
from ifmdm_jax.video import read

_DATA = flags.DEFINE_string('data', '../shared/data', 'Folder with MANIFEST.csv.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', 'ifmdm_jax/weights', 'Folder.', **errors.SHARED)
_FOREIGN = flags.DEFINE_string(
  'foreign', 'german|french|mvsr_(?!en)', 'Files of other languages than English.', **errors.SHARED
)


def known(path, track, encoders):
  """Returns [(features [2T, A], opening [T]) of each encoder], or None: no sound, or too short."""
  try:
    sound = waveform.prepare(*waveform.read(path))
  except errors.InputError:
    return None
  opening = mouth_opening(track(list(read.frames(path))))
  count = min(len(opening), len(sound) * 25 // SAMPLE_RATE)
  if count < 50 or np.isfinite(opening).mean() < 0.9:
    return None
  opening = np.interp(np.arange(count), *_finite(opening[:count]))
  return [(encode(sound, SAMPLE_RATE)[: 2 * count], opening) for encode in encoders]


def _finite(series):
  places = np.flatnonzero(np.isfinite(series))
  return places, series[places]


def report(name, clips, judges):
  """Prints the mean r of each judge, and of the same with the voice rolled by half the clip."""
  score = lambda judge, speech, opening: judge.lag(speech, opening, sync.MOST).r
  for title, judge, column in zip(('whisper', 'mel'), judges, range(2)):
    own = [score(judge, *clip[column]) for clip in clips]
    chance = [score(judge, sync.shuffled(clip[column][0]), clip[column][1]) for clip in clips]
    print(f'{name}: {len(clips)} clips, {title} {np.mean(own):.3f}, shuffled {np.mean(chance):.3f}')


def main(_):
  folder, clips = pathlib.Path(_DATA.value), {}
  encoders = [features.load('whisper_tiny', layer=2).features, features.load('mel').features]
  track = FaceMesh(refinements=1).track
  with open(folder / 'MANIFEST.csv', newline='', encoding='utf-8') as file:
    rows = [row for row in csv.DictReader(file) if row['kind'] == 'clip']
  for row in tqdm(rows, unit='clip', mininterval=30):
    foreign = re.search(_FOREIGN.value, row['file'])
    clip = known(folder / row['file'], track, encoders)
    if clip:
      clips.setdefault('foreign' if foreign else row['split'], []).append(clip)
      if foreign:
        clips[f'foreign: {foreign[0]} {pathlib.Path(row["file"]).stem[:12]}'] = [clip]
  judge = lag.OpeningRidge.fit([clip[1] for clip in clips.pop('train')])
  np.savez(pathlib.Path(_OUTPUT.value) / lag.MEL.name, weight=judge.weight.astype(np.float32))
  for name, each in clips.items():
    report(name, each, (lag.load(), judge))


if __name__ == '__main__':
  errors.run(main)
