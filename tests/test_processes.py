"""Work in a process of its own: what kills it, and who it ends with."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ifmdm_jax import processes

posix = pytest.mark.skipif(os.name == 'nt', reason='Windows has no SIGKILL')


def made(factor):
  begun = []

  def work(item):
    if item == 'die':
      os.kill(os.getpid(), signal.SIGKILL)
    begun.append(item)
    return factor * item, len(begun), os.getpid()

  return work


@posix
def test_a_process_lives_on_and_what_kills_it_costs_one_call():
  worker = processes.Worker(made, 2)
  try:
    first, second = worker(3), worker(4)
    assert first[:2] == (6, 1) and second[:2] == (8, 2) and first[2] == second[2] != os.getpid()
    with pytest.raises(processes.Died) as died:
      worker('die')
    assert died.value.status == -signal.SIGKILL
    assert worker(5)[:2] == (10, 1)  # another one
  finally:
    worker.close()
  with pytest.raises(processes.Died):
    worker(6)  # none is started any more


@posix
def test_a_process_ends_with_its_parent():
  code = (
    'import os, signal\nfrom ifmdm_jax import processes\nfrom tests import test_processes\n'
    "if __name__ == '__main__':\n"
    '  print(processes.Worker(test_processes.made, 1)(1)[2], flush=True)\n'
    '  os.kill(os.getpid(), signal.SIGKILL)'
  )
  root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  env = {**os.environ, 'PYTHONPATH': root}
  # -c has no file that the process could import again, and needs none.
  said = subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, env=env)
  child, end = int(said.stdout), time.monotonic() + 20
  while time.monotonic() < end:
    try:
      os.kill(child, 0)
    except ProcessLookupError:
      return
    state = open(f'/proc/{child}/stat').read().split()[2] if os.path.exists('/proc') else ''
    if state == 'Z':  # ended, and nobody asks for its status
      return
    time.sleep(0.05)
  pytest.fail('it lives on')
