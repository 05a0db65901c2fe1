"""The student of a guided teacher."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.configs import distill as configs
from ifmdm_jax.diffusion import steppers
from ifmdm_jax.diffusion.gaussian import Gaussian
from ifmdm_jax.diffusion.schedule import linear, spaced
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm.motion import distill, model


def test_one_step_of_the_student_lands_where_the_teacher_does():
  substeps, students = 3, 4
  diffusion = Gaussian(linear().keep(spaced(1000, substeps * students)), 'x_0', learn_sigma=False)
  x_t = jax.random.normal(jax.random.key(0), (students, 5, 2))
  teacher = lambda x, t: jnp.tanh(x + t[:, None, None].astype(x.dtype) / 1000)
  start = substeps * (jnp.arange(students) + 1) - 1
  target = distill.landing(teacher, diffusion, x_t, start, substeps)

  few = Gaussian(linear().keep(spaced(1000, students)), 'x_0', learn_sigma=False)
  student = few.predict(target, x_t, jnp.arange(students))
  once = steppers.DDIM()(few.schedule, student, jnp.arange(students), None, None)
  x = x_t
  for k in range(substeps):
    said = teacher(x, jnp.asarray(diffusion.schedule.timesteps, jnp.int32)[start - k])
    said = diffusion.predict(said, x, start - k)
    x = steppers.DDIM()(diffusion.schedule, said, start - k, None, None)
  np.testing.assert_allclose(once, x, atol=1e-4)


def test_a_student_that_is_its_teacher_has_nothing_to_learn():
  config = configs.get_config('tiny').model
  config.update(substeps=1, guidance=1.0, prediction='x_0', learn_sigma=False)
  shapes = jax.eval_shape(lambda rng: distill.init(rng, config), jax.random.key(0))
  params = testing.random_params(shapes, scale=0.1)
  frozen = dict(normalizer=model.frozen(config), teacher=params)
  rng = np.random.default_rng(0)
  draw = lambda *shape: rng.standard_normal((2, *shape)).astype(np.float32)
  one = draw(1, 20)
  batch = dict(x=draw(8, 20), y=draw(16, 12), hint=one, mean=one, std=np.abs(one))
  batch['mask'] = np.ones((2, 8), np.float32)
  loss = jax.jit(lambda p: distill.loss(p, batch, jax.random.key(1), config=config, frozen=frozen))
  assert loss(params)[0] < 1e-8
  other = jax.tree.map(lambda x: 1.5 * x, params)
  assert loss(other)[0] > 1e-4


def test_a_missing_teacher_is_said(tmp_path):
  with pytest.raises(InputError, match='teacher'):
    distill.read(tmp_path / 'motion.safetensors')
