import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from ifmdm_jax import errors
from ifmdm_jax.training import optim

PARAMS = {'enc': {'kernel': jnp.ones((3, 2))}, 'dec': {'kernel': jnp.ones((2, 3))}}


def make(steps=100, **given):
  config = ml_collections.ConfigDict({'optim': {'peak_lr': 0.1, 'clip_norm': 0.0, **given}})
  return optim.make(optim.settings(config), steps, PARAMS)


def first_update(tx, grads=None):
  grads = jax.tree.map(jnp.ones_like, PARAMS) if grads is None else grads
  return tx.update(grads, tx.init(PARAMS), PARAMS)[0]


def test_rate_warms_up_and_ends_where_it_is_reported():
  _, lr = make(warmup_steps=10, end_lr=0.02)
  rates = [float(lr(jnp.asarray(step))) for step in (0, 5, 10, 55, 100)]
  np.testing.assert_allclose(rates, [0.0, 0.05, 0.1, 0.06, 0.02], rtol=1e-5)
  _, constant = make(schedule='constant')
  assert float(constant(jnp.asarray(99))) == pytest.approx(0.1)


def test_frozen_parameters_stay_and_carry_no_moments():
  tx, _ = make(frozen_paths=('enc',))
  updates = first_update(tx)
  assert not updates['enc']['kernel'].any() and updates['dec']['kernel'].all()
  moments = [leaf for leaf in jax.tree.leaves(tx.init(PARAMS)) if leaf.ndim]
  assert [leaf.shape for leaf in moments] == [(2, 3)] * 2


def test_only_the_trainable_learn():
  updates = first_update(make(trainable=('dec/kernel',))[0])
  assert not updates['enc']['kernel'].any() and updates['dec']['kernel'].all()


def test_frozen_gradients_have_no_share_in_the_clipped_norm():
  grads = {'enc': {'kernel': jnp.full((3, 2), 1e6)}, 'dec': {'kernel': jnp.ones((2, 3))}}
  tx, _ = make(frozen_paths=('enc',), clip_norm=100.0, eps=1.0)  # eps 1: the size of g matters
  np.testing.assert_allclose(first_update(tx, grads)['dec']['kernel'], -0.05, rtol=1e-5)


def test_a_path_learns_at_its_own_rate():
  updates = first_update(make(lr_multipliers=(('enc', 0.25),))[0])
  np.testing.assert_allclose(updates['enc']['kernel'], 0.25 * updates['dec']['kernel'].T, rtol=1e-6)


def test_decay_spares_vectors():
  params = {'kernel': jnp.ones((2, 2)), 'bias': jnp.ones(2)}
  config = ml_collections.ConfigDict({'optim': {'peak_lr': 0.1, 'weight_decay': 0.5}})
  tx, _ = optim.make(optim.settings(config), 10, params)
  updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
  after = optax.apply_updates(params, updates)
  assert (after['kernel'] < 1).all() and (after['bias'] == 1).all()


@pytest.mark.parametrize(
  ('given', 'says'),
  [
    (dict(name='sgd'), "'adam', 'adamw' or 'radam'"),
    (dict(schedule='step'), "'cosine' or 'constant'"),
    (dict(lr=1.0), 'has no lr'),
    (dict(trainable=('head',)), "no parameter matches 'head'"),
    (dict(lr_multipliers=(('head', 0.1),)), "no parameter matches 'head'"),
  ],
)
def test_unknown_settings_are_reported(given, says):
  with pytest.raises(errors.InputError, match=says):
    make(**given)
