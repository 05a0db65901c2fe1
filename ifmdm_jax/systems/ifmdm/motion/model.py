"""Stage 2 as the trainer and the sampler see it: `init`, `loss`, `denoise`, `sample`.

`config` is `config.model` of configs/motion.py (any object with its attributes). Every function is
pure; `loss` and `sample` take motion codes as the autoencoder makes them and speech features as the
encoder makes them, and change them into the network's units (`units.Units`; the paper: unchanged).
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.diffusion import guidance as guide
from ifmdm_jax.diffusion import schedule as schedules
from ifmdm_jax.diffusion import steppers
from ifmdm_jax.diffusion.gaussian import Gaussian, weighted_mean
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm.motion import units as units_of
from ifmdm_jax.systems.ifmdm.motion.dit import FEATURES_PER_FRAME, MotionDiT


def network(config):
  """The transformer of a config."""
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
  """The diffusion of a config: all steps (training), or those that `spacing` keeps."""
  schedule = _schedule(config.timesteps)
  if spacing is not None:
    schedule = schedule.keep(schedules.spaced(len(schedule), spacing))
  return Gaussian(schedule, config.prediction, config.learn_sigma, clip)


@functools.cache
def _schedule(steps):
  return schedules.linear(steps)


def init(rng, config):
  """Fresh parameters."""
  x = jnp.zeros((1, config.frames, config.motion_dim))
  y = jnp.zeros((1, FEATURES_PER_FRAME * config.frames, config.audio_width))
  one = x[:, :1]
  hint = jnp.concatenate([one, one], axis=-1) if fixed(config) else one
  return network(config).init(rng, x, jnp.zeros((1,), jnp.int32), y, hint, one, one)['params']


def fixed(config):
  """Whether codes are counted from a fixed reference; weights from before it do not say."""
  return bool(getattr(config, 'fixed', False))


def frozen(config):
  """How the network sees codes and features; constant, kept apart from the parameters."""
  if not config.units:
    return units_of.plain(config.motion_dim, config.audio_width)
  return units_of.load(
    config.units, config.motion_dim, config.audio_width, config.relative, config.untold,
    fixed(config),
  )  # fmt: skip


# -- training


def loss(params, batch, rng, *, config, step=None, frozen=None, drop=True):
  """Loss of a batch at random steps, with inputs dropped for guidance.

  Args:
    params: of `init`.
    batch: x [B, T, M], y [B, 2T, A], hint, mean and std [B, 1, M]; optional mask [B, T], nonzero
      for real frames of windows that are shorter than T; optional reference [B, 1, M] and quiet
      [B, T + 1], see `quieten`.
    rng: key.
    config: config.model.
    step: not used.
    frozen: the `Units` of `frozen`; None leaves codes and features as they are.
    drop: whether inputs go missing.

  Returns:
    Scalar, and scalars to log: loss, mse, vb (bits), velocity.
  """
  del step
  rng_t, rng_noise, rng_drop, rng_astray = jax.random.split(rng, 4)
  units = _or_plain(frozen, config)
  batch = quieten(batch, units)
  if drop and units.fixed:
    batch = stray(batch, units, rng_astray)
  x = batch['x']
  t = jax.random.randint(rng_t, x.shape[:1], 0, config.timesteps)
  noise = jax.random.normal(rng_noise, x.shape, x.dtype)
  terms, frames = loss_terms(
    params, batch, t, noise, config=config, units=units, rng_drop=rng_drop if drop else None
  )

  def over_batch(values):  # every real frame counts the same, in short windows and in long ones
    return (values * frames).sum() / jnp.maximum(frames.sum(), 1)

  metrics = jax.tree.map(over_batch, terms)
  total = metrics['mse'] + metrics['vb'] + config.velocity_weight * metrics['velocity']
  return total, {'loss': total, **metrics}


def example(config, batch):
  """Shapes of a batch, for plans without data."""
  shape = lambda *sizes: jax.ShapeDtypeStruct((batch, *sizes), jnp.float32)
  code = shape(1, config.motion_dim)
  return dict(
    x=shape(config.frames, config.motion_dim),
    y=shape(FEATURES_PER_FRAME * config.frames, config.audio_width),
    hint=code, mean=code, std=code, mask=shape(config.frames), reference=code,
    quiet=shape(config.frames + 1),
  )  # fmt: skip


def evaluate(params, batch, rng, *, config, frozen=None):
  """The numbers of `loss` with every input present."""
  return loss(params, batch, rng, config=config, frozen=frozen, drop=False)[1]


def loss_terms(params, batch, t, noise, *, config, units=None, rng_drop=None):
  """The parts of the loss, per sample, at given steps t [B] and noise [B, T, M].

  The paper: squared error of the predicted noise + variational bound. Ours on top, where the config
  asks for it: weights per motion dimension (`dim_weights`), and the squared error of the motion
  between successive frames, the first of which follows the hint (`velocity_weight`; meant for
  prediction = 'x_0', since x_0 from predicted noise is huge at late steps).

  Args:
    rng_drop: key for dropped inputs; nothing is dropped without it.

  Returns:
    {'mse', 'vb', 'velocity'}: [B] each; number of real frames: float32 [B].
  """
  units = _or_plain(units, config)
  reference = batch.get('reference')
  hint, mean, std = units.controls(batch['hint'], batch['mean'], batch['std'], reference)
  train = rng_drop is not None
  if train and units.fixed:  # few people are learned from: who it is shall not be known by heart
    rng_drop, rng_who = jax.random.split(rng_drop)
    blur = VAGUE * jax.random.normal(rng_who, batch['hint'].shape, hint.dtype)
    hint = hint + jnp.concatenate([jnp.zeros_like(blur), blur], axis=-1)
  told = getattr(config, 'statistics', ('mean', 'std'))  # the others are always absent
  mean = mean if 'mean' in told else jnp.zeros_like(mean)
  std = std if 'std' in told else jnp.zeros_like(std)
  origin = units.origin(batch['hint'], reference)
  x_0, y = units.motion(batch['x'], origin), units.features(batch['y'])
  mask = batch.get('mask')
  real = jnp.ones(x_0.shape[:2], x_0.dtype) if mask is None else (mask != 0).astype(x_0.dtype)
  weights = real[..., None]
  if len(config.dim_weights):
    weights = weights * np.asarray(config.dim_weights, np.float32)[None, None]

  diffusion = gaussian(config)
  x_t = diffusion.q_sample(x_0, noise, t)
  output = network(config).apply(
    {'params': params},
    x_t,
    t,
    y,
    hint,
    mean,
    std,
    mask,
    train,
    rngs={'drop': rng_drop} if train else None,
  )
  terms = diffusion.loss_terms(output, x_0, x_t, noise, t, weights)

  velocity = jnp.zeros_like(terms.mse)
  if config.velocity_weight:
    error = terms.x_0 - x_0  # at frame 0, the hint, nothing is wrong
    change = error - jnp.pad(error, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    both_real = real * jnp.pad(real, ((0, 0), (1, 0)), constant_values=1)[:, :-1]
    velocity = weighted_mean(change**2, weights * both_real[..., None])
  return {'mse': terms.mse, 'vb': terms.vb, 'velocity': velocity}, real.sum(1)


def quieten(batch, units):
  """Rests the lips of a batch where `quiet` [B, T + 1] says that no voice is heard; 0: the hint.

  Of a clip whose sound was taken away the face goes on as it did, all but the lips.
  """
  if batch.get('quiet') is None or not units.fixed:
    return batch
  rest, lips = units.origin(batch['hint'], batch['reference']), ~units.told[None, None]
  share = jnp.where(lips, batch['quiet'][..., None], 0.0)
  toward = lambda x, share: x + share * (rest - x)
  return dict(batch, x=toward(batch['x'], share[:, 1:]), hint=toward(batch['hint'], share[:, :1]))


VAGUE = 0.4  # of what is told of the reference, in deviations among people
STRAY = 0.5  # share of windows that begin astray
FURTHEST = 3.0  # how far, in deviations from the reference
KNOWN = 24  # frames, at most, of which such a window's past consists
BACK = 20.0, 3.0, 8.0  # frames in which pose, lips, and lids and brows come back, to 1 / e


def stray(batch, units, rng):
  """Moves the past of a batch, the hint and a few frames, off its way, and lets it come back.

  What a sampler made is never quite what people do. A network that has seen real pasts alone goes
  on from there; one that has seen how it ends comes home, from anywhere.
  """
  x, hint = batch['x'], batch['hint']
  count, frames, directions = x.shape
  keys = jax.random.split(rng, 5)
  uniform = lambda key, low, high: jax.random.uniform(key, (count, 1, 1), x.dtype, low, high)
  size = jnp.where(uniform(keys[0], 0, 1) < STRAY, uniform(keys[1], 0.1, FURTHEST), 0.1)
  known = jnp.where(uniform(keys[2], 0, 1) < 0.5, 0.0, jnp.floor(uniform(keys[3], 0, KNOWN)))
  scale = jnp.asarray(units.statistics['reference_std'])[None, None]
  away = size * scale * jax.random.normal(keys[4], hint.shape, x.dtype)
  pose, lips, rest = BACK
  told = units.told[None, None]
  first_told = jnp.cumsum(~told, axis=-1) == 0  # pose: what comes before the lips
  pace = jnp.where(first_told, pose, jnp.where(told, rest, lips))
  after = jnp.maximum(jnp.arange(1, frames + 1, dtype=x.dtype)[None, :, None] - known, 0.0)
  return dict(batch, x=x + away * jnp.exp(-after / pace), hint=hint + away)


def _or_plain(units, config):
  return units_of.plain(config.motion_dim, config.audio_width) if units is None else units


# -- sampling


def denoise(params, config, x_t, t, y, hint, mean=None, std=None, mask=None, heard=None):
  """One evaluation of the network without guidance; arguments in the network's units.

  Args:
    x_t: [B, T, M].
    t: int [B] or a scalar.
    y: [B, 2T, A].
    hint, mean, std: [B, 1, M]; None for statistics that are not given.
    heard: [B], see `MotionDiT`.

  Returns:
    [B, T, M or 2M].
  """
  t = jnp.broadcast_to(jnp.asarray(t, jnp.int32), x_t.shape[:1])
  mean, std = (jnp.zeros_like(hint) if v is None else v for v in (mean, std))
  apply = network(config).apply
  return apply({'params': params}, x_t, t, y, hint, mean, std, mask, heard=heard)


def guided_denoiser(params, config, y, hint, mean=None, std=None, mask=None, *, guidance=2.0):
  """(x_t, t) -> output with the sound's influence scaled; only the sound is ever taken away.

  Arguments as for `denoise`; a `guidance` of 1 costs one pass, anything else two in one batch.

  The published guidance sets the features to zero, a case that the published training, which drops
  the two ways of the sound with all they carry, never shows (unless `config.clean_drop`). With
  `config.clean_guidance` guidance takes away what training did.
  """

  def evaluate(x_t, t, condition):
    return denoise(params, config, x_t, t, **condition)

  given = dict(y=y, hint=hint, mean=mean, std=std, mask=mask)
  silent = dict(given, y=jnp.zeros_like(y))
  if getattr(config, 'clean_guidance', False) and not config.clean_drop:
    present = jnp.ones(y.shape[:1], y.dtype)
    given, silent = dict(given, heard=present), dict(given, heard=jnp.zeros_like(present))
  return guide.classifier_free(evaluate, given, silent, guidance, channels=config.motion_dim)


def sample(
  params,
  config,
  rng,
  y,
  hint,
  mean=None,
  std=None,
  mask=None,
  *,
  units=None,
  steps=25,
  guidance=2.0,
  stepper='ddim',
  clip=None,
  step_rng=None,
  known=None,
  reference=None,
  given=None,
):
  """Motion codes for one window of speech.

  Args:
    params: of `init`, trained.
    config: config.model.
    rng: a key, or the noise to start from, float [B, T, M].
    y: [B, 2T, A], speech features; T up to config.frames.
    hint: [B, 1, M], code of the frame before the window: the source image's, or the last one made.
    mean, std: [B, 1, M], wanted statistics of the codes; None leaves them to the model.
    mask: [B, T], nonzero for frames that matter; None if all do.
    units: `Units` of the training; None leaves codes and features as they are.
    steps: a `diffusion.schedule.Spacing`, or the number of a trailing one.
    guidance: how strictly the motion follows the sound; 1 is as trained, and costs half.
    stepper: 'ddim', 'ddpm', or an instance such as `steppers.DDIM(eta=1.0)`.
    clip: bound on |x_0| in each step, in the network's units.
    step_rng: key for the noise of a stochastic stepper; needed if `rng` is an array of noise.
    known: [B, K, M], codes of the window's first K frames, which the others continue.
    reference: [B, 1, M], code that the person returns to, where `units` count from a fixed one: the
      source image's.
    given: bool [B, 2], whether a voice is conditioned on mean, and on std; None: on both.

  Returns:
    [B, T, M].

  Raises:
    InputError: y does not hold whole frames, or more than config.frames; unknown stepper or
      spacing; step_rng missing.
  """
  shape = _window_shape(y, config)
  if stepper in steppers.STEPPERS:
    stepper = steppers.STEPPERS[stepper]
  elif isinstance(stepper, str):
    raise InputError(f'stepper is {stepper!r}, expected one of {sorted(steppers.STEPPERS)}')
  diffusion = gaussian(config, steps, clip)

  x_T = rng
  if _is_key(rng):
    noise_rng, own_step_rng = jax.random.split(rng)
    step_rng = own_step_rng if step_rng is None else step_rng
    x_T = jax.random.normal(noise_rng, shape, hint.dtype)
  elif rng.shape != shape:
    raise InputError(f'noise is {rng.shape}, expected {shape} to go with y {y.shape}')
  noise = None
  if stepper.stochastic and step_rng is not None:
    noise = jax.random.normal(step_rng, (len(diffusion.schedule), *shape), x_T.dtype)

  units = _or_plain(units, config)
  tokens = units.controls(hint, mean, std, reference)
  origin = units.origin(hint, reference)
  if given is not None:  # zeros are what training puts where a token is dropped
    keep = lambda token, which: jnp.where(given[:, which, None, None], token, 0.0)
    tokens = tokens[0], keep(tokens[1], 0), keep(tokens[2], 1)
  denoiser = guided_denoiser(params, config, units.features(y), *tokens, mask, guidance=guidance)
  amend = None
  if known is not None and known.shape[1]:
    amend = functools.partial(_continue, units.motion(known, origin))
  x_0 = steppers.sample(denoiser, diffusion, stepper, x_T, noise, amend=amend)
  codes = units.bounded(units.codes(x_0, origin), origin)
  return settle(codes, hint, getattr(config, 'smoothing', ()))


def settle(codes, hint, shares):
  """Each frame moved towards the mean of its neighbours; the paper: not at all.

  A network that has seen hours, not days, of motion shakes faster than any head does.

  Args:
    codes: [B, T, M].
    hint: [B, 1, M], the frame before.
    shares: one per direction; 1/2 takes the fastest motion, to and fro each frame, away, and
      half of what comes and goes in four frames; empty: all stays.

  Returns:
    [B, T, M]; the last frame has no next one and moves less than it should.
  """
  if not len(shares):
    return codes
  shares = np.asarray(shares, np.float32)[None, None]
  before = jnp.concatenate([hint, codes[:, :-1]], axis=1)
  after = jnp.concatenate([codes[:, 1:], codes[:, -1:]], axis=1)
  return codes + shares * ((before + after) / 2.0 - codes)


def _continue(known, x_0, frames=4.0):
  """x_0 [B, T, M] that begins with `known` [B, K, M] and goes on from it without a jump.

  Where the network sees the last known frame somewhere else, the frames after it are moved along,
  by a share that falls to 1 / e in so many `frames`.
  """
  error = known - x_0[:, : known.shape[1]]
  fading = np.exp(-np.arange(1, x_0.shape[1] - known.shape[1] + 1) / frames)
  after = error[:, -1:] * jnp.asarray(fading, x_0.dtype)[None, :, None]
  return x_0 + jnp.concatenate([error, after], axis=1)


def _is_key(rng):
  typed = jnp.issubdtype(rng.dtype, jax.dtypes.prng_key)
  return typed or (rng.dtype == jnp.uint32 and rng.ndim == 1)


def _window_shape(y, config):
  frames, rest = divmod(y.shape[1], FEATURES_PER_FRAME)
  if rest or not 1 <= frames <= config.frames:
    raise InputError(
      f'y holds {y.shape[1]} audio features, expected {FEATURES_PER_FRAME} per frame and at most '
      f'{config.frames} frames: split the sound into windows'
    )
  return y.shape[0], frames, config.motion_dim
