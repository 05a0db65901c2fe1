"""Looks for the mark in real clips that have none, and plots the scores: alarms.csv, alarms.png.

  python experiments/mark/alarms.py --data ../shared/data --output experiments/mark

A segment is four seconds; one begins every second of every clip that is long enough. Each counts
twice, as it is and mirrored, which for the pattern is another picture.
"""

import csv
import itertools
import pathlib

import av
import cv2
import numpy as np
from absl import app, flags
from tqdm import tqdm

from ifmdm_jax.trust import mark_reader

DATA = flags.DEFINE_string('data', None, 'Folder of the data pack.', required=True)
OUTPUT = flags.DEFINE_string('output', 'experiments/mark', 'Folder of the table and the plot.')
MOST = flags.DEFINE_integer('most', 1200, 'Segments.')
PLOT = flags.DEFINE_bool('plot', False, 'Only plot alarms.csv and the scores of attacks.csv.')
FOLDERS = 'clips', 'clips_visual_only', 'body'
FPS, SECONDS = 25, 4


def brightness(path):
  """Reads brightness as stored, and as small as the reader needs it: [T] of float32 [h, w]."""
  frames = []
  with av.open(str(path)) as container:
    for frame in container.decode(video=0):
      plane = frame.reformat(format='gray').planes[0]
      rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
      frames.append(mark_reader.reduced(rows[: frame.height, : frame.width]))
  return frames


def segments(root):
  """Yields (name, first second, whether mirrored, frames)."""
  paths = [sorted((root / each).glob('*.mp4')) for each in FOLDERS]
  for path in itertools.chain(*paths):
    frames = brightness(path)
    for start in range(0, len(frames) - SECONDS * FPS + 1, FPS):
      part = frames[start : start + SECONDS * FPS]
      yield path.stem, start // FPS, 0, part
      yield path.stem, start // FPS, 1, [each[:, ::-1] for each in part]


def measure(folder):
  times = np.arange(SECONDS * FPS) / FPS
  with open(folder / 'alarms.csv', 'w', newline='') as file:
    table = csv.writer(file, lineterminator='\n')
    table.writerow(['clip', 'second', 'mirrored', 'score', 'found'])
    some = itertools.islice(segments(pathlib.Path(DATA.value)), MOST.value)
    for name, second, mirrored, frames in tqdm(some, total=MOST.value, disable=None):
      mark = mark_reader.read(frames, times, mirrored=False)
      row = name, second, mirrored, f'{mark.score:.3f}', int(mark.found)
      table.writerow(row)
      file.flush()


def plot(folder):
  """Draws both distributions, and the tail that a normal distribution promises."""
  import matplotlib  # here: only the plot needs it

  matplotlib.use('agg')
  from matplotlib import pyplot as plt  # see above

  rows = list(csv.DictReader(open(folder / 'alarms.csv')))
  scores = np.array([float(row['score']) for row in rows])
  marked = np.array([float(row['score']) for row in csv.DictReader(open(folder / 'attacks.csv'))])
  figure, axes = plt.subplots(figsize=(7, 3.2))
  bins = np.arange(2, 30, 0.2)
  axes.hist(scores, bins, label=f'{len(scores)} segments without a mark')
  axes.hist(marked, bins, label=f'{len(marked)} marked ones, attacked', alpha=0.7)
  axes.axvline(mark_reader.LIKELY, color='k', linewidth=1, label=f'threshold {mark_reader.LIKELY}')
  axes.set_yscale('log')
  axes.set_xlabel('score')
  axes.set_ylabel('segments')
  axes.legend()
  figure.tight_layout()
  figure.savefig(folder / 'alarms.png', dpi=100)
  mean, deviation = scores.mean(), scores.std()
  far = (mark_reader.LIKELY - mean) / deviation
  # Exponential beyond the highest tenth, which falls slower than what was measured.
  high = np.quantile(scores, 0.9)
  slope = (scores[scores > high] - high).mean()
  tail = 0.1 * np.exp(-(mark_reader.LIKELY - high) / slope)
  share = 2**-16  # in which a checksum of 12 bits and a version of 4 fit by chance
  print(
    f'{len(scores)} segments, '
    f'{sum(row["found"] == "1" for row in rows)} alarms; score {mean:.2f} +- {deviation:.2f}, '
    f'highest {scores.max():.2f}, threshold {far:.1f} deviations above the mean; an exponential '
    f'tail gives {tail:.1e} above it, with checksum and version {tail * share:.1e}, and '
    f'{2 * tail * share:.1e} for a segment and its mirror image'
  )


def main(_):
  cv2.setNumThreads(1)
  folder = pathlib.Path(OUTPUT.value)
  if not PLOT.value:
    measure(folder)
  plot(folder)


if __name__ == '__main__':
  app.run(main)
