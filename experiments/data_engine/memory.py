"""Does memory stay bounded? Films of growing length, each prepared in a process of its own.

python experiments/data_engine/memory.py --minutes 1 --minutes 10 --minutes 120
"""

import multiprocessing
import pathlib
import resource
import tempfile
import time

import numpy as np
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.pipeline.prep import layouts, process
from tests.pipeline import films

_MINUTES = flags.DEFINE_multi_float('minutes', [1.0, 10.0], 'Lengths.', **errors.SHARED)


def measure(path, folder, pipe):
  """Sends peak memory before and after in MB, and the tracks kept."""
  peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
  before = peak()
  source = layouts.Source(str(path), path.name, 'somebody', 'train')
  result = process.process(source, folder, process.Settings(size=64), films.LevelJudge())
  pipe.send((before, peak(), len(result['kept']), len(result['dropped'])))


def main(_):
  context = multiprocessing.get_context('spawn')
  print('| minutes | imports, MB | peak, MB | tracks kept | dropped | wall, s |')
  print('| --- | --- | --- | --- | --- | --- |')
  for minutes in _MINUTES.value:
    with tempfile.TemporaryDirectory() as folder:
      folder = pathlib.Path(folder)
      count = round(1500 * minutes)
      waveform, opening = films.voice(count / 25)
      times = np.arange(count) / 25
      path = films.write(
        folder / 'long.mp4', films.frames(opening, times, side=160), times, waveform
      )
      mine, theirs = context.Pipe()
      begin = time.perf_counter()
      child = context.Process(target=measure, args=(path, folder, theirs))
      child.start()
      before, after, kept, dropped = mine.recv()
      child.join()
      wall = time.perf_counter() - begin
      print(f'| {minutes:g} | {before:.0f} | {after:.0f} | {kept} | {dropped} | {wall:.0f} |',
            flush=True)  # fmt: skip


if __name__ == '__main__':
  errors.run(main)
