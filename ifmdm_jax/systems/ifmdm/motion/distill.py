"""Distils a student that needs one evaluation where its guided teacher needs several.

Progressive distillation (Salimans & Ho 2022, "Progressive Distillation for Fast Sampling of
Diffusion Models", algorithm 2) with the guidance folded in (Meng et al. 2023, "On Distillation of
Guided Diffusion Models"): the student's one DDIM step is to land where `substeps` guided DDIM steps
of the teacher land. It then samples with `student_steps` evaluations and guidance 1, which is a
single pass. A second round takes the first student for its teacher, with guidance 1.

`config` is `config.model` of configs/distill.py: that of the teacher and `teacher`, `guidance`,
`student_steps`, `substeps`.
"""

import pathlib

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ifmdm_jax import files
from ifmdm_jax.diffusion import steppers
from ifmdm_jax.diffusion.gaussian import weighted_mean
from ifmdm_jax.diffusion.schedule import Trailing, at
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm.motion import augment, model, sample

init = model.init


def advice(config):
  """Returns how a student is to be sampled with: `config.sampler` of configs/distill.py."""
  return ml_collections.ConfigDict(dict(steps=config.student_steps, guidance=1.0, stepper='ddim'))


def check(config, solver):
  """Raises InputError where `config.model` is a student's and has not learned what is asked."""
  learned = config.get('student_steps')
  if not learned:
    return
  learned_steps = [
    n for n in range(1, learned + 1) if learned % n == 0
  ]  # all or every so many of them
  if solver.steps not in map(Trailing, learned_steps) or solver.guidance != 1:
    raise InputError(
      f'expected {", ".join(map(str, learned_steps))} steps and guidance 1 of a student, got '
      f'{solver.steps} and {solver.guidance}: leave both out, or take its teacher, '
      'ifm.load(teacher=True) or --teacher'
    )


def frozen(config):
  """Loads {'normalizer': how the network sees codes, 'teacher': its weights}."""
  return dict(normalizer=model.frozen(config), teacher=read(config.teacher))


def read(path):
  """Reads a teacher: a workdir of `ifmdm_jax.train`, or motion.safetensors of a bundle."""
  path = pathlib.Path(path)
  if path.suffix == '.safetensors':
    if not path.is_file():
      raise InputError(
        f'expected a teacher at config.model.teacher={path}, there is no such file: '
        'pass a run of stage 2, or motion.safetensors of a bundle'
      )
    return files.read_arrays(path)
  from ifmdm_jax.training import checkpoints  # here: bundles need no Orbax

  return checkpoints.load(path)[1]


def loss(params, batch, rng, *, config, step=None, frozen):
  """Measures how far the student's clean signal is from the one that lands with the teacher.

  Args:
    params: of the student.
    batch: as for `model.loss`.
    frozen: of `frozen`.

  Returns:
    Scalar, and scalars to log: loss, mse, velocity.
  """
  del step
  normalizer = frozen['normalizer']
  rng_step, rng_noise, rng_astray = jax.random.split(rng, 3)
  batch = augment.quieten(batch, normalizer)
  if normalizer.fixed:
    batch = augment.stray(batch, normalizer, rng_astray)
  x_0, condition, _, weights = model.window(batch, config, normalizer)

  diffusion = model.gaussian(config, Trailing(config.student_steps * config.substeps))
  which = jax.random.randint(rng_step, x_0.shape[:1], 0, config.student_steps)
  start = config.substeps * (which + 1) - 1  # in the teacher's steps
  x_t = diffusion.q_sample(x_0, jax.random.normal(rng_noise, x_0.shape, x_0.dtype), start)
  teacher = sample.guided_denoiser(frozen['teacher'], config, condition, config.guidance)
  target = jax.lax.stop_gradient(landing(teacher, diffusion, x_t, start, config.substeps))

  timesteps = jnp.asarray(diffusion.schedule.timesteps, jnp.int32)
  output = sample.denoise(params, config, x_t, timesteps[start], condition)
  error = diffusion.predict(output, x_t, start).x_0 - target
  metrics = {
    'mse': weighted_mean(error**2, weights).mean(),
    'velocity': weighted_mean(model.change(error) ** 2, weights).mean(),
  }
  total = metrics['mse'] + config.velocity_weight * metrics['velocity']
  return total, {'loss': total, **metrics}


def landing(denoise, diffusion, x_t, start, substeps):
  """Finds the x_0 with which one DDIM step from `start` [B] equals `substeps` of `denoise`."""
  schedule = diffusion.schedule
  timesteps = jnp.asarray(schedule.timesteps, jnp.int32)
  x = x_t
  for k in range(substeps):
    i = start - k
    x_0 = diffusion.predict(denoise(x, timesteps[i]), x, i)
    x = steppers.DDIM()(schedule, x_0, i, None, None)
  now = schedule.alpha_bar
  before = np.append(np.ones(substeps), now)[: len(now)]  # `substeps` steps earlier; 1 is clean
  keep = np.sqrt((1 - before) / (1 - now))  # of the noise of x_t
  gain = np.sqrt(before) - keep * np.sqrt(now)
  return (x - at(keep, start, x) * x_t) / at(gain, start, x)
