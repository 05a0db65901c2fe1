"""Configs and folders that cannot be trained: one line before anything is computed."""

import json

import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.configs import motion as motion_configs
from ifmdm_jax.errors import InputError
from ifmdm_jax.training import data, loop, plan, program
from tests.training import toy

NUMBERS = [
  ('train.batch', 10**9), ('train.batch', 0), ('train.batch', -1), ('train.batch', 1.5),
  ('train.seed', -1), ('train.seed', 10**20), ('train.steps', -1), ('train.pieces', 0),
  ('train.ema', float('nan')), ('train.eval_batches', -1), ('train.unknown', 1),
]  # fmt: skip
SIZES = [
  ('model.width', 0), ('model.width', -1), ('model.width', 33), ('model.heads', 0),
  ('model.heads', 3), ('model.frames', 0), ('model.frames', -1), ('model.timesteps', 0),
  ('model.timesteps', -1), ('mesh.fsdp', 0), ('mesh.fsdp', -1), ('mesh.data', 7),
  ('model.module', ''), ('model.module', 'os'),
  ('model.module', 'no.such'), ('model.module', '../x'), ('optim.name', 'x'),
  ('optim.trainable', ('[',)), ('optim.frozen_paths', ('nothing',)),
]  # fmt: skip


def changed(config, name, value):
  section, last = name.split('.')
  with config.unlocked():
    config[section] = {**config.get(section, {}), last: value}
  return config


@pytest.mark.parametrize(('name', 'value'), NUMBERS, ids=str)
def test_a_number_that_cannot_be_is_refused(tmp_path, name, value):
  with pytest.raises(InputError):
    loop.train(changed(toy.get_config(), name, value), tmp_path / 'run')


@pytest.mark.parametrize(('name', 'value'), SIZES, ids=str)
def test_sizes_that_do_not_fit_each_other_are_one_line(name, value):
  config = changed(motion_configs.get_config('tiny'), name, value)
  with pytest.raises(InputError) as caught:
    plan.dry_run(config, program.jax.devices()[:1])
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(('name', 'value'), [
  ('model.motion_dim', 19), ('model.audio_width', 11), ('model.motion_dim', 0), ('data.frames', 0),
  ('data.licence', '['),  ('data.cache', 'no/such'),
], ids=str)  # fmt: skip
def test_a_config_that_does_not_fit_its_data_is_one_line(drawn_set, tmp_path, name, value):
  config = motion_configs.get_config('tiny')
  config.data.cache = str(drawn_set)
  config.model.audio_width, config.model.normalizer = 12, ''
  with pytest.raises(InputError):
    loop.train(changed(config, name, value), tmp_path / 'run')


def test_a_batch_is_measured_before_it_is_collected():
  asked = []

  def make_loader(*, batch, split):
    asked.append(batch)
    return iter([{'x': np.zeros((batch, 1000, 1000), np.float32)}])

  data.check_size(make_loader, 64)
  with pytest.raises(InputError, match='too much for the memory'):
    data.check_size(make_loader, 10**9)
  assert asked == [1]


def test_a_workdir_that_is_a_file_is_one_line(tmp_path):
  (tmp_path / 'file').write_text('')
  for place in ('file', 'file/run', 'x' * 300):
    with pytest.raises(InputError, match='a folder for the run'):
      loop.train(toy.get_config(), tmp_path / place)


def test_a_million_devices_are_not_made():
  with pytest.raises(InputError, match='4096 at most'):
    plan.pretend(10**6)


def test_damaged_weights_to_start_from_are_one_line(tmp_path):
  (tmp_path / 'x.safetensors').write_bytes(b'\xff' * 100)
  with pytest.raises(InputError, match='x.safetensors'):
    loop.train(toy.get_config(), tmp_path / 'run', init_from=str(tmp_path / 'x.safetensors'))


def test_where_nobody_is_held_out_it_is_said_at_the_start_and_training_goes_on(
  tmp_path, monkeypatch, capsys
):
  """Three people of one's own: none of twenty is held out."""
  full = toy.make_loader

  def make_loader(config, *, split, **options):
    return iter(()) if split == 'val' else full(config, split=split, **options)

  monkeypatch.setattr(toy, 'make_loader', make_loader)
  config = toy.get_config()
  state = loop.train(config, tmp_path)
  assert int(state.step) == config.train.steps
  said = capsys.readouterr().out
  assert said.index('nobody is held out') < said.index('parameters on')
  assert 'val/' not in (tmp_path / 'log.csv').read_text()


def test_a_set_of_one_person_trains(tmp_path, capsys):
  folder = testing.write_cache(tmp_path / 'set', people=2, num_frames=20)
  index = folder / 'motion' / 'index.json'
  index.write_text(index.read_text().replace('"val"', '"train"'))
  for path in folder.rglob('*-val.*'):
    path.rename(path.with_name(path.name.replace('-val.', '-unused.')))
  entries = [each for each in json.loads(index.read_text()) if each['name'] == 'clip0']
  index.write_text(json.dumps(entries))
  config = motion_configs.get_config('tiny')
  config.data.cache, config.data.frames = str(folder), 9
  config.model.audio_width, config.model.frames, config.model.normalizer = 12, 8, ''
  config.train.update(steps=1, batch=2, eval_every=1, pictures_every=0, videos_every=0)
  loop.train(config, tmp_path / 'run', devices=program.jax.devices()[:1])
  assert 'nobody is held out' in capsys.readouterr().out
