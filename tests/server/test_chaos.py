"""Clients that misbehave: the server stays up, says why not, and nothing of them is left."""

import asyncio
import os
import time

import pytest

websockets = pytest.importorskip('websockets', reason='needs websockets')
from tests.server import chaos  # noqa: E402  it needs the extra

LIMITS = dict(most=3, patience=2.0, joins=2.0, gone=2.0, keep=1.0, upload=2**20)
PLACES = 20.0  # seconds in which all of them are free again


def held(served):
  """Counts what a server holds: its tasks, and the files of the process where that is told."""

  async def tasks():
    return len(asyncio.all_tasks())

  found = asyncio.run_coroutine_threadsafe(tasks(), served.loop).result(10)
  folder = '/proc/self/fd'
  return found, len(os.listdir(folder)) if os.path.exists(folder) else 0


def settled(served, before):
  """What it holds once it holds no more than before, or when the time is over."""
  until = time.monotonic() + PLACES
  while True:
    now, taken = held(served), served.state.calls.taken
    if time.monotonic() > until or not taken and all(n <= b for n, b in zip(now, before)):
      return (*now, taken)
    time.sleep(0.2)


@pytest.mark.parametrize('seed', [0, 1])
def test_nothing_is_left_of_clients_that_misbehave(serve, seed):
  served = serve(**LIMITS)
  served.ask('GET', '/healthz')
  time.sleep(0.2)
  before = held(served)
  report = asyncio.run(chaos.misbehave(served.port, 6, 12, seed, webrtc=False, oversized=2**21))
  assert not report.wrong
  assert sum(report.seen.values()) >= 60
  assert {'live', 'realtime', 'garbage', 'half', 'look'} <= {action for action, _ in report.seen}
  tasks, files, taken = settled(served, before)
  assert taken == 0 and tasks <= before[0] and files <= before[1]
  assert served.state.calls.counts['failures'] == 0
  status, said = served.ask('GET', '/healthz')
  assert status == 200 and said['status'] == 'ok'
