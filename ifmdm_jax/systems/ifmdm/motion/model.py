"""Stage 2 as the trainer sees it: `init`, `frozen`, `loss`, `evaluate`; `sample` draws from it.

`config` is `config.model` of configs/motion.py (any object with its attributes). Every function is
pure; `loss` takes motion codes as the autoencoder makes them and speech features as the encoder
makes them, and brings them to the network's units (`normalizer.Normalizer`; the paper: unchanged).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.diffusion import schedule as schedules
from ifmdm_jax.diffusion.gaussian import Gaussian, weighted_mean
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm.motion import augment
from ifmdm_jax.systems.ifmdm.motion import normalizer as normalizers
from ifmdm_jax.systems.ifmdm.motion.condition import Condition, of_batch
from ifmdm_jax.systems.ifmdm.motion.dit import FEATURES_PER_FRAME, MotionDiT


def network(config):
  """Builds the transformer of a config."""
  return MotionDiT(
    width=config.width,
    depth=config.depth,
    heads=config.heads,
    channels=config.motion_dim * (2 if config.learn_sigma else 1),
    frames=config.frames,
    drop_audio=config.drop_audio,
    drop_hint=config.drop_hint,
    drop_stats=config.drop_stats,
    clean_drop=config.clean_drop,
  )


def gaussian(config, spacing=None, clip=None):
  """Builds the diffusion of a config: all steps (training), or those that `spacing` keeps."""
  schedule = _schedule(config.timesteps)
  if spacing is not None:
    schedule = schedule.keep(schedules.spaced(len(schedule), spacing))
  return Gaussian(schedule, config.prediction, config.learn_sigma, clip)


@functools.cache
def _schedule(steps):
  return schedules.linear(steps)


def evaluated(params, config, x_t, t, condition, rng_drop=None):
  """Evaluates the network; what is not given is zeros: dropped. With `rng_drop` as in training."""
  absent = jnp.zeros_like(x_t[:, :1])
  mean, std = (absent if x is None else x for x in (condition.mean, condition.std))
  train = rng_drop is not None
  return network(config).apply(
    {'params': params}, x_t, t, condition.y, condition.hint, mean, std, condition.mask, train,
    audible=condition.audible, rngs={'drop': rng_drop} if train else None,
  )  # fmt: skip


def init(rng, config):
  """Draws fresh parameters."""
  x = jnp.zeros((1, config.frames, config.motion_dim))
  y = jnp.zeros((1, FEATURES_PER_FRAME * config.frames, config.audio_width))
  one = x[:, :1]
  hint = jnp.concatenate([one, one], axis=-1) if fixed(config) else one
  return network(config).init(rng, x, jnp.zeros((1,), jnp.int32), y, hint, one, one)['params']


def fixed(config):
  """Says whether codes are counted from a fixed reference; weights from before it do not say."""
  return bool(getattr(config, 'fixed', False))


def frozen(config):
  """Loads the `Normalizer`: constant, kept apart from the parameters."""
  if not config.normalizer:
    return normalizers.plain(config.motion_dim, config.audio_width)
  return normalizers.load(
    config.normalizer, config.motion_dim, config.audio_width, config.relative,
    config.unconditioned_dims, fixed(config),
  )  # fmt: skip


# -- training


class Window(NamedTuple):
  """A batch as the network sees it."""

  x_0: jax.Array  # [B, T, M]
  condition: Condition
  real: jax.Array  # [B, T], 1 for frames that are, in windows that are shorter than T
  weights: jax.Array  # [B, T, 1 or M], of frames and motion directions in the loss


def window(batch, config, normalizer):
  """Brings a batch to the network's units: `Window`.

  Raises:
    InputError: codes or features are those of other encoders than the config's.
  """
  given = of_batch(batch)
  _check_widths(batch, config)
  seen = normalizer.condition(given)
  used = getattr(config, 'statistics', ('mean', 'std'))  # the others are always absent
  keep = lambda name: getattr(seen, name) * (1.0 if name in used else 0.0)
  seen = seen.replace(mean=keep('mean'), std=keep('std'))
  x_0 = normalizer.motion(batch['x'], normalizer.origin(given.hint, given.reference))
  mask = given.mask
  real = jnp.ones(x_0.shape[:2], x_0.dtype) if mask is None else (mask != 0).astype(x_0.dtype)
  weights = real[..., None]
  if len(config.dim_weights):
    weights = weights * np.asarray(config.dim_weights, np.float32)[None, None]
  return Window(x_0, seen, real, weights)


def _check_widths(batch, config):
  for name, what, setting in (('x', 'motion codes', 'motion_dim'),
                              ('y', 'speech features', 'audio_width')):  # fmt: skip
    came, wanted = batch[name].shape[-1], config[setting]
    if came != wanted:
      raise InputError(
        f'expected {what} {wanted} wide, the data has {came}: prepare it with the encoder that the '
        f'config names, or pass --config.model.{setting}={came}'
      )


def loss(params, batch, rng, *, config, step=None, frozen=None, drop=True):
  """Measures a batch at random steps, with inputs dropped for guidance.

  Args:
    params: of `init`.
    batch: x [B, T, M], y [B, 2T, A], hint, mean and std [B, 1, M]; optional mask [B, T], nonzero
      for real frames of windows that are shorter than T; optional reference [B, 1, M] and quiet
      [B, T + 1], see `augment.quieten`.
    rng: key.
    config: config.model.
    step: not used.
    frozen: the `Normalizer` of `frozen`; None leaves codes and features as they are.
    drop: whether inputs go missing.

  Returns:
    Scalar, and scalars to log: loss, mse, vb (bits), velocity.
  """
  del step
  rng_t, rng_noise, rng_drop, rng_astray = jax.random.split(rng, 4)
  normalizer = frozen or normalizers.plain(config.motion_dim, config.audio_width)
  batch = augment.quieten(batch, normalizer)
  if drop and normalizer.fixed:
    batch = augment.stray(batch, normalizer, rng_astray)
  x = batch['x']
  t = jax.random.randint(rng_t, x.shape[:1], 0, config.timesteps)
  noise = jax.random.normal(rng_noise, x.shape, x.dtype)
  terms, frames = loss_terms(
    params, batch, t, noise, config=config, normalizer=normalizer,
    rng_drop=rng_drop if drop else None,
  )  # fmt: skip

  def over_batch(values):  # every real frame counts the same, in short windows and in long ones
    return (values * frames).sum() / jnp.maximum(frames.sum(), 1)

  metrics = jax.tree.map(over_batch, terms)
  total = metrics['mse'] + metrics['vb'] + config.velocity_weight * metrics['velocity']
  return total, {'loss': total, **metrics}


def loss_terms(params, batch, t, noise, *, config, normalizer=None, rng_drop=None):
  """Measures the parts of the loss, per sample, at given steps t [B] and noise [B, T, M].

  The paper: squared error of the predicted noise + variational bound. Ours on top, where the config
  asks for it: weights per motion dimension (`dim_weights`), and the squared error of the motion
  between successive frames, the first of which follows the hint (`velocity_weight`; meant for
  prediction = 'x_0', since x_0 from predicted noise is huge at late steps).

  Args:
    rng_drop: key for dropped inputs; nothing is dropped without it.

  Returns:
    {'mse', 'vb', 'velocity'}: [B] each; number of real frames: float32 [B].
  """
  normalizer = normalizer or normalizers.plain(config.motion_dim, config.audio_width)
  x_0, condition, real, weights = window(batch, config, normalizer)
  if rng_drop is not None and normalizer.fixed:
    rng_drop, rng_who = jax.random.split(rng_drop)
    condition = condition.replace(hint=augment.vague(condition.hint, rng_who))

  diffusion = gaussian(config)
  x_t = diffusion.q_sample(x_0, noise, t)
  output = evaluated(params, config, x_t, t, condition, rng_drop)
  terms = diffusion.loss_terms(output, x_0, x_t, noise, t, weights)

  velocity = jnp.zeros_like(terms.mse)
  if config.velocity_weight:
    error = terms.x_0 - x_0  # at frame 0, the hint, nothing is wrong
    both_real = real * jnp.pad(real, ((0, 0), (1, 0)), constant_values=1)[:, :-1]
    velocity = weighted_mean(change(error) ** 2, weights * both_real[..., None])
  return {'mse': terms.mse, 'vb': terms.vb, 'velocity': velocity}, real.sum(1)


def change(x):
  """Subtracts from each frame of [B, T, M] the one before; before the first one is zero."""
  return x - jnp.pad(x, ((0, 0), (1, 0), (0, 0)))[:, :-1]


def evaluate(params, batch, rng, *, config, frozen=None):
  """Measures what `loss` does, with every input present."""
  return loss(params, batch, rng, config=config, frozen=frozen, drop=False)[1]


def example(config, batch):
  """Shapes a batch, for plans without data."""
  shape = lambda *sizes: jax.ShapeDtypeStruct((batch, *sizes), jnp.float32)
  code = shape(1, config.motion_dim)
  return dict(
    x=shape(config.frames, config.motion_dim),
    y=shape(FEATURES_PER_FRAME * config.frames, config.audio_width),
    hint=code, mean=code, std=code, mask=shape(config.frames), reference=code,
    quiet=shape(config.frames + 1),
  )  # fmt: skip
