"""Does memory stay bounded? Films, each prepared in a process of its own, and that one's peak.

PYTHONPATH=. python experiments/data_engine/memory.py --minutes 12 --minutes 120    # --whisper
PYTHONPATH=. python experiments/data_engine/memory.py --phone

Long films are cheap, 96 px at 10 fps, of which 25 are made: somebody talks in the first tenth of
every minute, then there is a grey wall. The phone's is 3840 x 2160, two seconds, stored lying, with
the note that it was held upright.
"""

import multiprocessing
import pathlib
import re
import tempfile
import time

import cv2
import numpy as np
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.pipeline.prep import filters, lag, layouts, process, results
from tests.pipeline import films

_MINUTES = flags.DEFINE_multi_float('minutes', [], 'Lengths.', **errors.SHARED)
_PHONE = flags.DEFINE_bool('phone', False, 'The film of a phone.', **errors.SHARED)
_WHISPER = flags.DEFINE_bool(
  'whisper', False, 'Estimate lags as `prepare` does; else as the tests do.', **errors.SHARED
)
TALKING = 0.1  # of every minute
SIDE, FPS = 96, 10  # of the long films


def long_film(path, minutes):
  waveform, opening = films.voice(60 * minutes)
  times = np.arange(round(60 * FPS * minutes)) / FPS
  wall = np.full((SIDE, SIDE, 3), 90, np.uint8)
  pictures = films.frames(opening, times, side=SIDE)
  pictures = [p if t % 60 < 60 * TALKING else wall for p, t in zip(pictures, times)]
  return films.write(path, pictures, times, waveform)


def phone_film(path):
  return films.phone(path, side=2160, room=(1680, 0))


def peak():
  """Most memory that this process had at once so far, MB."""
  status = pathlib.Path('/proc/self/status').read_text()
  return int(re.search(r'VmHWM:\s+(\d+) kB', status).group(1)) / 1e3


def measure(path, folder, size, make_sync, pipe):
  """Sends peak memory before and after, and what came out."""
  cv2.setNumThreads(1)  # as the workers of `prepare` do
  estimator, before, begin = make_sync(), peak(), time.process_time()
  source = layouts.Source(str(path), path.name, 'somebody', 'train')
  settings = results.Settings(size=size, limits=filters.Limits(face=32, sync=-1))
  result = process.process(source, folder, settings, estimator)
  used = time.process_time() - begin
  squares = [np.load(folder / 'videos' / result['key'] / e['picture'].replace('jpg', 'npz'))
             ['squares'][0].tolist() for e in result['kept'][:1]]  # fmt: skip
  told = len(result['kept']), len(result['dropped']), result['seconds'], squares
  pipe.send((before, peak(), used, *told))


def main(_):
  context = multiprocessing.get_context('spawn')
  make_sync = lag.LagEstimator if _WHISPER.value else films.LevelLag
  rows = [(f'{m:g} minutes', lambda path, m=m: long_film(path, m), 64) for m in _MINUTES.value]
  rows += [('3840 x 2160, held upright', phone_film, 512)] if _PHONE.value else []
  print('| film | seconds | before, MB | peak, MB | tracks kept | dropped | CPU, s | square |')
  print('| --- | --- | --- | --- | --- | --- | --- | --- |')
  for name, film, size in rows:
    with tempfile.TemporaryDirectory() as folder:
      path = film(pathlib.Path(folder) / 'film.mp4')
      mine, theirs = context.Pipe()
      task = (path, pathlib.Path(folder), size, make_sync, theirs)
      child = context.Process(target=measure, args=task)
      child.start()
      before, after, used, kept, dropped, seconds, squares = mine.recv()
      child.join()
      print(f'| {name} | {seconds:.0f} | {before:.0f} | {after:.0f} | {kept} | {dropped} | '
            f'{used:.0f} | {squares} |', flush=True)  # fmt: skip


if __name__ == '__main__':
  errors.run(main)
