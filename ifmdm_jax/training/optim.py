"""config.optim -> an optax transformation: schedule, clipping, and who learns how fast."""

import re

import jax
import jax.numpy as jnp
import ml_collections
import optax

from ifmdm_jax import errors
from ifmdm_jax.training import state as states

DEFAULTS = dict(
  name='adamw',  # or 'adam' or 'radam'
  peak_lr=1e-4,
  end_lr=0.0,  # where the cosine ends
  warmup_steps=0,
  schedule='cosine',  # over train.steps, or 'constant'
  b1=0.9,
  b2=0.999,
  eps=1e-8,
  weight_decay=0.0,  # on matrices and kernels only
  clip_norm=1.0,  # of the whole gradient; 0: none
  trainable=(),  # patterns; empty: everything
  frozen_paths=(),  # patterns, taken away from the above
  lr_multipliers=(),  # (pattern, factor), first match
)


def settings(config):
  """Returns DEFAULTS overlaid with config.optim; an unknown name is an InputError."""
  return overlay('optim', DEFAULTS, config.get('optim', {}))


def overlay(section, defaults, changes):
  """Returns `defaults` with `changes`; a name that is no default is an InputError."""
  unknown = sorted(set(changes) - set(defaults))
  if unknown:
    raise errors.InputError(
      f'config.{section} has no {", ".join(unknown)}: choose from {", ".join(sorted(defaults))}'
    )
  return ml_collections.ConfigDict({**defaults, **dict(changes)})


def schedule(optim, steps):
  """Makes step -> learning rate: linear warm-up, then cosine to end_lr at `steps`, or constant."""
  if optim.schedule == 'constant':
    after = optax.constant_schedule(optim.peak_lr)
  elif optim.schedule == 'cosine':
    span = max(steps - optim.warmup_steps, 1)
    end = optim.end_lr / optim.peak_lr if optim.peak_lr else 0.0
    after = optax.cosine_decay_schedule(optim.peak_lr, span, alpha=end)
  else:
    raise errors.InputError(
      f"config.optim.schedule is {optim.schedule!r}, expected 'cosine' or 'constant'"
    )
  warmup = optax.linear_schedule(0.0, optim.peak_lr, optim.warmup_steps)
  joined = optax.join_schedules([warmup, after], [optim.warmup_steps])
  return jax.numpy_dtype_promotion('standard')(joined)


def make(optim, steps, params):
  """Makes (transformation, step -> learning rate) for a tree of parameters or of their shapes."""
  lr = schedule(optim, steps)
  adam = dict(b1=optim.b1, b2=optim.b2, eps=optim.eps)
  if optim.name == 'adam':
    update = optax.adam(lr, **adam)
  elif optim.name == 'adamw':
    update = optax.adamw(lr, **adam, weight_decay=optim.weight_decay, mask=_matrices)
  elif optim.name == 'radam':
    update = optax.radam(lr, **adam)
  else:
    raise errors.InputError(
      f"config.optim.name is {optim.name!r}, expected 'adam', 'adamw' or 'radam'"
    )
  clip = [optax.clip_by_global_norm(optim.clip_norm)] if optim.clip_norm else []
  tx = optax.chain(*clip, update, _scale_by_path(optim.lr_multipliers, params))
  labels = learning(optim, params)
  if all(label == 'learns' for label in states.by_path(labels).values()):
    return lenient(tx), lr
  return lenient(_partition(tx, labels)), lr


def updated(tx, grads, params, memory):
  """Makes one update: (parameters, the transformation's state, norm of the gradient)."""
  changes, memory = tx.update(grads, memory, params)
  return optax.apply_updates(params, changes), memory, optax.global_norm(grads)


def only(patterns, tx):
  """Restricts a transformation to the parameters whose path a pattern is found in."""
  settings = ml_collections.ConfigDict({**DEFAULTS, 'trainable': tuple(patterns)})
  return _partition(tx, lambda params: learning(settings, params))


def _partition(tx, labels):
  """Frozen leaves get no optimiser state and no share in the clipped norm."""
  return optax.partition({'learns': tx, 'frozen': optax.set_to_zero()}, labels)


def lenient(tx):
  """Wraps a transformation: optax raises floats to integers, which strict promotion forbids."""
  standard = jax.numpy_dtype_promotion('standard')
  return optax.GradientTransformation(standard(tx.init), standard(tx.update))


def learning(optim, params):
  """Labels a tree 'learns' / 'frozen'; a pattern that meets no parameter is an InputError."""
  paths = list(states.by_path(params))
  lr_patterns = [pattern for pattern, _ in optim.lr_multipliers]
  for pattern in (*optim.trainable, *optim.frozen_paths, *lr_patterns):
    if not any(re.search(pattern, path) for path in paths):
      raise errors.InputError(
        f'config.optim: no parameter matches {pattern!r}; the first are {", ".join(paths[:3])}'
      )

  def label(path, _):
    learns = not optim.trainable or _meets(optim.trainable, path)
    return 'learns' if learns and not _meets(optim.frozen_paths, path) else 'frozen'

  return states.map_with_path(label, params)


def _meets(patterns, path):
  return any(re.search(pattern, path) for pattern in patterns)


def _matrices(params):
  return states.map_with_path(lambda _, leaf: jnp.ndim(leaf) > 1, params)


def _scale_by_path(rules, params):
  """Multiplies updates; after Adam, whose steps do not depend on the gradient's scale."""
  if not rules:
    return optax.identity()
  factors = {
    path: next((factor for pattern, factor in rules if re.search(pattern, path)), 1.0)
    for path in states.by_path(params)
  }

  def scale(updates, _):
    # Paths within a partition are those of the whole tree: frozen leaves are only masked there.
    return states.map_with_path(lambda path, u: u * jnp.asarray(factors[path], u.dtype), updates)

  return optax.stateless(scale)
