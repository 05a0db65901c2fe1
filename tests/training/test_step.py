import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ifmdm_jax.training import state as states
from ifmdm_jax.training import step as steps


def loss(params, batch, rng, *, config, step, frozen):
  del rng, config, frozen
  value = jnp.sum((params['w'] - batch) ** 2)
  return value, {'step': step.astype(jnp.float32)}


def one(batch):
  tx = optax.sgd(0.25)
  update = jax.jit(steps.from_loss(loss, tx, lambda _: 0.25, config=None, ema=0.9))
  state = states.create({'w': jnp.array([4.0])}, tx.init, ema=True)
  return state, *update(state, jnp.array([batch]), jax.random.key(0), None)


def test_a_step_goes_down_the_gradient_and_averages():
  _, new, metrics = one(2.0)
  np.testing.assert_allclose(new.params['w'], [3.0])  # 4 - 0.25 * 2 * (4 - 2)
  np.testing.assert_allclose(new.ema['w'], [3.1])  # first decay is 1/10
  assert int(new.step) == 1
  assert float(metrics['loss']) == 4.0 and float(metrics['grad_norm']) == 4.0


def test_a_step_that_is_not_finite_is_counted_and_changes_nothing():
  state, new, metrics = one(jnp.nan)
  assert not np.isfinite(metrics['loss']) and metrics['skipped'] == 1
  assert int(new.step) == 1  # the schedule and the data go on
  state, new = (dataclasses.replace(s, step=0) for s in (state, new))
  jax.tree.map(np.testing.assert_array_equal, state, new)
