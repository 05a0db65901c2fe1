"""Batches with the bundled weights: throughput against two single processes, and ten kills.

python experiments/serving/batch.py --rounds 2                  a table of wall and CPU times
python experiments/serving/batch.py --kills 10                  60 jobs, begun again after each
"""

import argparse
import csv
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np
import soundfile

import ifmdm_jax as ifm
from ifmdm_jax import compile_cache, talk, testing
from ifmdm_jax.trust import manifest
from tests.batch import small

FIXTURES = testing.REPOSITORY / 'data' / 'fixtures'


def inputs(folder, portraits, voices, seconds):
  """Writes portraits, brighter and darker copies of one, and pieces of a voice; and jobs.csv."""
  picture = cv2.imread(str(FIXTURES / 'portrait.jpg'))
  speech, rate = soundfile.read(FIXTURES / 'speech.wav')
  for n in range(portraits):
    changed = cv2.convertScaleAbs(picture, alpha=0.8 + 0.4 * n / portraits)
    cv2.imwrite(str(folder / f'p{n}.png'), changed)
  size = round(seconds * rate)
  for n in range(voices):
    begin = round(n * (len(speech) - size) / max(1, voices - 1))
    soundfile.write(folder / f'v{n}.wav', speech[begin : begin + size], rate)
  rows = [(f'p{p}.png', f'v{v}.wav') for p in range(portraits) for v in range(voices)]
  for name, chosen in (('jobs', rows), ('half0', rows[::2]), ('half1', rows[1::2])):
    chosen = sorted(chosen)
    with open(folder / f'{name}.csv', 'w', newline='') as file:
      csv.writer(file).writerows([('image', 'audio'), *chosen])
  return len(rows)


def single(table, output):
  """What a program of one loop would do: weights loaded once, one video after another."""
  compile_cache.keep(None)
  generator = ifm.load()
  with open(table) as file:
    for row in csv.DictReader(file):
      image, audio = (table.parent / row[name] for name in ('image', 'audio'))
      path = output / f'{image.stem}_{audio.stem}.mp4'
      talk.make(image, audio, path, generator=generator)


def command(table, output, *more):
  return [sys.executable, '-m', 'ifmdm_jax.sample', '--batch', str(table), '--output', str(output),
          *more]  # fmt: skip


def timed(commands):
  """Runs commands side by side: (wall, CPU) seconds."""
  used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
  began, before = time.monotonic(), used()
  for each in [subprocess.Popen(each, stderr=subprocess.DEVNULL) for each in commands]:
    if each.wait():
      raise SystemExit(f'a command failed with status {each.returncode}')
  return time.monotonic() - began, used() - before


def throughput(place, rounds):
  count = inputs(place, 4, 6, 2.0)
  halves = [[sys.executable, __file__, '--single', str(place / f'half{n}.csv')] for n in (0, 1)]
  ways = {
    'two single processes': lambda out: [[*half, '--output', str(out)] for half in halves],
    'batch': lambda out: [command(place / 'jobs.csv', out)],
    'batch --workers 1': lambda out: [command(place / 'jobs.csv', out, '--workers', '1')],
  }
  print(f'{count} videos of 2.0 s, {os.cpu_count()} cores; load before {os.getloadavg()[0]:.1f}')
  print('| round | way | wall, s | CPU, s | videos a minute |\n| --- | --- | --- | --- | --- |')
  for number in range(-1, rounds):  # the first compiles
    order = list(ways.items())[:: -1 if number % 2 else 1]  # loads that change favour nobody
    for way, commands in order:
      wall, cpu = timed(commands(place / f'{number} {way}'))
      if number >= 0:
        print(f'| {number + 1} | {way} | {wall:.1f} | {cpu:.1f} | {60 * count / wall:.1f} |')


def kills(place, moments, seed):
  """Kills a batch `moments` times while it is at work, then lets it end.

  Moments are chosen by progress, a few new videos and a part of the next: by the clock, a busy
  machine would put them all before the first video or behind the last.
  """
  count, rng = inputs(place, 6, 10, 1.0), random.Random(seed)
  began = time.monotonic()
  timed([command(place / 'jobs.csv', place / 'wanted')])
  each = 2 * (time.monotonic() - began) / count
  print(f'{count} jobs of 1.0 s, undisturbed: {each * count / 2:.0f} s')
  finished = lambda: sorted((place / 'killed').glob('p*.mp4'))
  for number in range(moments):
    before = len(finished())
    until = min(before + rng.randint(0, 2 * count // (moments + 2)), count - moments + number)
    running = subprocess.Popen(command(place / 'jobs.csv', place / 'killed'),
                               stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # fmt: skip
    while len(finished()) < until and running.poll() is None:
      time.sleep(0.01)
    time.sleep(rng.uniform(0, each))
    running.kill()
    ended = running.wait() == -signal.SIGKILL
    time.sleep(0.5)  # its processes end with it
    done = finished()
    whole = sum(small.unsigned(p) == small.unsigned(place / 'wanted' / p.name) for p in done)
    print(f'kill {number + 1}: {"" if ended else "came late, "}{len(done) - before} new, '
          f'{whole} of {len(done)} are whole', flush=True)  # fmt: skip
  timed([command(place / 'jobs.csv', place / 'killed')])
  wanted = sorted((place / 'wanted').glob('*'))
  same = [small.unsigned(p) == small.unsigned(place / 'killed' / p.name) for p in wanted
          if p.suffix == '.mp4']  # fmt: skip
  report = [(place / each / 'report.csv').read_bytes() for each in ('wanted', 'killed')]
  hidden = [p.name for p in (place / 'killed').glob('.*') if p.name != '.lock']
  states = {manifest.read(p)['state'] for p in (place / 'killed').glob('p*.mp4')}
  print(f'{np.sum(same)} of {len(same)} have the same bytes but for the manifest, the report '
        f'{"too" if report[0] == report[1] else "not"}; manifests {sorted(states)}; '
        f'left behind: {hidden or "nothing"}')  # fmt: skip


def main():
  words = argparse.ArgumentParser(description=__doc__)
  words.add_argument('--rounds', type=int, default=0)
  words.add_argument('--kills', type=int, default=0)
  words.add_argument('--seed', type=int, default=0)
  words.add_argument('--single', type=pathlib.Path)
  words.add_argument('--output', type=pathlib.Path)
  asked = words.parse_args()
  if asked.single:
    single(asked.single, asked.output)
    return
  with tempfile.TemporaryDirectory() as place:
    if asked.rounds:
      throughput(pathlib.Path(place), asked.rounds)
    if asked.kills:
      kills(pathlib.Path(place), asked.kills, asked.seed)


if __name__ == '__main__':
  main()
