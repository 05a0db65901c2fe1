"""Forward process, reading of the network's output, and the objective."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.diffusion.gaussian import PREDICTIONS, Gaussian, weighted_mean
from ifmdm_jax.diffusion.schedule import linear
from ifmdm_jax.errors import InputError


@functools.cache
def golden_numbers():
  """The formulas of the goldens in float64: {name: array}."""
  shape = (4, 64, 20)

  def draw(name, shape):  # float64, so that what is mixed below is not rounded on the way
    return testing.recipe().draw(name, shape).astype(np.float64)

  x_0 = np.clip(0.5 * draw('input/diff/x0', shape), -1, 1)
  x_0[0, 0, :2] = 1, -1
  noise = draw('input/diff/noise', shape)
  eps = noise + 0.2 * draw('input/diff/eps_err', shape)
  output = np.concatenate([eps, 0.5 * draw('input/diff/v', shape)], -1)
  with jax.enable_x64(True):
    x_0, noise, output = (jnp.asarray(a, jnp.float64) for a in (x_0, noise, output))
    t = jnp.asarray([0, 1, 500, 999])
    diffusion = Gaussian(linear())
    x_t = diffusion.q_sample(x_0, noise, t)
    mean, log_variance = diffusion.posterior(x_0, x_t, t)
    free, clipped = (diffusion.predict(output, x_t, t, clip=c) for c in (None, 1.0))
    terms = diffusion.loss_terms(output, x_0, x_t, noise, t)
    got = {
      'q_sample': x_t,
      'posterior_mean': mean,
      'posterior_logvar': log_variance[:, 0, 0],
      'p_mean': free.mean,
      'pred_x0': free.x_0,
      'p_logvar': free.log_variance,
      'p_mean_clip': clipped.mean,
      'pred_x0_clip': clipped.x_0,
      'p_logvar_clip': clipped.log_variance,
      'mse': terms.mse,
      'vb_bits': terms.vb,
      'loss': terms.mse + terms.vb,
    }
    return {name: np.asarray(value) for name, value in got.items()}


@pytest.mark.parametrize(
  'name',
  [
    'q_sample',
    'posterior_mean',
    'posterior_logvar',
    'p_mean',
    'pred_x0',
    'p_logvar',
    'p_mean_clip',
    'pred_x0_clip',
    'p_logvar_clip',
    'mse',
    'vb_bits',
    'loss',
  ],
)
def test_formulas_equal_the_original(name):
  # relative to each sample's largest value; stored as float32
  got, want = golden_numbers()[name], testing.golden('diffusion')[name]
  assert got.dtype == np.float64 and got.shape == want.shape
  scale = np.abs(want).reshape(4, -1).max(1).reshape((4,) + (1,) * (want.ndim - 1))
  assert np.max(np.abs(got - want) / scale) < 1e-6


def toy(shape=(3, 5, 4)):
  rng = np.random.default_rng(0)
  x_0, noise = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for _ in range(2))
  return x_0, noise, jnp.asarray([0, 300, 999])


@pytest.mark.parametrize('prediction', PREDICTIONS)
def test_perfect_prediction_gives_back_signal_and_noise(prediction):
  x_0, noise, t = toy()
  diffusion = Gaussian(linear(), prediction, learn_sigma=False)
  x_t = diffusion.q_sample(x_0, noise, t)
  perfect = diffusion.target(x_0, noise, t)
  got = diffusion.predict(perfect, x_t, t)
  # eps at t = 999 determines x_0 only up to 150 roundings; x_0 at t = 0, eps up to 100
  np.testing.assert_allclose(got.x_0, x_0, atol=2e-4)
  np.testing.assert_allclose(got.eps, noise, atol=2e-4)
  terms = diffusion.loss_terms(perfect, x_0, x_t, noise, t)
  np.testing.assert_array_equal(terms.mse, 0)
  np.testing.assert_array_equal(terms.vb, 0)


@pytest.mark.parametrize('shape', [(3, 4), (3, 8, 8, 2), (3, 2, 4, 4, 1)])
def test_any_shape_and_a_scalar_step_work(shape):
  x_0, noise, _ = toy(shape)
  diffusion = Gaussian(linear(), 'v', learn_sigma=False)
  every = diffusion.q_sample(x_0, noise, jnp.full(3, 20))
  np.testing.assert_array_equal(every, diffusion.q_sample(x_0, noise, 20))


def test_bound_trains_the_variance_only():
  x_0, noise, t = toy()
  diffusion = Gaussian(linear())
  x_t = diffusion.q_sample(x_0, noise, t)
  output = jnp.concatenate([noise + 0.1, 0 * noise], -1)
  gradient = jax.grad(lambda o: diffusion.loss_terms(o, x_0, x_t, noise, t).vb.sum())(output)
  np.testing.assert_array_equal(gradient[..., :4], 0)
  assert np.all(np.isfinite(gradient)) and np.all(np.abs(gradient[1:, :, 4:]).max((1, 2)) > 0)


def test_weights_leave_elements_out():
  values = jnp.asarray([[1.0, 2.0, 900.0], [4.0, 5.0, 6.0]])
  weights = jnp.asarray([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
  np.testing.assert_allclose(weighted_mean(values, weights), [1.5, 0.0])
  np.testing.assert_allclose(weighted_mean(values), [301.0, 5.0])


def test_unknown_prediction_is_refused():
  with pytest.raises(InputError, match='x_0'):
    Gaussian(linear(), 'score')
