"""Is the rate held, and memory flat? Half an hour of voice to MP4, minute by minute.

  python experiments/speed/steady.py --minutes 30 --output experiments/speed/steady.csv

The bundled portrait and speech, over and over, by the bundled weights; offline windows, mark and
manifest as `ifmdm_jax.sample` writes them. A row is a minute of the video: the seconds it took, its
frames a second, and the memory that is resident at its end, MB. The first holds what was compiled.
"""

import argparse
import os
import pathlib
import tempfile
import time

import numpy as np

import ifmdm_jax as ifm
from ifmdm_jax import files
from ifmdm_jax.evaluation import cost
from ifmdm_jax.rates import FPS

FIXTURES = pathlib.Path(__file__).parents[2] / 'data' / 'fixtures'


def resident():
  """Reads how much memory this process holds now, MB; where it cannot be read, its highest."""
  pages = pathlib.Path('/proc/self/statm')
  if not pages.exists():
    return cost.peak_memory()
  return int(pages.read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 1e6


def metered(blocks, rows, path):
  """Hands on the frames of blocks, and adds a row for each minute of them to a table."""
  made, began = 0, time.monotonic()
  for block in blocks:
    yield from block
    made += len(block)
    if made >= (len(rows) + 1) * 60 * FPS:
      now = time.monotonic()
      row = dict(minute=len(rows) + 1, seconds=round(now - began, 2))
      row |= dict(fps=round(60 * FPS / (now - began), 1), resident_mb=round(resident()))
      rows.append(row)
      files.add_rows(path, [row])
      print(*row.values(), flush=True)
      began = now


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--minutes', type=float, default=30.0)
  parser.add_argument('--output', required=True, help='the table, *.csv')
  flags = parser.parse_args()
  path = pathlib.Path(flags.output)
  path.unlink(missing_ok=True)
  voice, rate = ifm.read_voice(FIXTURES / 'speech.wav')
  voice = np.resize(voice, round(60 * flags.minutes * rate))
  image, sampler, rows = ifm.read_portrait(FIXTURES / 'portrait.jpg'), ifm.load(), []
  with tempfile.TemporaryDirectory() as folder:
    frames = sampler.frames(image, voice, rate)
    ifm.video.write(pathlib.Path(folder) / 'talk.mp4', metered(frames, rows, path), voice, rate)
  fps = np.array([row['fps'] for row in rows[1:]])
  print(f'from the second minute on: {fps.min()} to {fps.max()}, median {np.median(fps)} a second')


if __name__ == '__main__':
  main()
