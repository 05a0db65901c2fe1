"""One update: gradient, optimiser, average, and a guard against numbers that are not finite."""

import jax
import jax.numpy as jnp
import optax

from ifmdm_jax.training import state as states


def from_loss(loss, tx, lr, *, config, ema):
  """(state, batch, rng, frozen) -> (state, metrics) from a Trainable's `loss`."""

  def step(state, batch, rng, frozen):
    def objective(params):
      return loss(params, batch, rng, config=config, step=state.step, frozen=frozen)

    (value, metrics), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    new = states.TrainState(
      step=state.step + 1,
      params=params,
      opt_state=opt_state,
      ema=states.update_ema(state.ema, params, state.step, ema),
    )
    own = dict(loss=value, grad_norm=optax.global_norm(grads), lr=jnp.asarray(lr(state.step)))
    return new, {**metrics, **own}

  return guarded(step)


def from_adversary(module_step, optimizers, *, config, ema):
  """The same from an adversarial module's own `step`; counting and averaging stay here."""

  def step(state, batch, rng, frozen):
    new, metrics = module_step(
      state, batch, rng, config=config, frozen=frozen, optimizers=optimizers
    )
    average = states.update_ema(state.ema, new.params, state.step, ema)
    return new.replace(step=state.step + 1, ema=average), metrics

  return guarded(step)


def guarded(step):
  """Where a metric is not finite the state stays as it was, so what is saved is never poisoned."""

  def safe(state, batch, rng, frozen):
    new, metrics = step(state, batch, rng, frozen)
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(value)) for value in metrics.values()]))
    return jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, state), metrics

  return safe
