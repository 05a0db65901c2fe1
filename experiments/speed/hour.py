"""Does memory grow with the length of the voice? `ifmdm_jax.sample --stream` on minutes and hours.

  python experiments/speed/hour.py --minutes 1 10 60

The bundled speech, over and over; each length in a process of its own. Prints peak resident memory
and time per length, and the ratios to the first.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import soundfile

REPOSITORY = pathlib.Path(__file__).parents[2]
FIXTURES = REPOSITORY / 'data' / 'fixtures'


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--minutes', type=float, nargs='+', default=[1, 10, 60])
  args = parser.parse_args()
  speech, rate = soundfile.read(FIXTURES / 'speech.wav', dtype='int16')
  first = None
  print('minutes  peak MB  ratio  seconds  seconds per minute', flush=True)
  for minutes in args.minutes:
    with tempfile.TemporaryDirectory() as folder:
      folder = pathlib.Path(folder)
      soundfile.write(folder / 'voice.wav', np.resize(speech, round(60 * minutes * rate)), rate)
      words = [sys.executable, '-m', 'ifmdm_jax.sample', '--stream',
               f'--image={FIXTURES / "portrait.jpg"}', f'--audio={folder / "voice.wav"}',
               f'--output={folder / "talk.mp4"}']  # fmt: skip
      began = time.monotonic()
      process = subprocess.Popen(words, cwd=REPOSITORY)
      _, status, usage = os.wait4(process.pid, 0)
      took = time.monotonic() - began
      if status:
        sys.exit(f'{minutes} minutes failed')
    peak = usage.ru_maxrss / 1e3
    first = first or peak
    print(
      f'{minutes:7g} {peak:8.0f} {peak / first:6.2f} {took:8.1f} {took / minutes:10.1f}', flush=True
    )


if __name__ == '__main__':
  main()
