"""What a run promises, on a toy of 72 numbers and four virtual devices."""

import csv
import functools
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from ifmdm_jax import compile_cache, errors
from ifmdm_jax.training import checkpoints, loop
from tests.training import toy, toy_adversary

ROOT = pathlib.Path(__file__).resolve().parents[2]


def figures(workdir):
  """{(step, name): value} of log.csv, without the ones that measure time."""
  with (workdir / 'log.csv').open() as file:
    rows = list(csv.DictReader(file))
  clocks = ('steps_per_s', 'samples_per_s', 'data_wait', 'mfu')
  return {
    (row['step'], row['name']): row['value'] for row in rows if not row['name'].endswith(clocks)
  }


def assert_same_bits(one, other):
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(one), jax.device_get(other))


@pytest.mark.parametrize('model', [toy, toy_adversary])
def test_resumed_equals_uninterrupted(tmp_path, model):
  config = model.get_config()
  whole = loop.train(config, tmp_path / 'whole')
  for _ in range(2):  # one step each
    loop.train(config, tmp_path / 'pieces', max_minutes=0)
  pieces = loop.train(config, tmp_path / 'pieces')
  assert int(pieces.step) == config.train.steps
  assert_same_bits(whole, pieces)


def test_a_run_that_died_repeats_the_steps_since_its_checkpoint(tmp_path):
  config = toy.get_config()
  whole = loop.train(config, tmp_path / 'whole')
  dying = config.copy_and_resolve_references()
  dying.model.explode_at = 6  # after the checkpoint of step 4
  with pytest.raises(loop.NotFinite):
    loop.train(dying, tmp_path / 'died')
  assert_same_bits(whole, loop.train(config, tmp_path / 'died'))
  assert figures(tmp_path / 'whole') == figures(tmp_path / 'died')


def test_not_finite_loss_stops_in_one_line_and_is_never_saved(tmp_path):
  config = toy.get_config()
  config.model.explode_at = 7  # the step whose result would be saved as step 8
  with pytest.raises(loop.NotFinite, match=r'not finite at step 7: loss = nan') as caught:
    loop.train(config, tmp_path)
  assert '\n' not in str(caught.value) and 'step 4 is saved' in str(caught.value)
  _, params = checkpoints.load(tmp_path)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_many_devices_agree_with_one(tmp_path):
  config = toy.get_config()
  assert jax.device_count() == 4
  many = jax.device_get(loop.train(config, tmp_path / 'many'))
  one = jax.device_get(loop.train(config, tmp_path / 'one', devices=jax.devices()[:1]))
  # Means over 4 x 2 rows and over 8 rows round differently; Adam carries that over 12 steps.
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), one, many)


def test_training_learns_and_tells(tmp_path, capsys):
  config = toy.get_config()
  config.train.update(steps=60, log_every=20, eval_every=30, pictures_every=30, save_every_steps=0)
  config.train.seed = 0
  config.optim.peak_lr = 5e-2
  loop.train(config, tmp_path)
  found = figures(tmp_path)
  assert float(found['60', 'val/loss']) < 0.3 * float(found['20', 'train/loss'])
  assert {'train/grad_norm', 'train/lr', 'val/rmse'} <= {name for _, name in found}
  assert (tmp_path / 'pictures' / 'fit.png').stat().st_size > 0
  assert list((tmp_path / 'tensorboard').iterdir())
  assert 'step 60/60' in capsys.readouterr().out


def events(folder):
  """{tag: kind} of TensorBoard's files: records of length, check, event, check."""
  from tensorboardX.proto.event_pb2 import Event

  found = {}
  for file in folder.iterdir():
    data, at = file.read_bytes(), 0
    while at < len(data):
      length = int.from_bytes(data[at : at + 8], 'little')
      event = Event.FromString(data[at + 12 : at + 12 + length])
      found.update({value.tag: value.WhichOneof('value') for value in event.summary.value})
      at += length + 16
  return found


def test_what_people_watch_is_on_the_board_and_videos_have_sound(tmp_path):
  from ifmdm_jax.video import read

  config = toy.get_config()
  config.model.rmse_weight = 2.0
  config.preview = dict(module='tests.training.toy')
  config.train.update(steps=6, eval_every=6, videos_every=6, peak_tflops=1e-3)
  loop.train(config, tmp_path)
  shown = events(tmp_path / 'tensorboard')
  speed = {f'train/{name}' for name in ('samples_per_s', 'mfu', 'data_wait', 'lr', 'grad_norm')}
  terms = {'train/loss', 'train/rmse', 'train/weighted/rmse', 'val/loss'}
  assert {name for name, kind in shown.items() if kind == 'simple_value'} >= speed | terms
  assert shown['fit'] == 'image' and shown['codes'] == 'histo'
  video = tmp_path / 'videos' / '0000006' / 'grey.mp4'
  assert len(read.read_frames(video)) == 12 and np.abs(read.audio(video)).max() > 0.1


def test_a_restart_compiles_no_step_anew(tmp_path, monkeypatch):
  monkeypatch.delenv('JAX_COMPILATION_CACHE_DIR')
  before = jax.config.jax_compilation_cache_dir
  cache, config = tmp_path / 'cache', toy.get_config()
  config.train.update(steps=2, eval_every=0, pictures_every=0)
  try:
    compilation_cache.reset_cache()
    cache = compile_cache.keep(cache)
    loop.train(config, tmp_path / 'run', max_minutes=0)  # one step
    written = {path.name for path in cache.glob('jit_safe*')}  # the guarded update
    assert written
    jax.clear_caches()  # as a new process has none
    assert int(loop.train(config, tmp_path / 'run').step) == 2
    assert {path.name for path in cache.glob('jit_safe*')} == written
  finally:
    jax.config.update('jax_compilation_cache_dir', before)
    monkeypatch.setattr(compile_cache, '_kept', None)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)  # as in conftest.py
    compilation_cache.reset_cache()


def test_a_new_run_starts_from_the_weights_of_another(tmp_path, capsys):
  config = toy.get_config()
  loop.train(config, tmp_path / 'first')
  _, given = checkpoints.load(tmp_path / 'first')
  config.optim.peak_lr = 0.0  # so that the weights stay as they came
  config.optim.weight_decay = 0.0
  state = loop.train(config, tmp_path / 'second', init_from=tmp_path / 'first')
  assert_same_bits(given, state.params)
  config.model.width = 16  # only the shapes that do not depend on it fit: none here
  with pytest.raises(errors.InputError, match='not one parameter fits'):
    loop.train(config, tmp_path / 'third', init_from=tmp_path / 'first')


@pytest.mark.parametrize(
  ('change', 'says'),
  [
    ({'train.batch': 6}, 'multiple of the 4 devices'),
    ({'train.epochs': 3}, 'config.train has no epochs'),
    ({'optim.frozen_paths': ('decoder',)}, 'no parameter matches'),
    ({'mesh.data': 3}, 'does not fit 4 devices'),
    ({'data.module': 'no.such.loader'}, 'no.such.loader'),
  ],
)
def test_a_config_that_cannot_work_is_reported_before_the_first_step(tmp_path, change, says):
  config = toy.get_config()
  config.update_from_flattened_dict(change)
  with pytest.raises(errors.InputError, match=says):
    loop.train(config, tmp_path)


def test_another_model_in_the_workdir_is_reported(tmp_path):
  config = toy.get_config()
  config.train.steps = 1
  loop.train(config, tmp_path)
  config.model.width = 16
  with pytest.raises(errors.InputError, match='another model.*--init_from'):
    loop.train(config, tmp_path)


def test_sigterm_leaves_a_checkpoint(tmp_path):
  arguments = ['--config', 'tests/training/toy.py', '--workdir', str(tmp_path)]
  arguments += ['--config.train.steps=1000000', '--config.train.save_every_steps=0']
  process = subprocess.Popen(
    [sys.executable, '-m', 'ifmdm_jax.train', *arguments],
    cwd=ROOT, env={**os.environ, 'PYTHONPATH': str(ROOT)}, text=True,
    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
  )  # fmt: skip
  try:
    log, deadline = tmp_path / 'log.csv', time.monotonic() + 180
    while not (log.exists() and 'train/loss' in log.read_text()):
      assert process.poll() is None and time.monotonic() < deadline, process.communicate()
      time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=180)
  finally:
    process.kill()
  assert process.returncode == 0, err
  assert 'SIGTERM: saved step' in out
  config, _ = checkpoints.load(tmp_path)
  assert config.train.steps == 1_000_000
