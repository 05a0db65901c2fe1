"""State that is not trained goes everywhere that parameters go, and is averaged nowhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import errors
from ifmdm_jax.training import checkpoints, loop
from ifmdm_jax.training.gradient import value_and_grad
from tests.training import toy, toy_state
from tests.training.test_loop import assert_same_bits


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('whole')
  return loop.train(toy_state.get_config(), workdir), workdir


def test_a_run_with_state_goes_on_bit_for_bit(whole, tmp_path):
  config = toy_state.get_config()
  for _ in range(2):  # one step each
    loop.train(config, tmp_path, max_minutes=0)
  pieces = loop.train(config, tmp_path)
  assert int(pieces.step) == config.train.steps
  assert_same_bits(whole[0], pieces)


def test_state_moves_is_spread_over_devices_and_is_loaded_as_it_was(whole):
  state, workdir = whole
  before = toy_state.init_extra(jax.random.key(3, impl='rbg'), None)
  moved = jax.tree.map(lambda a, b: np.abs(np.asarray(a) - b).max() > 0, before, state.extra)
  assert all(jax.tree.leaves(moved))
  assert state.extra['codebook']['quantizer']['sums'].sharding.mesh.shape['fsdp'] == 2
  assert_same_bits(checkpoints.load_extra(workdir), jax.device_get(state.extra))
  assert_same_bits(checkpoints.load(workdir)[1], jax.device_get(state.ema))  # no extra in it
  assert jax.tree.structure(state.ema) == jax.tree.structure(state.params)


def test_many_devices_agree_with_one(whole, tmp_path):
  config = toy_state.get_config()
  config.mesh = dict(data=-1)
  one = loop.train(config, tmp_path, devices=jax.devices()[:1])
  same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
  jax.tree.map(same, jax.device_get(whole[0]), jax.device_get(one))


def test_a_step_that_is_not_finite_leaves_the_state_as_it_was(tmp_path):
  config = toy_state.get_config()
  config.train.update(steps=2, eval_every=0, skip_not_finite=5)
  config.optim.peak_lr = float('nan')  # the update's, not the loss's: the next loss is not finite
  state = loop.train(config, tmp_path)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.device_get(state.extra)))


def test_a_new_run_takes_state_with_the_weights(whole, tmp_path):
  config = toy_state.get_config()
  config.train.update(steps=1, eval_every=0)
  config.optim.peak_lr = config.optim.weight_decay = 0.0
  state = loop.train(config, tmp_path, init_from=whole[1])
  counts = lambda extra: np.asarray(extra['codebook']['quantizer']['counts'])
  # 0.8 of what was, and 0.2 of the 8 rows of a step.
  np.testing.assert_allclose(counts(state.extra).sum(), 0.8 * counts(whole[0].extra).sum() + 1.6)


def test_a_workdir_of_a_model_without_state_is_reported(tmp_path):
  config = toy.get_config()
  config.train.update(steps=1, eval_every=0, pictures_every=0)
  loop.train(config, tmp_path)
  config.model = toy_state.get_config().model
  with pytest.raises(errors.InputError, match='another model'):
    loop.train(config, tmp_path)


def test_pieces_of_a_batch_hand_the_state_on():
  def loss(params, batch, rng, *, extra):
    del rng
    mean = batch.mean()
    return params['w'] * mean, ({'seen': extra['sum']}, {'sum': extra['sum'] + mean})

  batch, extra = jnp.arange(8.0), {'sum': jnp.float32(0)}
  params = {'w': jnp.float32(2)}
  run = jax.jit(value_and_grad(loss, pieces=4))
  (value, (metrics, after)), grads = run(params, batch, jax.random.key(0), extra=extra)
  # Rows i * 4 + j make piece j: means 2, 3, 4, 5.
  assert float(after['sum']) == 14.0 and float(metrics['seen']) == (0 + 2 + 5 + 9) / 4
  assert float(value) == 7.0 and float(grads['w']) == 3.5


def test_state_stays_float32_in_half_precision_and_in_pieces(tmp_path):
  config = toy_state.get_config()
  config.train.update(steps=2, eval_every=0, compute='bfloat16', pieces=2)
  state = jax.device_get(loop.train(config, tmp_path))
  assert {leaf.dtype for leaf in jax.tree.leaves(state.extra)} == {np.dtype('float32')}
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.extra))
