import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import errors, files, train
from ifmdm_jax.training import checkpoints, loop, weights
from tests.training import toy


def trained(tmp_path, **train):
  config = toy.get_config()
  config.train.update(steps=3, eval_every=0, pictures_every=0, **train)
  return config, loop.train(config, tmp_path)


@pytest.mark.parametrize('ema', [0.9, 0.0])
def test_sampling_loads_the_average_where_one_was_kept(tmp_path, ema):
  config, state = trained(tmp_path, ema=ema)
  loaded, params = checkpoints.load(tmp_path)
  expected = state.ema if ema else state.params
  jax.tree.map(np.testing.assert_array_equal, params, jax.device_get(expected))
  assert all(len(leaf.sharding.device_set) == 1 for leaf in jax.tree.leaves(params))
  assert loaded.model == config.model
  assert loaded.sharding == tuple(config.sharding)  # tuples, as written


def test_nothing_to_load_says_where_it_looked(tmp_path):
  with pytest.raises(errors.InputError, match=f'no checkpoint in {tmp_path}'):
    checkpoints.load(tmp_path)
  (tmp_path / 'checkpoints').mkdir()
  with pytest.raises(errors.InputError, match='no finished checkpoint'):
    checkpoints.load(tmp_path)


def test_a_workdir_without_average_does_not_resume_with_one(tmp_path):
  config, _ = trained(tmp_path, ema=0.0)
  config.train.ema = 0.9
  with pytest.raises(errors.InputError, match='without an average'):
    loop.train(config, tmp_path)


def test_a_run_killed_while_saving_goes_on_from_the_save_before(tmp_path):
  config, _ = trained(tmp_path)
  half = tmp_path / 'checkpoints' / '4.orbax-checkpoint-tmp'
  (half / 'state').mkdir(parents=True)
  config.train.steps = 4
  assert int(loop.train(config, tmp_path).step) == 4
  assert not half.exists() and checkpoints.load(tmp_path)[0].train.steps == 4


def test_only_the_latest_checkpoints_are_kept(tmp_path):
  trained(tmp_path, save_every_steps=1, keep=2)
  assert sorted(path.name for path in (tmp_path / 'checkpoints').glob('[0-9]*')) == ['2', '3']


def test_weights_are_taken_by_path_and_shape():
  ours = {'a': jnp.zeros(2), 'b': jnp.zeros(3), 'c': jnp.zeros(1)}
  given = {'a': jnp.ones(2), 'b': jnp.ones(4), 'd': jnp.ones(1)}
  params, left, unused = weights.take(ours, given)
  assert params['a'].tolist() == [1, 1] and params['b'].tolist() == [0, 0, 0]
  assert left == ['b', 'c'] and unused == ['b', 'd']


def test_weights_of_a_release_come_back_in_half_precision(tmp_path):
  params = {'a': {'kernel': jnp.full((2, 3), 0.1)}, 'b': {'bias': jnp.arange(4.0)}}
  weights.write(tmp_path / 'w.safetensors', params)
  back = files.read_arrays(tmp_path / 'w.safetensors')
  assert jax.tree.structure(back) == jax.tree.structure(params)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3), back, params)


def test_the_best_and_every_nth_stay_and_the_best_is_exported(tmp_path):
  config = toy.get_config()
  config.train.update(steps=6, pictures_every=0, eval_every=1, save_every_steps=1, keep=1)
  config.train.update(keep_every=4, keep_best='-loss')  # the worst: it is not the last
  loop.train(config, tmp_path)
  with (tmp_path / 'log.csv').open() as file:
    rows = [row for row in csv.DictReader(file) if row['name'] == 'val/loss']
  best = max(rows, key=lambda row: float(row['value']))['step']
  kept = {path.name for path in (tmp_path / 'checkpoints').glob('[0-9]*')}
  assert best != '6' and kept == {best, '4', '6'}

  _, params = checkpoints.load(tmp_path, best=True)
  path = tmp_path / 'out' / 'best.safetensors'
  train.export(tmp_path, str(path), best=True)
  exported = files.read_arrays(path)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=2e-3), exported, params)
  _, latest = checkpoints.load(tmp_path)
  assert np.abs(exported['inner']['kernel'] - latest['inner']['kernel']).max() > 4e-3


def test_a_name_that_no_validation_has_is_reported(tmp_path):
  config = toy.get_config()
  config.train.update(eval_every=1, pictures_every=0, keep_best='psnr')
  with pytest.raises(errors.InputError, match="keep_best is 'psnr', the validation gives loss, rm"):
    loop.train(config, tmp_path)


def test_only_what_matches_is_taken():
  ours = {'encoder': jnp.zeros(2), 'decoder': jnp.zeros(2)}
  given = {'encoder': jnp.ones(2), 'decoder': jnp.ones(2)}
  params, left, _ = weights.take(ours, given, patterns=('^enc',))
  assert params['encoder'].tolist() == [1, 1] and left == ['decoder']


def test_weights_are_taken_from_where_a_mapping_says():
  """A control copy begins with the way down of the network that it copies, and keeps its own."""
  leaf = lambda value: {'kernel': jnp.full(2, value)}
  ours = {'control': {'down': leaf(0.0), 'zero': leaf(0.0)}, 'base': {'down': leaf(0.0)}}
  given = {'base': {'down': leaf(1.0), 'up': leaf(2.0)}}
  params, left, unused = weights.take(ours, given, names=(('control/', 'base/'),))
  assert params['control']['down']['kernel'].tolist() == [1, 1]
  assert params['base']['down']['kernel'].tolist() == [1, 1]
  assert left == ['control/zero/kernel'] and unused == ['base/up/kernel']
  params, left, _ = weights.take(
    ours, given, patterns=('^control',), names=(('control/', 'base/'),)
  )
  assert left == ['base/down/kernel', 'control/zero/kernel']
