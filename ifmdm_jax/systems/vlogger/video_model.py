"""Training of the video model, in its stages; `config.stage` says which.

  base      the U-Net alone, on single frames, without any condition
  pictures  the control copy on single frames; the base is frozen (the paper's first stage)
  clips     the copy with its layers along time, on clips of consecutive frames (its second)

Of a clip all frames have one noise level. The noise is predicted, by the cosine schedule. The
reference is a frame of the same film far away in time: near ones make the task trivial (section
3.2). A stage of the cascade (`config.low`) reads the frames of the one before, noised as well, and
is told how much (Ho et al. 2022, "Cascaded Diffusion Models", section 4).

`params` are {'base', 'control'} throughout; in the stages after the first the base is frozen.
"""

import jax
import jax.numpy as jnp

from ifmdm_jax.diffusion import schedule as schedules
from ifmdm_jax.diffusion.gaussian import Gaussian
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.vlogger import video

BASE, PICTURES, CLIPS = STAGES = 'base', 'pictures', 'clips'


def init(rng, config):
  """Draws fresh parameters of all stages."""
  return video.init(rng, config)


def gaussian(config, spacing=None):
  """Builds the diffusion: all steps, for training, or those that `spacing` keeps."""
  schedule = schedules.cosine(config.timesteps)
  if spacing is not None:
    schedule = schedule.keep(schedules.spaced(len(schedule), spacing))
  return Gaussian(schedule, 'eps', learn_sigma=False, clip=1.0)


def loss(params, batch, rng, *, config, step=None, frozen=None):
  """Measures the mean squared error of the predicted noise.

  Args:
    params: of `init`.
    batch: frames float32 [B, T, S, S, 3] in [-1, 1], T being 1 but for clips; controls
      [B, T, S, S, K], not read by the base; of the cascade also low [B, T, s, s, 3].
    rng: key.
    config: config.model.
    step, frozen: not used.

  Returns:
    Scalar, and {'mse'}.

  Raises:
    InputError: config.stage is none of STAGES.
  """
  del step, frozen
  if config.stage not in STAGES:
    raise InputError(f'stage is {config.stage!r}, expected one of {", ".join(STAGES)}')
  keys = jax.random.split(rng, 4)
  clips, length = batch['frames'].shape[:2]
  rows = lambda x: x.reshape(-1, *x.shape[2:])
  one_each = lambda key: jax.random.randint(key, (clips, 1), 0, config.timesteps)
  of_clip = lambda key: jnp.broadcast_to(one_each(key), (clips, length)).reshape(-1)
  process, x_0 = gaussian(config), rows(batch['frames'])
  t, noise = of_clip(keys[0]), jax.random.normal(keys[1], x_0.shape)
  controls = None if config.stage == BASE else rows(batch['controls'])
  given = video.Given(controls=controls)
  if config.low:
    given = given._replace(**noised(rows(batch['low']), of_clip(keys[2]), keys[3], config))
  if config.stage != BASE:
    params = {**params, 'base': jax.lax.stop_gradient(params['base'])}
  made = video.denoise(params, process.q_sample(x_0, noise, t), t, given, length, config)
  mse = ((made - noise) ** 2).mean()
  return mse, {'mse': mse}


def noised(low, level, key, config):
  """Enlarges frames of the stage before and noises them: fields `low`, `level` of `video.Given`.

  Args:
    low: [N, s, s, 3].
    level: int [N], of the schedule of training.
    key: random key.
    config: config.model.
  """
  large = video.enlarged(low, config.image)
  noise = jax.random.normal(key, large.shape)
  return {'low': gaussian(config).q_sample(large, noise, level), 'level': level}


def example(config, batch):
  """Shapes a batch, for plans without data."""
  length = config.clip if config.stage == CLIPS else 1
  shape = lambda *axes: jax.ShapeDtypeStruct((batch, length, *axes), jnp.float32)
  side = config.image
  shapes = {'frames': shape(side, side, 3), 'controls': shape(side, side, video.channels(config))}
  return {**shapes, 'low': shape(config.low, config.low, 3)} if config.low else shapes
