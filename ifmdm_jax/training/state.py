"""What training carries from step to step, and names for its leaves."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp


@flax.struct.dataclass
class TrainState:
  """Parameters, what the optimiser remembers, their average, and what nothing trains.

  Attributes:
    step: int32, []: updates made so far.
    params: nested dict of arrays.
    opt_state: of the optimiser.
    ema: average of the parameters, of their tree, or None where the config asks for none.
    extra: state that no gradient trains (collections of power iterations, codebook averages), or
      None. It is never averaged: what is sampled with is the average and the extra as it is.
  """

  step: jax.Array
  params: Any
  opt_state: Any
  ema: Any = None
  extra: Any = None

  @property
  def averaged(self):
    """Returns the parameters to sample with: the average where there is one."""
    return self.params if self.ema is None else self.ema


def create(params, init_optimizer, ema, extra=None):
  """Makes the state before the first step; `ema` says whether an average is kept."""
  # A copy: two leaves of a donated state must not share one buffer.
  average = jax.tree.map(jnp.copy, params) if ema else None
  return TrainState(jnp.zeros((), jnp.int32), params, init_optimizer(params), average, extra)


def update_ema(ema, params, step, decay, ramp=True):
  """Averages: ema <- d ema + (1 - d) params, d = min(decay, (1 + step) / (10 + step)).

  The `ramp` lets the first averages forget the random start; without it, d = decay throughout.
  """
  if ema is None:
    return None
  decay = jnp.float32(decay)
  if ramp:
    step = jnp.asarray(step, jnp.float32)
    decay = jnp.minimum(decay, (1 + step) / (10 + step))

  def average(old, new):
    if not jnp.issubdtype(new.dtype, jnp.floating):
      return new
    return old + (1 - decay).astype(old.dtype) * (new - old)

  return jax.tree.map(average, ema, params)


def path_of(keys):
  """Writes a jax key path as 'decoder/conv_3/kernel'."""
  return jax.tree_util.keystr(keys, simple=True, separator='/')


def by_path(tree):
  """Flattens a tree to {path: leaf}, in its order."""
  return {path_of(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def map_with_path(function, tree, *rest):
  """Maps like jax.tree.map, with the path as the function's first argument."""
  return jax.tree_util.tree_map_with_path(lambda keys, *x: function(path_of(keys), *x), tree, *rest)
