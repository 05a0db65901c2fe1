"""Training of the motion model M: the clean motion from a noised one and the voice.

`config` is config.model of configs/vlogger_motion.py. `motion.MotionTransformer` is trained with
the published loss, ||x_0 - x_0'||^2 + lambda ||x_0'(i + 1) - x_0'(i)||^2, with a lambda of its own
for the expression and for the pose (arXiv 2403.08764, section 3.1; their values are not published).
`config.temporal` 'matched' compares changes with those of the truth instead, which does not hold
real motion back.

Poses are residuals from a reference: that of the portrait in sampling, of any frame of the clip in
training. Where a sound has no voice, `quiet` in a batch, lips shall rest (`RESTING`).
"""

import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax import files
from ifmdm_jax.diffusion import schedule as schedules
from ifmdm_jax.diffusion.gaussian import Gaussian
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline.face_motion import NAMES, UNITS
from ifmdm_jax.systems.vlogger import motion

POSED = np.array([name not in UNITS for name in NAMES])  # counted from the reference
RESTING = np.array([NAMES.index(name) for name in (
  'jawOpen', 'mouthFunnel', 'mouthLowerDownLeft', 'mouthLowerDownRight', 'mouthUpperUpLeft',
  'mouthUpperUpRight')])  # fmt: skip
LEAST = 0.02  # deviation, of units that hardly move
PUBLISHED, MATCHED = TEMPORAL = 'published', 'matched'


class Normalizer(NamedTuple):
  """Brings motion and voice near 0 and 1.

  Attributes:
    mean, std: [M] of expressions; of residual poses the mean is 0.
    feature_mean, feature_std: [A].
  """

  mean: np.ndarray
  std: np.ndarray
  feature_mean: np.ndarray
  feature_std: np.ndarray

  def motion(self, x, reference):
    """Turns motion [B, T, M] into deviations; reference: [B, 1, M]."""
    return (x - self._rest(reference)) / self.std[None, None]

  def back(self, x, reference):
    """Turns deviations into motion, what `motion` undoes."""
    return x * self.std[None, None] + self._rest(reference)

  def _rest(self, reference):
    return jnp.where(POSED[None, None], reference, self.mean[None, None])

  def voice(self, features):
    """Turns speech features [B, 2T, A] into deviations."""
    return (features - self.feature_mean[None, None]) / self.feature_std[None, None]


def normalizer(numbers):
  """Makes a `Normalizer` of the statistics that `pipeline.codes.write` left.

  Raises:
    InputError: they are of another motion.
  """
  if np.shape(numbers['code_mean']) != (len(NAMES),):
    raise InputError(
      f'expected statistics of {len(NAMES)} numbers a frame, got those of '
      f'{np.size(numbers["code_mean"])}: prepare with --face_motion'
    )
  mean = np.where(POSED, 0.0, numbers['code_mean'])
  std = np.where(POSED, numbers['change_std'], numbers['code_std'])
  of = lambda name: np.float32(numbers[name])
  return Normalizer(
    np.float32(mean), np.float32(np.maximum(std, LEAST)), of('feature_mean'),
    np.maximum(of('feature_std'), 1e-4),
  )  # fmt: skip


def plain(width):
  """Makes the `Normalizer` that changes nothing, for tests; width: A."""
  zeros, ones = (lambda n: np.zeros(n, np.float32)), (lambda n: np.ones(n, np.float32))
  return Normalizer(zeros(len(NAMES)), ones(len(NAMES)), zeros(width), ones(width))


def network(config):
  """Builds the transformer of a config."""
  return motion.MotionTransformer(
    config.width, config.depth, config.heads, len(NAMES), config.window
  )


def gaussian(config, spacing=None):
  """Builds the diffusion: all steps, for training, or those that `spacing` keeps."""
  schedule = schedules.cosine(config.timesteps)
  if spacing is not None:
    schedule = schedule.keep(schedules.spaced(len(schedule), spacing))
  return Gaussian(schedule, 'x_0', learn_sigma=False)


def init(rng, config):
  """Draws fresh parameters."""
  x = jnp.zeros((1, 2, len(NAMES)))
  y = motion.around(jnp.zeros((1, 4, config.audio_width)), config.reach)
  place = jnp.zeros((1,), jnp.int32)
  return network(config).init(rng, x, place, y, jnp.ones((1,), bool), place)['params']


def frozen(config):
  """Loads the `Normalizer` of `config.normalizer`, a file; '' changes nothing."""
  if not config.normalizer:
    return plain(config.audio_width)
  files.check(pathlib.Path(config.normalizer), 'statistics of a prepared set')
  return normalizer(files.read_npz(config.normalizer))


def loss(params, batch, rng, *, config, step=None, frozen=None):
  """Measures a batch at random steps, with the voice left out at times.

  Args:
    params: of `init`.
    batch: x [B, T, M], y [B, 2T, A], reference [B, 1, M], mask [B, T], and quiet [B, T + 1], as
      `pipeline.sources.windows` draws them.
    rng: key.
    config: config.model.
    step: not used.
    frozen: `Normalizer`.

  Returns:
    Scalar, and scalars to log: mse, temporal of expression and pose, jaw (the error of jawOpen).
  """
  del step
  if config.temporal not in TEMPORAL:
    raise InputError(f'temporal is {config.temporal!r}, expected one of {", ".join(TEMPORAL)}')
  keys = jax.random.split(rng, 4)
  x_0 = frozen.motion(rested(batch['x'], batch['quiet'][:, 1:]), batch['reference'])
  y = motion.around(frozen.voice(batch['y']), config.reach)
  rows = len(x_0)
  process = gaussian(config)
  t = jax.random.randint(keys[0], (rows,), 0, config.timesteps)
  noise = jax.random.normal(keys[1], x_0.shape)
  heard = ~jax.random.bernoulli(keys[2], config.drop_audio, (rows,))
  place = jax.random.randint(keys[3], (rows,), 0, motion.PERIOD)
  x_t = process.q_sample(x_0, noise, t)
  made = network(config).apply({'params': params}, x_t, t, y, heard, place)
  real = batch['mask'][..., None].astype(made.dtype)
  share = lambda error, real: (error * real).sum() / jnp.maximum(real.sum() * error.shape[-1], 1)
  squared = (made - x_0) ** 2
  change = jnp.diff(made, axis=1)
  if config.temporal == MATCHED:
    change = change - jnp.diff(x_0, axis=1)
  both = real[:, 1:] * real[:, :-1]
  temporal = {
    'temporal_expression': share(change[..., ~POSED] ** 2, both),
    'temporal_pose': share(change[..., POSED] ** 2, both),
  }
  mse = share(squared, real)
  total = mse + config.lambda_expression * temporal['temporal_expression']
  total = total + config.lambda_pose * temporal['temporal_pose']
  jaw = share(squared[..., NAMES.index('jawOpen')][..., None], real)
  return total, {'mse': mse, 'jaw': jaw, **temporal}


def rested(x, quiet):
  """Brings lips to rest where nobody speaks: x [B, T, M], quiet [B, T], 0 to 1 -> [B, T, M]."""
  lips = np.zeros(len(NAMES), np.float32)
  lips[RESTING] = 1
  return x * (1 - quiet[..., None] * lips[None, None])


def example(config, batch):
  """Shapes a batch, for plans without data."""
  shape = lambda *axes: jax.ShapeDtypeStruct((batch, *axes), jnp.float32)
  t, m = config.frames, len(NAMES)
  return {
    'x': shape(t, m), 'y': shape(2 * t, config.audio_width), 'reference': shape(1, m),
    'mask': shape(t), 'quiet': shape(t + 1),
  }  # fmt: skip
