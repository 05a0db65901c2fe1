"""What goes wrong in long runs: each ends in a clear message, or heals itself as documented."""

import errno
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from ifmdm_jax.training import checkpoints, data, loop
from tests.training import toy
from tests.training.test_loop import assert_same_bits

ROOT = pathlib.Path(__file__).resolve().parents[2]


def config_of(**train):
  config = toy.get_config()
  config.train.update(eval_every=0, pictures_every=0, **train)
  return config


def test_a_gradient_that_is_not_finite_stops_before_it_does_harm(tmp_path):
  config = config_of()
  config.model.poison_at = 6  # the loss itself is finite
  with pytest.raises(loop.NotFinite, match='not finite at step 6: grad_norm = .*step 4 is saved'):
    loop.train(config, tmp_path)
  _, params = checkpoints.load(tmp_path)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_a_run_may_leave_such_updates_out(tmp_path, capsys):
  config = config_of(skip_not_finite=1)
  config.model.poison_at = 6
  state = loop.train(config, tmp_path)
  assert int(state.step) == config.train.steps
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
  assert 'not finite at step 6' in (out := capsys.readouterr().out)
  assert 'update left out, 1 of 1 in a row' in out


def full_disk(monkeypatch, times):
  """The next saves fail as on a full disk."""
  left, save = [times], checkpoints.ocp.CheckpointManager.save

  def fails(self, step, *args, **kwargs):
    if left[0]:
      left[0] -= 1
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return save(self, step, *args, **kwargs)

  monkeypatch.setattr(checkpoints.ocp.CheckpointManager, 'save', fails)


def test_a_full_disk_is_reported_and_the_next_save_tries_again(tmp_path, monkeypatch, capsys):
  full_disk(monkeypatch, times=2)
  loop.train(config_of(), tmp_path)
  out = capsys.readouterr().out
  assert 'step 8 could not be saved (OSError: [Errno 28] No space left on device)' in out
  assert 'the next save tries again' in out
  assert checkpoints.load(tmp_path)[0].train.steps == 12


def test_what_else_went_wrong_in_a_save_is_not_the_next_ones_fault(tmp_path, monkeypatch, capsys):
  """Orbax writes in many threads, and raises what one of them met when it is asked to save next."""
  save = checkpoints.ocp.CheckpointManager.save

  def hands_on(self, step, *args, **kwargs):
    self.failed = getattr(self, 'failed', False) or step == 4
    if self.failed:
      (self.directory / f'{step}{checkpoints.HALF[1:-1]}').mkdir()
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return save(self, step, *args, **kwargs)

  monkeypatch.setattr(checkpoints.ocp.CheckpointManager, 'save', hands_on)
  loop.train(config_of(), tmp_path)
  assert capsys.readouterr().out.count('could not be saved') == 1
  saved = {path.name for path in (tmp_path / checkpoints.FOLDER).iterdir()}
  assert saved == {'8', '12'}  # and no half one


def test_a_disk_that_stays_full_ends_in_one_line(tmp_path, monkeypatch):
  config = config_of(steps=4)
  loop.train(config, tmp_path)
  full_disk(monkeypatch, times=99)
  config.train.steps = 6
  with pytest.raises(checkpoints.CannotSave, match='step 6 could not.*step 4 is saved') as caught:
    loop.train(config, tmp_path)
  assert '\n' not in str(caught.value)


def truncate(checkpoint):
  """The largest file loses its second half."""
  files = [path for path in checkpoint.rglob('*') if path.is_file()]
  largest = max(files, key=lambda path: path.stat().st_size)
  os.truncate(largest, largest.stat().st_size // 2)


def garble(checkpoint):
  (checkpoint / 'meta' / 'metadata').write_text('{"conf')


@pytest.mark.parametrize('damage', [truncate, garble])
def test_a_corrupt_checkpoint_is_set_aside_for_the_one_before(tmp_path, damage, capsys):
  config = config_of()
  whole = loop.train(config, tmp_path)
  damage(tmp_path / 'checkpoints' / '12')
  assert checkpoints.load(tmp_path)[1]  # sampling reads the one before
  again = loop.train(config, tmp_path)
  out = capsys.readouterr().out
  assert 'the checkpoint of step 12 cannot be read' in out and 'at step 8' in out
  assert (tmp_path / 'corrupt' / '12').is_dir()
  assert_same_bits(whole, again)


def test_data_that_vanish_are_reported_and_nothing_is_lost(tmp_path):
  config = config_of(save_every_steps=0)
  whole = loop.train(config, tmp_path / 'whole')
  config.data.vanish_at = 7 * config.train.batch
  with pytest.raises(data.DataLost, match='shard-00003.*bring it back.*step [1-7] is saved'):
    loop.train(config, tmp_path / 'run')
  config.data.vanish_at = -1
  assert_same_bits(whole, loop.train(config, tmp_path / 'run'))


def test_kill_9_loses_only_the_steps_since_the_checkpoint(tmp_path):
  config = config_of(steps=24, save_every_steps=3, log_every=1)
  whole = loop.train(config, tmp_path / 'whole')
  overrides = [f'--config.train.{name}={config.train[name]}' for name in ('steps', 'log_every')]
  overrides += ['--config.train.eval_every=0', '--config.train.pictures_every=0']
  command = [sys.executable, '-m', 'ifmdm_jax.train', '--config', 'tests/training/toy.py']
  command += ['--workdir', str(tmp_path / 'run'), '--config.train.save_every_steps=3', *overrides]
  env = {**os.environ, 'PYTHONPATH': str(ROOT)}
  process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
  folder, deadline = tmp_path / 'run' / 'checkpoints', time.monotonic() + 300
  while not list(folder.glob('[0-9]*')):  # at the first sign of one, written or being written
    assert process.poll() is None and time.monotonic() < deadline
    time.sleep(0.01)
  process.send_signal(signal.SIGKILL)
  process.wait()
  assert_same_bits(whole, loop.train(config, tmp_path / 'run'))
