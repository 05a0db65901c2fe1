"""Sampling of the motion model M, piece after piece: what was sampled is never sampled again.

A causal network sees the same of a frame however many come after it. So each piece is denoised by
all steps before the next one begins, with the keys and values that earlier frames had at the same
step: the result is that of one sequence, whatever its pieces, and memory does not grow.

The noise of a frame is drawn by its number, so that pieces do not change it either.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.diffusion import steppers
from ifmdm_jax.pipeline import face_motion
from ifmdm_jax.pipeline.face_motion import NAMES
from ifmdm_jax.systems.vlogger import motion_model


class State(NamedTuple):
  """What a motion remembers.

  Attributes:
    caches: of every step of sampling, every block, and both halves of guidance: [N, 2B, ...].
    place: int32 [], frames so far.
  """

  caches: tuple
  place: jax.Array


def start(config, steps, batch=1):
  """Makes the state of `batch` motions that have not begun, for `steps` of `gaussian`."""
  count = len(motion_model.gaussian(config, steps).schedule)
  caches = motion_model.network(config).empty_caches(2 * batch)
  return State(
    jax.tree.map(lambda x: jnp.repeat(x[None], count, axis=0), caches), jnp.zeros((), jnp.int32)
  )


def advance(params, state, y, reference, key, pins, normalizer, *, config, steps, guidance):
  """Samples the next frames: (motion [B, T, M], state).

  Args:
    params: of `motion_model.init`.
    state: of `start`, or of the piece before.
    y: [B, T, A], the voice in deviations, see `motion.around`.
    reference: [B, 1, M], motion of the portrait, that poses are counted from.
    key: random key of the noise; the same one for all pieces.
    pins: [M], the value at which each number is held; NaN: it is free.
    normalizer: `motion_model.Normalizer`.
    config: config.model.
    steps: of sampling, see `diffusion.schedule.spacing`.
    guidance: 1 is the voice's prediction, larger follows it more.
  """
  rows, length = y.shape[:2]
  process, network = motion_model.gaussian(config, steps), motion_model.network(config)
  numbers = state.place + jnp.arange(length, dtype=jnp.int32)
  shape = rows, len(NAMES)
  draw = lambda number: jax.random.normal(jax.random.fold_in(key, number), shape)
  noise = jnp.swapaxes(jax.vmap(draw)(numbers), 0, 1)
  twice = lambda x: jnp.concatenate([x, x])
  heard, voice = jnp.arange(2 * rows) < rows, twice(y)
  held = normalizer.motion(jnp.broadcast_to(pins[None, None], reference.shape), reference)

  def denoise(x_t, t, caches):
    t = jnp.full((2 * rows,), t, jnp.int32)
    place = jnp.full((2 * rows,), state.place, jnp.int32)
    made, caches = network.apply(
      {'params': params}, twice(x_t), t, voice, heard, place, caches=caches
    )
    with_, without = jnp.split(made, 2)
    return without + guidance * (with_ - without), caches

  x_0, caches = steppers.sample(
    denoise, process, steppers.DDIM(), noise, memory=state.caches,
    amend=lambda x: jnp.where(jnp.isfinite(held), held, x),
  )  # fmt: skip
  return normalizer.back(x_0, reference), State(caches, state.place + length)


def pins(values):
  """Reads {'jawOpen': 0.0} as what `advance` holds: float32 [M], NaN where it is free.

  Raises:
    InputError: a name is none of `pipeline.face_motion.NAMES`.
  """
  held = np.full(len(NAMES), np.nan, np.float32)
  for name, value in values.items():
    held[face_motion.index(name)] = value
  return held


def scaled(made, reference, mean, factors):
  """Makes movements larger or smaller: poses about the reference, units about their mean.

  Args:
    made: [B, T, M].
    reference: [B, 1, M].
    mean: [M], of units.
    factors: [M], 1 changes nothing, 0 holds still.
  """
  rest = jnp.where(motion_model.POSED[None, None], reference, mean[None, None])
  return rest + factors[None, None] * (made - rest)
