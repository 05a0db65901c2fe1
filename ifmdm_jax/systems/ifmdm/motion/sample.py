"""Sampling from stage 2: one window of motion codes for B voices.

`config` is `config.model` of configs/motion.py; every function is pure.
"""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.diffusion import guidance as guide
from ifmdm_jax.diffusion import schedule, steppers
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm.motion import model
from ifmdm_jax.systems.ifmdm.motion import normalizer as normalizers
from ifmdm_jax.systems.ifmdm.motion.dit import FEATURES_PER_FRAME

STRICTEST = 100.0  # guidance
FADE = 4.0  # frames in which a jump after known frames fades to 1 / e


@dataclasses.dataclass(frozen=True)
class Solver:
  """How a window is denoised.

  Attributes:
    steps: evaluations of the network, a spacing of `diffusion.schedule`; a number N is
      `Trailing(N)`.
    guidance: how strictly the motion follows the voice, 1 to 100; 1 is as in training, and costs
      half. Less is refused: motion would follow the voice less than it learned to.
    stepper: 'ddim', 'ddpm', 'dpm', DPM-Solver++(2M), or an instance such as
      `steppers.DDIM(eta=1.0)`.
  """

  steps: schedule.Spacing = schedule.Trailing(10)
  guidance: float = 2.0
  stepper: str | steppers.DDIM = 'ddim'

  def __post_init__(self):
    object.__setattr__(self, 'steps', schedule.spacing(self.steps))
    number = isinstance(self.guidance, int | float | np.number)
    if not number or isinstance(self.guidance, bool) or not 1 <= self.guidance <= STRICTEST:
      raise InputError(
        f'expected a finite guidance from 1 to {STRICTEST:g}, got {self.guidance!r:.80}: pass 1 '
        'to follow the voice as in training'
      )
    object.__setattr__(self, 'guidance', float(self.guidance))
    if isinstance(self.stepper, str) and self.stepper not in steppers.STEPPERS:
      known = ', '.join(sorted(steppers.STEPPERS))
      raise InputError(f'expected a stepper of {known}, got {self.stepper!r}')


DEFAULT = Solver()


def denoise(params, config, x_t, t, condition):
  """Evaluates the network once without guidance; all of it in the network's units.

  Args:
    params: of `model.init`.
    config: config.model.
    x_t: [B, T, M].
    t: int [B] or a scalar.
    condition: `Condition`, as the network sees it.

  Returns:
    [B, T, M or 2M].
  """
  t = jnp.broadcast_to(jnp.asarray(t, jnp.int32), x_t.shape[:1])
  return model.evaluated(params, config, x_t, t, condition)


def guided_denoiser(params, config, condition, guidance=2.0):
  """Returns (x_t, t) -> output with the sound's influence scaled; only sound is ever taken away.

  Arguments as for `denoise`; a `guidance` of 1 costs one pass, anything else two in one batch.

  The published guidance sets the features to zero, a case that the published training, which drops
  the two ways of the sound with all they carry, never shows (unless `config.clean_drop`). With
  `config.clean_guidance` guidance takes away what training did.
  """

  def evaluate(x_t, t, condition):
    return denoise(params, config, x_t, t, condition)

  silent = condition.replace(y=jnp.zeros_like(condition.y))
  if getattr(config, 'clean_guidance', False) and not config.clean_drop:
    present = jnp.ones(condition.y.shape[:1], condition.y.dtype)
    condition = condition.replace(audible=present)
    silent = silent.replace(audible=jnp.zeros_like(present))
  return guide.classifier_free(evaluate, condition, silent, guidance, channels=config.motion_dim)


def sample(
  params, config, noise, condition, solver=DEFAULT, *, normalizer=None, clip=None, step_rng=None,
  known=None, region=None, key=None,
):  # fmt: skip
  """Samples motion codes for one window of speech.

  Args:
    params: of `model.init`, trained.
    config: config.model.
    noise: to start from, float [B, T, M]; T up to config.frames.
    condition: `Condition`, of codes and features as encoders make them.
    solver: `Solver`.
    normalizer: `Normalizer` of the training; None leaves codes and features as they are.
    clip: bound on |x_0| in each step, in the network's units.
    step_rng: key for the noise of a stochastic stepper.
    known: [B, K, M], codes of the window's first K frames, which the others continue.
    region: (codes [B, T, M], which directions of them are known, bool [M]): they are put in place
      at every step, and the network makes the others fit them.
    key: for the noise of the known directions, see `steppers.known_region`.

  Returns:
    [B, T, M].

  Raises:
    InputError: y does not hold whole frames, or more than config.frames, or noise is not as long;
      step_rng is missing.
  """
  check(noise, condition, config)
  chex.assert_shape(condition.hint, (len(noise), 1, config.motion_dim))
  stepper = steppers.STEPPERS.get(solver.stepper) if isinstance(solver.stepper, str) else None
  stepper = stepper or solver.stepper
  diffusion = model.gaussian(config, solver.steps, clip)
  step_noise = None
  if stepper.stochastic and step_rng is not None:
    step_noise = jax.random.normal(step_rng, (len(diffusion.schedule), *noise.shape), noise.dtype)

  normalizer = normalizer or normalizers.plain(config.motion_dim, config.audio_width)
  origin = normalizer.origin(condition.hint, condition.reference)
  seen = normalizer.condition(condition)
  denoiser = guided_denoiser(params, config, seen, solver.guidance)
  amend, noised = [], None
  if region is not None:
    codes, which = region
    given = normalizer.motion(codes, origin)
    keep = jnp.asarray(which, given.dtype)[None, None]
    amend.append(lambda x_0: jnp.where(keep > 0, given, x_0))
    noised = steppers.known_region(diffusion, given, keep)
  if known is not None and known.shape[1]:
    amend.append(functools.partial(continued, normalizer.motion(known, origin)))
  x_0 = steppers.sample(
    denoiser, diffusion, stepper, noise, step_noise,
    amend=(lambda x_0: functools.reduce(lambda x, put: put(x), amend, x_0)) if amend else None,
    known=noised, key=key,
  )  # fmt: skip
  codes = normalizer.bounded(normalizer.codes(x_0, origin), origin)
  return smooth(codes, condition.hint, getattr(config, 'smoothing', ()))


def check(noise, condition, config):
  """Raises InputError where noise and sound are not one window that the network takes."""
  features = condition.y.shape[1]
  frames, rest = divmod(features, FEATURES_PER_FRAME)
  if rest or not 1 <= frames <= config.frames:
    raise InputError(
      f'y holds {features} audio features, expected {FEATURES_PER_FRAME} per frame and at most '
      f'{config.frames} frames: split the sound into windows'
    )
  shape = condition.y.shape[0], frames, config.motion_dim
  if noise.shape != shape:
    raise InputError(f'noise is {noise.shape}, expected {shape} to go with y {condition.y.shape}')


def smooth(codes, hint, shares):
  """Moves each frame towards the mean of its neighbours; the paper: not at all.

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


def continued(known, x_0):
  """Lets x_0 [B, T, M] begin with `known` [B, K, M] and go on from it without a jump.

  Where the network sees the last known frame somewhere else, the frames after it are moved along,
  by a share that fades, see FADE.
  """
  error = known - x_0[:, : known.shape[1]]
  fading = np.exp(-np.arange(1, x_0.shape[1] - known.shape[1] + 1) / FADE)
  after = error[:, -1:] * jnp.asarray(fading, x_0.dtype)[None, :, None]
  return x_0 + jnp.concatenate([error, after], axis=1)
