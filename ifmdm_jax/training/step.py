"""One update: gradient, optimiser, average, and a guard against numbers that are not finite."""

import jax
import jax.numpy as jnp
import optax

from ifmdm_jax.training import state as states
from ifmdm_jax.training.gradient import value_and_grad


class NotFinite(ArithmeticError):
  """The loss or a gradient became NaN or infinite; the message is one line."""


def from_loss(loss, tx, lr, *, config, ema, ramp=True, gradient=value_and_grad):
  """Makes (state, batch, rng, frozen) -> (state, metrics) from a Trainable's `loss`.

  `gradient`: `value_and_grad` with the settings of the run.
  """

  def step(state, batch, rng, frozen):
    def objective(params, batch, rng, **extra):
      return loss(params, batch, rng, config=config, step=state.step, frozen=frozen, **extra)

    extra = {} if state.extra is None else {'extra': state.extra}
    (value, aux), grads = gradient(objective)(state.params, batch, rng, **extra)
    metrics, after = aux if extra else (aux, None)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    new = states.TrainState(
      step=state.step + 1,
      params=params,
      opt_state=opt_state,
      ema=states.update_ema(state.ema, params, state.step, ema, ramp),
      extra=after,
    )
    own = dict(loss=value, grad_norm=optax.global_norm(grads), lr=jnp.asarray(lr(state.step)))
    return new, {**metrics, **own}

  return guarded(step)


def from_adversary(
  module_step, optimizers, *, config, ema, ramp=True, gradient=value_and_grad, lr=None
):
  """Makes an update from an Adversarial's own `step`; counting and averaging stay here.

  `lr`, a number, is logged where there is one; the optimisers are the module's own.
  """

  def step(state, batch, rng, frozen):
    new, metrics = module_step(
      state, batch, rng, config=config, frozen=frozen, optimizers=optimizers, gradient=gradient
    )
    average = states.update_ema(state.ema, new.params, state.step, ema, ramp)
    own = {} if lr is None else {'lr': jnp.asarray(lr, jnp.float32)}
    return new.replace(step=state.step + 1, ema=average), {**metrics, **own}

  return guarded(step)


def guarded(step):
  """Makes an update that counts the step and changes nothing where a metric is not finite.

  So what is saved is never poisoned, and a run that goes on (config.train.skip_not_finite) passes
  over the batch. The norm of each gradient is among the metrics, and tells of any bad entry.
  """

  def safe(state, batch, rng, frozen):
    new, metrics = step(state, batch, rng, frozen)
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(value)) for value in metrics.values()]))
    state = state.replace(step=new.step)
    kept = jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, state)
    return kept, {**metrics, 'skipped': 1.0 - finite.astype(jnp.float32)}

  return safe
