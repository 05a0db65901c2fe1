"""Sampling of the motion model M, piece after piece: what was sampled is never sampled again.

A causal network sees the same of a frame however many come after it. So each piece is denoised by
all steps before the next one begins, with the keys and values that earlier frames had at the same
step: the result is that of one sequence, whatever its pieces, and memory does not grow.

The noise of a frame is drawn by its number, so that pieces do not change it either. A causal
network cannot know of a frame what comes after it, and what it leaves is noise from frame to frame:
motion is smoothed as that it learned from was, which takes one frame more of the voice.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.clip import check_seed
from ifmdm_jax.diffusion import steppers
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import smooth
from ifmdm_jax.pipeline import face_motion
from ifmdm_jax.pipeline.face_motion import NAMES
from ifmdm_jax.systems.vlogger import motion, motion_model

PIECE = 100  # frames that are sampled at once


class State(NamedTuple):
  """What a motion remembers.

  Attributes:
    caches: of every step of sampling and every block, [N, B, ...]; [N, 2B, ...] with guidance.
    place: int32 [], frames so far.
  """

  caches: tuple
  place: jax.Array


def start(config, steps, batch=1, guidance=1.0):
  """Makes the state of `batch` motions that have not begun, for what `advance` is called with."""
  count = len(motion_model.gaussian(config, steps).schedule)
  caches = motion_model.network(config).empty_caches(batch if guidance == 1 else 2 * batch)
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
    guidance: a Python number; 1 is the voice's prediction, larger follows it more.
  """
  rows, length = y.shape[:2]
  process, network = motion_model.gaussian(config, steps), motion_model.network(config)
  numbers = state.place + jnp.arange(length, dtype=jnp.int32)
  shape = rows, len(NAMES)
  draw = lambda number: jax.random.normal(jax.random.fold_in(key, number), shape)
  noise = jnp.swapaxes(jax.vmap(draw)(numbers), 0, 1)
  # With guidance once with the voice, and once without.
  both = (lambda x: x) if guidance == 1 else (lambda x: jnp.concatenate([x, x]))
  voice = both(y)
  heard = jnp.arange(len(voice)) < rows
  place = jnp.full((len(voice),), state.place, jnp.int32)
  held = normalizer.motion(jnp.broadcast_to(pins[None, None], reference.shape), reference)

  def denoise(x_t, t, caches):
    t = jnp.full((len(voice),), t, jnp.int32)
    inputs = both(x_t), t, voice, heard, place
    made, caches = network.apply({'params': params}, *inputs, caches=caches)
    if guidance == 1:
      return made, caches
    with_, without = jnp.split(made, 2)
    return without + guidance * (with_ - without), caches

  x_0, caches = steppers.sample(
    denoise, process, steppers.DDIM(), noise, memory=state.caches,
    amend=lambda x: jnp.where(jnp.isfinite(held), held, x),
  )  # fmt: skip
  return normalizer.back(x_0, reference), State(caches, state.place + length)


class MotionSampler:
  """Samples what a face does, of any length and in bounded memory."""

  def __init__(self, config, params, normalizer, *, steps='20', guidance=1.0):
    """Keeps a trained network.

    Args:
      config: config.model.
      params: of `motion_model.init`.
      normalizer: `motion_model.Normalizer`.
      steps, guidance: see `advance`.
    """
    self._config, self._params, self._normalizer = config, params, normalizer
    self._steps, self._guidance = steps, guidance
    options = dict(config=config, steps=steps, guidance=guidance)
    self._advance = jax.jit(functools.partial(advance, **options))

  def sample(self, features, reference, *, seed=0, pin=None, scale=None):
    """Yields pieces of motion float32 [t, M], in the order of `face_motion.NAMES`.

    Args:
      features: [2T, A], of the voice, two a frame.
      reference: [M], what the portrait does: poses are counted from there.
      seed: of the performance; the same seed gives the same motion.
      pin: {name: value} that is held.
      scale: {name: factor} of how far things move, 1 as sampled, 0 not at all.

    Raises:
      InputError: a name is unknown, or features are of another width.
    """
    width = self._config.audio_width
    if np.ndim(features) != 2 or features.shape[1] != width or len(features) < 2:
      raise InputError(
        f'expected speech features [2T, {width}], got {list(np.shape(features))}: use those of '
        f'{self._config.audio}'
      )
    held, factors = pins(pin or {}), scales(scale or {})
    reference = np.asarray(reference, np.float32)
    count = len(features) // 2
    voice = self._normalizer.voice(np.asarray(features[None, : 2 * count], np.float32))
    y = np.asarray(motion.around(voice, self._config.reach))
    state = start(self._config, self._steps, guidance=self._guidance)
    key = jax.random.key(check_seed(seed))
    tail = np.zeros((0, len(NAMES)), np.float32)
    for begin in range(0, count, PIECE):
      piece = y[:, begin : begin + PIECE]
      real = piece.shape[1]
      piece = np.pad(piece, ((0, 0), (0, PIECE - real), (0, 0)), mode='edge')
      rest = reference[None, None], key, held, self._normalizer
      made, state = self._advance(self._params, state, piece, *rest)
      made = scaled(made, reference[None, None], self._normalizer.mean, factors)
      made = np.asarray(made)[0, :real]
      track = np.concatenate([tail, made])
      yield smooth(track)[1 if begin else 0 : -1]  # the last one waits for the one after it
      tail = track[-2:]
    yield smooth(tail)[-1:]


def scales(values):
  """Reads {'headYaw': 0.5} as factors of `scaled`: float32 [M], 1 where nothing is said.

  Raises:
    InputError: a name is unknown.
  """
  factors = np.ones(len(NAMES), np.float32)
  for name, value in values.items():
    factors[face_motion.indices(name)] = value
  return factors


def pins(values):
  """Reads {'jawOpen': 0.0} as what `advance` holds: float32 [M], NaN where it is free.

  Raises:
    InputError: a name is none of `pipeline.face_motion.NAMES`.
  """
  held = np.full(len(NAMES), np.nan, np.float32)
  for name, value in values.items():
    held[face_motion.indices(name)] = value
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
