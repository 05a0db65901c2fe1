"""Measures how near the fitted body comes to the points of faces of the research pack.

  python experiments/vlogger_body/measure.py --clips CLIPS --tracks TRACKS --output FOLDER

CLIPS: the folder of the research pack, with MANIFEST.csv; its clips of val, up to 6 s of each.
Points are read once (TRACKS keeps them) by `FaceUnits.track`. Errors are distances on the picture
over the distance between the outer corners of the eyes. Rows of fit.csv: a clip.
"""

import csv
import itertools
import pathlib
import time

import numpy as np
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.face import points, units
from ifmdm_jax.rates import FPS
from ifmdm_jax.systems.vlogger import axes, fit
from ifmdm_jax.video import read

_CLIPS = flags.DEFINE_string('clips', None, 'The research pack.', required=True)
_TRACKS = flags.DEFINE_string('tracks', None, 'Folder of what was read.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder of fit.csv.', required=True)
_SECONDS = flags.DEFINE_float('seconds', 6.0, 'Of each clip.')
_SPLIT = flags.DEFINE_string('split', 'val', 'Of the pack.')

INNER_HEIGHT = [(82, 87), (13, 14), (312, 317)]  # of the inner lips, pairs above one another
PARTS = {
  'lips': points.LIPS, 'lids': points.EYES, 'irises': np.r_[points.LEFT_IRIS, points.RIGHT_IRIS],
  'brows': points.BROWS, 'oval': points.OVAL,
}  # fmt: skip


def track(path, kept, seconds):
  """Reads points and scores of a clip, once: [T, 478, 2], [T, 52], (H, W)."""
  if not kept.exists():
    frames = list(itertools.islice(read.frames(path), round(seconds * FPS)))
    found, scores = units.FaceUnits().track(frames)
    np.savez(kept, points=found, scores=scores, size=frames[0].shape[:2])
  with np.load(kept) as file:
    return file['points'], file['scores'], tuple(int(n) for n in file['size'])


def correlation(a, b):
  return np.corrcoef(a, b)[0, 1]


def measure(found, scores, size):
  """Fits one clip: {name: number}."""
  start = time.process_time()
  fitted = fit.fit(found, scores, size)
  seconds = time.process_time() - start
  good = np.isfinite(fitted.error)
  drawn, seen = fit.drawn(fitted, found.shape[1])[good], found[good]
  eyes = points.eye_distance(seen)
  apart = np.linalg.norm(drawn - seen, axis=-1) / eyes[:, None]
  gap = np.mean([np.linalg.norm(seen[:, a] - seen[:, b], axis=-1) for a, b in INNER_HEIGHT], 0)
  motion, lids = fitted.motion[good], units.opening(seen)
  value = lambda name: motion[:, axes.INDEX[name]]
  row = dict(frames=int(good.sum()), error=apart.mean(), worst_frame=apart.mean(1).max())
  row |= {name: apart[:, part].mean() for name, part in PARTS.items()}
  row |= dict(
    field=float(np.rad2deg(2 * np.arctan(np.hypot(*size) / 2 / fitted.focal))),
    identity=float(np.abs(fitted.identity).mean()),
    ms=1000 * seconds / good.sum(),
  )
  series = dict(
    jaw=(value('jawOpen'), gap / eyes),
    blink=(value('eyeBlinkLeft') + value('eyeBlinkRight'), -lids.mean(1)),
    gap=(_gap(drawn) / eyes, gap / eyes),
    lids_gap=(units.opening(drawn).mean(1), lids.mean(1)),
    score_jaw=(scores[good][:, 1 + axes.INDEX['jawOpen']], gap / eyes),
    score_blink=(units.blink(scores[good]), -lids.mean(1)),
  )
  row |= {name: correlation(*pair) for name, pair in series.items()}
  return row, series


def pooled(every, name):
  """Correlates over all clips, each less its mean."""
  pairs = [[each - each.mean() for each in series[name]] for series in every]
  return correlation(*(np.concatenate([pair[k] for pair in pairs]) for k in (0, 1)))


def _gap(drawn):
  return np.mean([np.linalg.norm(drawn[:, a] - drawn[:, b], axis=-1) for a, b in INNER_HEIGHT], 0)


def main(_):
  root, tracks = pathlib.Path(_CLIPS.value), pathlib.Path(_TRACKS.value)
  tracks.mkdir(parents=True, exist_ok=True)
  with open(root / 'MANIFEST.csv', newline='', encoding='utf-8') as file:
    rows = [row for row in csv.DictReader(file) if row['kind'] == 'clip']
  made, every = [], []
  for row in rows:
    if row['split'] == _SPLIT.value:
      name = pathlib.Path(row['file']).stem
      read_once = track(root / row['file'], tracks / f'{name}.npz', _SECONDS.value)
      numbers, series = measure(*read_once)
      every.append(series)
      made.append({'clip': name, **numbers})
      print(
        *(f'{k} {v:.4f}' if isinstance(v, float) else v for k, v in made[-1].items()), flush=True
      )
  with open(pathlib.Path(_OUTPUT.value) / 'fit.csv', 'w', newline='', encoding='utf-8') as file:
    writer = csv.DictWriter(file, list(made[0]), lineterminator='\n')
    writer.writeheader()
    rounded = lambda v: f'{v:.4f}' if isinstance(v, float) else v
    writer.writerows(
      {k: rounded(v) for k, v in row.items()} for row in made)  # fmt: skip
  for name in list(made[0])[1:]:
    print(f'{name}: {np.mean([row[name] for row in made]):.4f}')
  for name in every[0]:
    print(f'{name} over all frames: {pooled(every, name):.4f}')


if __name__ == '__main__':
  errors.run(main)
