"""Does memory grow with the length of the voice? `ifmdm_jax.sample --stream` on minutes and hours.

  python experiments/speed/hour.py --minutes 1 10 60
  python experiments/speed/hour.py --minutes 1 60 --steps=4       other flags go to ifmdm_jax.sample
  python experiments/speed/hour.py --minutes 1 60 --size tiny     an hour in a tenth of the time

`tiny` has random weights and draws 64 px; sound, Whisper, windows, stream and file are those of
`lite`, and whatever grows with the sound grows in it, too.

The bundled speech, over and over; each length in a process of its own. Prints peak resident memory
and time per length, and the ratios to the first. Programs are compiled beforehand, by a run of two
seconds: the compiler's own memory would hide what grows.
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
COMMANDS = {
  'lite': ['-m', 'ifmdm_jax.sample'],
  'tiny': [
    '-c',
    'import ifmdm_jax\n'
    'from ifmdm_jax import bench, errors, sample\n'
    "ifmdm_jax.load = lambda *_, **__: bench.maker('tiny')()\n"
    'errors.run(sample.main)',
  ],
}


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--minutes', type=float, nargs='+', default=[1, 10, 60])
  parser.add_argument('--size', choices=COMMANDS, default='lite')
  args, flags = parser.parse_known_args()
  speech, rate = soundfile.read(FIXTURES / 'speech.wav', dtype='int16')

  def talk(minutes):
    """(peak MB, seconds) of a voice of that length."""
    voice, video = folder / 'voice.wav', folder / 'talk.mp4'
    soundfile.write(voice, np.resize(speech, round(60 * minutes * rate)), rate)
    words = [sys.executable, *COMMANDS[args.size], '--stream', '--overwrite',
             f'--image={FIXTURES / "portrait.jpg"}', f'--audio={voice}', f'--output={video}',
             f'--compile_cache={folder / "programs"}', *flags]  # fmt: skip
    began = time.monotonic()
    process = subprocess.Popen(words, cwd=REPOSITORY)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
      sys.exit(f'{minutes} minutes failed')
    return usage.ru_maxrss / 1e3, time.monotonic() - began

  with tempfile.TemporaryDirectory() as folder:
    folder, first = pathlib.Path(folder), None
    talk(1 / 30)
    print('minutes  peak MB  ratio  seconds  seconds per minute', flush=True)
    for minutes in args.minutes:
      peak, took = talk(minutes)
      first = first or peak
      print(
        f'{minutes:7g} {peak:8.0f} {peak / first:6.2f} {took:8.1f} {took / minutes:10.1f}',
        flush=True,
      )


if __name__ == '__main__':
  main()
