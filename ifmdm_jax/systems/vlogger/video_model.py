"""Training of the video model, in its stages; `config.stage` says which.

  base      the U-Net alone, on single frames, without any condition
  pictures  the control copy on single frames; the base is frozen (the paper's first stage)
  clips     the copy with its layers along time, on clips of consecutive frames (its second)

What a batch says of the bodies in it becomes controls within the update, on its device. Of a clip
all frames have one noise level, by the cosine schedule. `config.prediction` is the noise, as
published, or v. The reference is a frame of the same film far away in time: near ones make the task
trivial (section 3.2). A stage of the cascade (`config.low`) reads the frames of the one before,
noised as well, and is told how much (Ho et al. 2022, "Cascaded Diffusion Models", section 4).

`params` are {'base', 'control'} throughout; in the stages after the first the base is frozen, where
`config.frozen` says so: a size that is trained for hours has no prior to keep, and may begin with
the second.
"""

import jax
import jax.numpy as jnp

from ifmdm_jax.diffusion import schedule as schedules
from ifmdm_jax.diffusion import steppers
from ifmdm_jax.diffusion.gaussian import Gaussian
from ifmdm_jax.errors import InputError
from ifmdm_jax.nn.control import copy_of
from ifmdm_jax.nn.pixels import as_bytes, as_float
from ifmdm_jax.systems.vlogger import body, clips, controls, video

BASE, PICTURES, CLIPS = STAGES = 'base', 'pictures', 'clips'
STEPS = '20'  # of sampling, of pictures that a run shows


def init(rng, config):
  """Draws fresh parameters of all stages."""
  return video.init(rng, config)


def begin(params, config):
  """Makes the control copy anew of a base that was trained meanwhile, unless it is in use."""
  joins = {name: x for name, x in params['control'].items() if name.startswith('zero_')}
  used = any(bool(jnp.any(leaf)) for leaf in jax.tree.leaves(joins))
  if config.stage == BASE or used:
    return params
  return {**params, 'control': copy_of(params['base'], params['control'])}


def frozen(config):
  """Loads the body."""
  del config
  return body.load()


def shown(model, batch, config):
  """Draws what clips are conditioned on: [B, T, S, S, K], see `video.joined`.

  Args:
    model: `body.Body`.
    batch: see `clips.make_loader`.
    config: config.model.
  """

  def one(clip):
    side = config.image
    focal, identity = clip['focal'] * side, clip['identity']
    known = controls.reference(model, identity, clip['at'], focal, clip['reference'])
    drawn = controls.draw(model, identity, clip['motion'], focal, known, (side, side))
    picture = jnp.broadcast_to(known.picture[None], drawn.warped.shape)
    return video.joined(drawn, picture)

  return jax.lax.map(one, {name: x for name, x in batch.items() if name != 'frames'})


def gaussian(config, spacing=None):
  """Builds the diffusion: all steps, for training, or those that `spacing` keeps.

  Raises:
    InputError: there is no such prediction or spacing, or `config.residual` is of another than v.
  """
  if config.residual and config.prediction != 'v':
    raise InputError(f'residual takes prediction v, got {config.prediction}: set one of them')
  schedule = schedules.cosine(config.timesteps)
  if spacing is not None:
    schedule = schedule.keep(schedules.spaced(len(schedule), spacing))
  return Gaussian(schedule, config.prediction, learn_sigma=False, clip=1.0)


def loss(params, batch, rng, *, config, step=None, frozen=None):
  """Measures the mean squared error of what is predicted.

  Args:
    params: of `init`.
    batch: see `clips.make_loader`; of it one frame a clip is seen in stages but the last.
    rng: key.
    config: config.model.
    step: not used.
    frozen: `body.Body`.

  Returns:
    Scalar, and {'mse'}.

  Raises:
    InputError: config.stage is none of STAGES.
  """
  del step
  if config.stage not in STAGES:
    raise InputError(f'stage is {config.stage!r}, expected one of {", ".join(STAGES)}')
  keys = jax.random.split(rng, 4)
  if config.stage != CLIPS:
    batch = {**batch, 'frames': batch['frames'][:, :1], 'motion': batch['motion'][:, :1]}
  clips, length = batch['frames'].shape[:2]
  rows = lambda x: x.reshape(-1, *x.shape[2:])
  one_each = lambda key: jax.random.randint(key, (clips, 1), 0, config.timesteps)
  of_clip = lambda key: jnp.broadcast_to(one_each(key), (clips, length)).reshape(-1)
  process, x_0 = gaussian(config), as_float(rows(batch['frames']))
  t, noise = of_clip(keys[0]), jax.random.normal(keys[1], x_0.shape)
  given = video.Given()
  if config.stage != BASE:
    given = given._replace(controls=rows(shown(frozen, batch, config)))
  if config.low:
    low = jax.image.resize(x_0, (len(x_0), config.low, config.low, video.RGB), 'linear')
    given = given._replace(**noised(low, of_clip(keys[2]), keys[3], config))
  if config.stage != BASE and config.frozen:
    params = {**params, 'base': jax.lax.stop_gradient(params['base'])}
  made = video.denoise(params, process.q_sample(x_0, noise, t), t, given, length, config)
  mse = ((made - process.target(x_0, noise, t)) ** 2).mean()
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


def pictures(params, batch, config):
  """Draws a strip: references, targets, and what `STEPS` steps make of noise; of a stage of the
  cascade with the frames of the stage before as they are."""
  few = {name: x[:4] for name, x in batch.items()}
  few = {**few, 'frames': few['frames'][:, :1], 'motion': few['motion'][:, :1]}
  real = as_float(few['frames'][:, 0])
  given = video.Given()
  if config.stage != BASE:
    given = given._replace(controls=shown(body.load(), few, config)[:, 0])
  if config.low:
    low = jax.image.resize(real, (len(real), config.low, config.low, video.RGB), 'linear')
    level = jnp.zeros((len(real),), jnp.int32)
    given = given._replace(low=video.enlarged(low, config.image), level=level)
  process, key = gaussian(config, STEPS), jax.random.key(0)
  denoise = lambda x_t, t: video.denoise(
    params, x_t, jnp.full((len(real),), t, jnp.int32), given, 1, config
  )
  made = steppers.sample(
    denoise, process, steppers.DDIM(), jax.random.normal(key, real.shape)
  )  # fmt: skip
  rows = as_float(few['reference']), real, made
  strip = jnp.concatenate([jnp.concatenate(list(row), axis=1) for row in rows])
  return {'reference_target_made': jax.device_get(as_bytes(strip))}


def example(config, batch):
  """Shapes a batch, for plans without data."""
  shapes = clips.example(config.image, config.clip, len(body.load().identity), batch)
  return {name: jax.ShapeDtypeStruct(shape, dtype) for name, (dtype, shape) in shapes.items()}
