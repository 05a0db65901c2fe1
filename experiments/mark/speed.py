"""How much slower is `sample` with mark and manifest? Frames a second, on and off by turns.

  python experiments/mark/speed.py

One process, the bundled portrait and speech, each video whole: voice to a signed file. Wall time
depends on what else the machine does; CPU time of the process does less.
"""

import pathlib
import tempfile
import time

import numpy as np
from absl import app, flags

from ifmdm_jax import talk
from ifmdm_jax.trust.origin import Options

TIMES = flags.DEFINE_integer('times', 4, 'Videos of each kind, besides a first one.')
FIXTURES = pathlib.Path(__file__).parents[2] / 'data' / 'fixtures'


def main(_):
  took = {True: [], False: []}
  with tempfile.TemporaryDirectory() as folder:
    for number in range(TIMES.value + 1):
      for wanted in (False, True):
        began = time.process_time()
        result = talk.make(
          FIXTURES / 'portrait.jpg', FIXTURES / 'speech.wav', pathlib.Path(folder) / 'o.mp4',
          overwrite=True, provenance=Options(wanted=wanted),
        )  # fmt: skip
        if number:
          took[wanted].append((result.frames / result.seconds, time.process_time() - began))
  for wanted, rows in took.items():
    fps, cpu = np.median(rows, 0)
    print(f'provenance {"on" if wanted else "off"}: {fps:.1f} frames a second, {cpu:.2f} s of CPU')
  on, off = (np.median(took[wanted], 0) for wanted in (True, False))
  print(f'on over off: {on[0] / off[0]:.3f} of the speed, {off[1] / on[1]:.3f} by CPU time')


if __name__ == '__main__':
  app.run(main)
