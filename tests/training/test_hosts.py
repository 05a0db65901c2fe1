"""Several processes train as one, stop as one, and hand over to another number of processes."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from ifmdm_jax import errors
from ifmdm_jax.training import hosts, loop
from tests.training import toy
from tests.training.test_loop import figures

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Sums over 8 rows are taken in another order when they are spread over 1, 4 + 4 or 8 devices: the
# last bits of float32 differ, and Adam divides by small numbers for 12 steps.
TOLERANCE = dict(rtol=1e-4, atol=1e-6)


def start(workdir, devices, *arguments):
  """One process of `python -m ifmdm_jax.train` on the toy, with virtual CPU devices."""
  flags = f'--xla_force_host_platform_device_count={devices}'
  env = {**os.environ, 'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': flags}
  command = [sys.executable, '-m', 'ifmdm_jax.train', '--config', 'tests/training/toy.py']
  command += ['--workdir', str(workdir), *arguments]
  pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
  return subprocess.Popen(command, cwd=ROOT, env=env, **pipes)


def start_two(workdir, *arguments):
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  join = ['--coordinator', f'localhost:{port}', '--processes', '2', '--process_index']
  return [start(workdir, 4, *arguments, *join, str(index)) for index in range(2)]


def finish(processes, seconds=600):
  try:
    said = [process.communicate(timeout=seconds) for process in processes]
  finally:
    for process in processes:
      process.kill()
  for process, (_, err) in zip(processes, said, strict=True):
    assert process.returncode == 0, err
  return [out for out, _ in said]


def losses(workdir):
  found = figures(workdir)
  return {key: float(value) for key, value in found.items() if key[1].endswith('/loss')}


def assert_same_losses(one, other):
  one, other = losses(one), losses(other)
  assert one.keys() == other.keys() and len(one) >= 5
  for key, loss in one.items():
    np.testing.assert_allclose(loss, other[key], **TOLERANCE, err_msg=str(key))


def test_two_processes_of_four_devices_are_one_of_eight_and_one_of_one(tmp_path):
  processes = [*start_two(tmp_path / '2x4'), start(tmp_path / '1x8', 8)]
  config = toy.get_config()
  loop.train(config, tmp_path / '1x1', devices=jax.devices()[:1])
  out = finish(processes)
  assert 'on 8 x cpu' in out[0] and 'parameters' not in out[1]  # said once
  assert_same_losses(tmp_path / '2x4', tmp_path / '1x1')
  assert_same_losses(tmp_path / '1x8', tmp_path / '1x1')


def test_a_signal_to_one_process_stops_both_and_four_devices_go_on(tmp_path):
  train = dict(steps=4000, log_every=1, eval_every=0, pictures_every=0)
  flags = [f'--config.train.{name}={value}' for name, value in train.items()]
  processes = start_two(tmp_path / 'run', *flags)
  log, deadline = tmp_path / 'run' / 'log.csv', time.monotonic() + 300
  while not (log.exists() and 'train/loss' in log.read_text()):
    assert all(process.poll() is None for process in processes), finish(processes)
    assert time.monotonic() < deadline
    time.sleep(0.05)
  processes[1].send_signal(signal.SIGTERM)
  out = finish(processes)
  assert 'another process stops: saved step' in out[0]
  stopped = max(int(path.name) for path in (tmp_path / 'run' / 'checkpoints').glob('[0-9]*'))

  config = toy.get_config()
  config.train.update(train)
  config.mesh = dict(data=2, fsdp=2)
  config.sharding = [('kernel', (None, 'fsdp'))]
  assert int(loop.train(config, tmp_path / 'run', max_minutes=0).step) == stopped + 1
  found = losses(tmp_path / 'run')
  assert (str(stopped + 1), 'train/loss') in found  # goes on, and is not far from where it was
  assert found[str(stopped + 1), 'train/loss'] < 3 * found['1', 'train/loss']


@pytest.mark.parametrize(
  ('environ', 'found'),
  [
    ({}, ''),
    ({'SLURM_STEP_NUM_TASKS': '4', 'SLURM_LOCALID': '1'}, 'slurm'),
    ({'SLURM_STEP_NUM_TASKS': '1', 'SLURM_LOCALID': '0'}, ''),  # an interactive job
    ({'TPU_WORKER_HOSTNAMES': 'a,b'}, 'tpu'),
    ({'TPU_WORKER_HOSTNAMES': 'localhost'}, ''),
    ({'MEGASCALE_COORDINATOR_ADDRESS': 'a:1'}, 'tpu'),
    ({'KUBERNETES_SERVICE_HOST': 'a', 'JOB_COMPLETION_INDEX': '0'}, 'kubernetes'),
    ({'KUBERNETES_SERVICE_HOST': 'a'}, ''),  # a notebook in a pod
  ],
)
def test_a_cluster_is_recognised_by_its_environment(environ, found):
  assert hosts.cluster(environ) == found


def test_half_an_address_is_reported():
  with pytest.raises(errors.InputError, match='--coordinator HOST:PORT, --processes N'):
    hosts.connect(coordinator='localhost:1')
