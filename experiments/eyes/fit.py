"""Measures blinks and gaze of filmed people, and of the process that imitates them.

  python experiments/eyes/fit.py --read --clips CLIPS --tracks TRACKS      # 20 ms a frame
  python experiments/eyes/fit.py --clips CLIPS --tracks TRACKS --output experiments/eyes

CLIPS: the folder of the research pack, with MANIFEST.csv. Rows of eyes.csv: people of each split,
those of train under open terms alone, and the process of `motion/eyes.py` over the voices of val
and val2 for an hour.
"""

import csv
import pathlib
import re

import numpy as np
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.audio import waveform
from ifmdm_jax.evaluation import eyes as measured
from ifmdm_jax.face import units
from ifmdm_jax.rates import FPS
from ifmdm_jax.streaming.windows import SILENT
from ifmdm_jax.systems.ifmdm.motion import eyes
from ifmdm_jax.video import read

OPEN = '^HDTF|^GRID|White House|US Government|UK government'  # as experiments/release/train.py
HERE = pathlib.Path(__file__).parent
DOUBLE, SHIFT, SHORT = 0.6, 0.03, 8  # seconds; widths of an eye; frames that gaze rests at least
HOUR = 3600 * FPS
AFTER = slice(3, 25)  # frames after a phrase
_READ = flags.DEFINE_bool('read', False, 'Read the eyes of the clips first.', **errors.SHARED)
_CLIPS = flags.DEFINE_string('clips', None, 'The research pack.', **errors.SHARED)
_TRACKS = flags.DEFINE_string('tracks', None, 'Folder of what was read.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', str(HERE), 'Folder of eyes.csv.', **errors.SHARED)


def listed(root):
  """Lists rows of MANIFEST.csv that are films of faces."""
  with open(root / 'MANIFEST.csv', newline='') as file:
    return [row for row in csv.DictReader(file) if row['kind'].startswith('clip')]


def read_tracks(root, rows, folder):
  """Writes opening of the lids, gaze and loudness of each film, once."""
  reader = units.FaceUnits()
  folder.mkdir(parents=True, exist_ok=True)
  for row in rows:
    path = folder / f'{pathlib.Path(row["file"]).stem}.npz'
    if not path.exists():
      points, _ = reader.track(read.frames(root / row['file']))
      np.savez(path, opening=units.opening(points), gaze=units.gaze(points))


def level(path, frames):
  """Measures the loudness of each frame of a film's sound, dB."""
  sound, rate = waveform.read(path)
  sound = np.asarray(sound, np.float64)
  sound = sound if sound.ndim == 1 else sound.mean(1)
  sound = np.pad(sound, (0, max(0, round(frames * rate / FPS) - len(sound))))
  cuts = [round(k * rate / FPS) for k in range(frames + 1)]
  power = [np.square(sound[a:b]).mean() for a, b in zip(cuts, cuts[1:])]
  return 10 * np.log10(np.array(power) + SILENT)


def after_phrase(levels):
  """Says which frames stand 0.12 to 1 s after the voice, as the process does: bool [T]."""
  row, marks = eyes.State(*(field[0].tolist() for field in eyes.start())), []
  for one in levels.tolist():
    row = eyes._hear(row, one)
    marks.append(eyes.PHRASE_END[0] <= row.quiet < eyes.PHRASE_END[1])
  return np.array(marks)


def shifts(gaze, closure):
  """Lists (frame, size) of shifts: places over 0.12 s before and after, apart by over SHIFT."""
  open_eyes = np.where(closure[:, None] < 0.3, gaze, np.nan)
  found, last = [], -SHORT
  for t in range(4, len(gaze) - 5):
    before, after = open_eyes[t - 3 : t], open_eyes[t + 2 : t + 5]
    if np.isfinite(before).all() and np.isfinite(after).all() and t - last >= SHORT // 2:
      steady = max(np.ptp(before, axis=0).max(), np.ptp(after, axis=0).max())
      size = np.abs(after.mean(0) - before.mean(0)).max()
      if size > SHIFT and steady < size / 2:
        found.append((t, size))
        last = t
  return found


def statistics(clips):
  """Measures films: [(closure [T], gaze [T, 2], level [T] or None)] -> {name: number}."""
  seconds = sum(len(c) for c, _, _ in clips) / FPS
  intervals, depths, speeds, sizes, places = [], [], [], [], []
  counts = {'blinks': 0, 'after': 0, 'after_seconds': 0.0, 'heard': 0, 'heard_seconds': 0.0}
  widths = []
  for closure, gaze, levels in clips:
    found = measured.blinks_of(closure)
    counts['blinks'] += len(found)
    onset = np.array([b.start for b in found])
    intervals += list(np.diff(onset) / FPS)
    depths += [b.depth for b in found]
    speeds += [(b.closing / FPS, b.closed / FPS, b.opening / FPS) for b in found]
    moved = shifts(gaze, closure)
    sizes += [size for _, size in moved]
    widths += list(np.diff([t for t, _ in moved]) / FPS)
    places.append((gaze - np.median(gaze, axis=0))[closure < 0.3])
    if levels is not None:
      marks = after_phrase(levels)
      counts['after'] += int(marks[onset].sum()) if len(onset) else 0
      counts['after_seconds'] += marks.sum() / FPS
      counts['heard'] += len(onset)
      counts['heard_seconds'] += len(marks) / FPS
  intervals, places = np.array(intervals), np.concatenate(places)
  rest = intervals[intervals >= DOUBLE]
  outside = (counts['heard'] - counts['after']) / max(
    counts['heard_seconds'] - counts['after_seconds'], 1e-9
  )
  return {
    'minutes': seconds / 60,
    'blinks': counts['blinks'],
    'per_minute': 60 * counts['blinks'] / seconds,
    'double': float((intervals < DOUBLE).sum() / max(counts['blinks'], 1)),
    'log_spread': float(np.log(rest).std()) if len(rest) else np.nan,
    'after_phrase': counts['after'] / max(counts['after_seconds'], 1e-9) / max(outside, 1e-9),
    'depth': float(np.median(depths)),
    'partial': float((np.array(depths) < measured.CLOSED).mean()),
    **{
      name: float(np.median([speed[k] for speed in speeds]))
      for k, name in enumerate(('closing', 'closed', 'opening'))
    },
    'shifts': 60 * len(sizes) / seconds,
    'shift_size': float(np.median(sizes)) if sizes else 0.0,
    'shift_wait': float(np.median(widths)) if widths else np.nan,
    'gaze_x': float(1.4826 * np.median(np.abs(places[:, 0]))),
    'gaze_y': float(1.4826 * np.median(np.abs(places[:, 1]))),
  }


def film(root, row, folder):
  """Reads a track: (closure [T], gaze [T, 2], level or None), or None without a face."""
  path = folder / f'{pathlib.Path(row["file"]).stem}.npz'
  if not path.exists():
    return None
  with np.load(path) as file:
    opening, gaze = file['opening'].mean(1), file['gaze']
  if not np.isfinite(opening).all() or np.median(opening) < measured.NARROW:
    return None
  heard = level(root / row['file'], len(opening)) if row['kind'] == 'clip' else None
  return measured.closure(opening), gaze, heard


def process(films):
  """Runs the process over the voices of films, one after the other for an hour."""
  levels = np.concatenate([heard for _, _, heard in films if heard is not None])
  levels = np.tile(levels, -(-HOUR // len(levels)))[:HOUR]
  values, _ = eyes.advance(eyes.start(), eyes.controls(0), levels[None])
  return [(values[0, :, :2].mean(1), values[0, :, 2:], levels)]


def main(_):
  root, folder = pathlib.Path(_CLIPS.value), pathlib.Path(_TRACKS.value)
  rows = listed(root)
  if _READ.value:
    return read_tracks(root, rows, folder)
  groups = {
    'train, open terms': [
      r for r in rows if r['split'] == 'train' and re.search(OPEN, r['licence_or_provenance'])
    ],
    **{split: [r for r in rows if r['split'] == split] for split in ('train', 'val', 'val2')},
  }
  films = {
    name: list(filter(None, (film(root, row, folder) for row in group)))
    for name, group in groups.items()
  }
  films['process'] = process(films['val'] + films['val2'])
  table = [{'who': name, 'clips': len(each), **statistics(each)} for name, each in films.items()]
  with open(pathlib.Path(_OUTPUT.value) / 'eyes.csv', 'w', newline='') as file:
    writer = csv.DictWriter(file, table[0], lineterminator='\n')
    writer.writeheader()
    for row in table:
      writer.writerow({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
      print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})


if __name__ == '__main__':
  errors.run(main)
