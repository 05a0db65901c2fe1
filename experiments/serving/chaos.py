"""What is left of clients that misbehave: tasks, files and memory of a server, and its answers?

  PYTHONPATH=. python experiments/serving/chaos.py --output experiments/serving

A tiny model is served by this process; clients are another one, see `tests/server/chaos.py`. Before
it begins, a tenth of the actions is done once, so that what is made only once is there. chaos.csv:

  second           since the beginning
  tasks, files     of the server's loop; that the process has opened
  rss_mb           memory
  sessions         places that are taken
  refused          answers so far that were refusals

chaos_answers.csv: how often each action ended how.
"""

import argparse
import asyncio
import csv
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

from ifmdm_jax import read
from tests import small_sampler
from tests.server import chaos, served

ROOT = pathlib.Path(__file__).parents[2]
LIMITS = dict(most=12, patience=5.0, joins=5.0, gone=5.0, keep=5.0)
SETTLE = 30.0  # seconds for places to be free again
EVERY = 5.0  # seconds between rows


def state(server, begun):
  """Measures a server: a row of chaos.csv."""

  async def tasks():
    return len(asyncio.all_tasks())

  pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])
  return {
    'second': round(time.monotonic() - begun, 1),
    'tasks': asyncio.run_coroutine_threadsafe(tasks(), server.loop).result(30),
    'files': len(os.listdir('/proc/self/fd')),
    'rss_mb': round(pages * resource.getpagesize() / 2**20, 1),
    'sessions': server.state.calls.taken,
    'refused': sum(server.state.metrics.refused.values()),
  }  # fmt: skip


def settle(server, begun):
  """Waits until all places are free; returns the row of then."""
  until = time.monotonic() + SETTLE
  while server.state.calls.taken and time.monotonic() < until:
    time.sleep(0.2)
  time.sleep(6)  # connections that idle are ended after five
  return state(server, begun)


def clients(server, begun, count, actions, seed, rows):
  """Lets clients of another process misbehave; returns what they saw."""
  command = [sys.executable, __file__, '--port', str(server.port), '--clients', str(count),
             '--actions', str(actions), '--seed', str(seed)]  # fmt: skip
  with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
    while process.poll() is None:
      time.sleep(EVERY)
      rows.append(state(server, begun))
    return json.loads(process.stdout.read())


def misbehave(args):
  """Is the clients' process: prints what they saw."""
  report = asyncio.run(chaos.misbehave(args.port, args.clients, args.actions, args.seed, stall=8.0))
  seen = [[action, outcome, count] for (action, outcome), count in sorted(report.seen.items())]
  print(json.dumps({'seen': seen, 'wrong': report.wrong}))


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--clients', type=int, default=50)
  parser.add_argument('--actions', type=int, default=200)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--output', type=pathlib.Path)
  parser.add_argument('--port', type=int, help='of a server: be the clients')
  args = parser.parse_args()
  if args.port:
    misbehave(args)
    return
  image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
  real, begun, rows = read.read_portrait, time.monotonic(), []

  def portrait(path, **options):  # noise has no face
    return image if pathlib.Path(path).name == 'anna.png' else real(path, **options)

  read.read_portrait = portrait
  sampler = small_sampler.sampler.__wrapped__()
  with tempfile.TemporaryDirectory() as folder:
    Image.fromarray(image).save(pathlib.Path(folder) / 'anna.png')
    with served.Server(sampler, folder, **LIMITS) as server:
      server.state.live.warm()
      clients(server, begun, args.clients, max(1, args.actions // 10), args.seed + 1, [])
      before, first = settle(server, begun), time.monotonic()
      rows.append(before)
      found = clients(server, begun, args.clients, args.actions, args.seed, rows)
      seconds, after = time.monotonic() - first, settle(server, begun)
      rows.append(after)
      failures = server.state.calls.counts['failures']
      status, _ = server.ask('GET', '/healthz')
  outcomes, wrong = sum(count for *_, count in found['seen']), found['wrong']
  print(f'{outcomes} outcomes in {seconds:.0f} s; healthz {status}, failures {failures}, wrong '
        f'answers {len(wrong)}')  # fmt: skip
  print(*wrong[:20], sep='\n')
  print(f'before {before}\nafter  {after}\nmemory at most {max(row["rss_mb"] for row in rows)} MB')
  if args.output:
    for name, lines in (('chaos.csv', rows), ('chaos_answers.csv', [
      dict(zip(('action', 'outcome', 'count'), each)) for each in found['seen']])):  # fmt: skip
      with open(args.output / name, 'w', newline='') as file:
        table = csv.DictWriter(file, list(lines[0]), lineterminator='\n')
        table.writeheader()
        table.writerows(lines)


if __name__ == '__main__':
  main()
