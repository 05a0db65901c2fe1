"""DDPM and DDIM against the trajectories of the original, and their promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.diffusion import steppers
from ifmdm_jax.diffusion.gaussian import Gaussian
from ifmdm_jax.diffusion.schedule import linear, spaced
from ifmdm_jax.errors import InputError

SHAPE = (2, 64, 20)
RUNS = [
  'ddim_ddim25',
  'ddim_even25',
  'ddim_ddim25_clip',
  'ddim_ddim25_eta1',
  'ddpm_even25',
  'ddpm_even250',
  'ddpm_even250_clip',
  'B_ddim_ddim25',
  'B_ddim_even50',
  'B_ddpm_even25',
  'B_ddpm_even250',
]


def toy(x, t):  # does not denoise
  eps = 0.1 * x + 0.01 * t.astype(x.dtype) / 1000
  return jnp.concatenate([eps, 0.5 * jnp.tanh(x)], -1)


def toy_b(x, t):  # the best guess for standard normal data
  strength = jnp.asarray(np.sqrt(1 - linear().alpha_bar), x.dtype)[t]
  return jnp.concatenate([strength * x + 0.01 * t.astype(x.dtype) / 1000, 0.5 * jnp.tanh(x)], -1)


@pytest.mark.parametrize('tag', RUNS)
def test_trajectories_equal_the_original(tag):
  golden = testing.golden('diffusion')
  draw = testing.recipe().draw
  method, spacing, *extra = tag.removeprefix('B_').split('_')
  schedule = linear()
  schedule = schedule.keep(spaced(1000, spacing))
  stepper = steppers.DDPM() if method == 'ddpm' else steppers.DDIM(float('eta1' in extra))
  diffusion = Gaussian(schedule, clip=1.0 if 'clip' in extra else None)
  x_T = draw('input/diff/xT', SHAPE)
  noise = None
  if stepper.stochastic:
    noise = np.stack([draw(f'input/diff/step_noise/{j}', SHAPE) for j in range(len(schedule))])

  @jax.jit
  def run(x_T, noise):
    network = toy_b if tag.startswith('B_') else toy
    return steppers.sample(network, diffusion, stepper, x_T, noise, trajectory=True)

  final, path = run(x_T, noise)
  checks = {'final': final}
  for j in golden[f'traj/{tag}/kept_steps']:
    checks[f'after_{j}'] = path[j, :1, :4]
  for name, got in checks.items():
    want = golden[f'traj/{tag}/{name}']
    error = np.abs(np.asarray(got) - want).max()
    limit = 3e-5 if tag.startswith('B_') else 1e-5 * max(np.abs(want).max(), 1)
    assert error < limit, f'{name}: {error:.1e}'


@pytest.mark.parametrize('spacing', ['even10', 'ddim10', 'even1', 'trailing4'])
@pytest.mark.parametrize('stepper', [steppers.DDIM(), steppers.DDPM(), steppers.DPMSolver()])
def test_a_network_that_knows_the_answer_gives_it(stepper, spacing):
  answer = jnp.linspace(-1, 1, 24).reshape(2, 3, 4)
  schedule = linear()
  diffusion = Gaussian(schedule.keep(spaced(1000, spacing)), 'x_0', learn_sigma=False)
  noise = jax.random.normal(jax.random.key(0), (len(diffusion.schedule), 2, 3, 4))
  got = steppers.sample(lambda x, t: answer, diffusion, stepper, noise[0], noise)
  np.testing.assert_allclose(got, answer, atol=1e-5)


def error_on_gaussian_data(stepper, steps, deviation=0.3):
  """Distance from the exact solution of the sampling equation for data N(0, deviation^2)."""
  schedule = linear().keep(spaced(1000, f'trailing{steps}'))
  signal = linear().alpha_bar
  shrink = np.sqrt(signal) * deviation**2 / (signal * deviation**2 + 1 - signal)
  last = signal[-1]
  x_T = jnp.linspace(-2, 2, 8).reshape(1, 8)
  exact = x_T * deviation / np.sqrt(last * deviation**2 + 1 - last)
  table = jnp.asarray(shrink, jnp.float32)
  diffusion = Gaussian(schedule, 'x_0', learn_sigma=False)
  got = steppers.sample(lambda x, t: table[t] * x, diffusion, stepper, x_T)
  return float(jnp.abs(got - exact).max())


def test_the_second_order_solver_needs_fewer_steps():
  first, second = steppers.DDIM(), steppers.DPMSolver()
  assert error_on_gaussian_data(second, 20) < 0.8 * error_on_gaussian_data(first, 20)
  assert error_on_gaussian_data(second, 40) < 0.4 * error_on_gaussian_data(first, 40)


def test_what_is_known_comes_out_and_the_rest_is_reported():
  values, known = jnp.full((1, 6, 1), 0.7), (jnp.arange(6) < 2)[None, :, None]
  amend = lambda x_0: jnp.where(known, values, x_0)
  diffusion = Gaussian(linear().keep(spaced(1000, 'trailing200')), 'x_0', learn_sigma=False)

  def network(x, t):  # sees the known part in the noise, and repeats its mean
    level = jnp.asarray(np.sqrt(linear().alpha_bar), x.dtype)[t]
    return jnp.broadcast_to(x[:, :2].mean(1, keepdims=True) / level, x.shape)

  x_T = jax.random.normal(jax.random.key(0), values.shape)
  got = steppers.sample(network, diffusion, steppers.DDIM(), x_T, amend=amend)
  np.testing.assert_allclose(got[:, :2], 0.7, atol=1e-6)
  assert jnp.abs(got[:, 2:] - 0.7).max() < 0.3  # from noise of deviation 1


def test_network_is_reported_the_original_index():
  schedule = linear().keep(spaced(1000, 'ddim25'))
  diffusion = Gaussian(schedule, 'x_0', learn_sigma=False)

  def network(x, t):
    return jnp.full_like(x, t.astype(x.dtype))

  _, path = steppers.sample(network, diffusion, steppers.DDIM(), jnp.zeros((1, 1)), trajectory=True)
  assert path[-1] == 0.0  # the last step was told t = 0 and moves to x_0 itself
  expected = np.sqrt(schedule.alpha_bar[-2]) * 960
  expected -= (
    np.sqrt(1 - schedule.alpha_bar[-2])
    * np.sqrt(schedule.alpha_bar[-1] / (1 - schedule.alpha_bar[-1]))
    * 960
  )
  np.testing.assert_allclose(path[0, 0, 0], expected, rtol=1e-5)


def test_stochastic_stepper_without_noise_is_refused():
  with pytest.raises(InputError, match='pass noise'):
    steppers.sample(toy, Gaussian(linear()), steppers.DDPM(), jnp.zeros(SHAPE))


def test_a_known_region_is_the_noised_signal_at_every_evaluation():
  """The mask, and its levels: seen by the network in place of x_t, with fresh noise every step."""
  diffusion = Gaussian(linear().keep(spaced(1000, 'trailing4')), learn_sigma=False)
  x_0 = jnp.asarray(np.linspace(-1, 1, 4 * 3000).reshape(1, 4, 3000), jnp.float32)
  keep = jnp.array([1.0, 0.0, 1.0, 0.0])[None, :, None]
  x_T = jax.random.normal(jax.random.key(1), x_0.shape)
  seen = []

  def denoise(x_t, t):
    jax.debug.callback(lambda x, t: seen.append((int(t), np.asarray(x))), x_t, t, ordered=True)
    return jnp.zeros_like(x_t)

  known = steppers.known_region(diffusion, x_0, keep)
  run = lambda **more: steppers.sample(denoise, diffusion, steppers.DDIM(), x_T, **more)
  run(known=known, key=jax.random.key(2))
  jax.effects_barrier()
  assert [t for t, _ in seen] == [999, 749, 499, 249]
  noises = []
  for index, (_, x_t) in zip((3, 2, 1, 0), seen):
    alpha_bar = diffusion.schedule.alpha_bar[index]
    noise = (x_t - np.sqrt(alpha_bar) * x_0)[0, [0, 2]] / np.sqrt(1 - alpha_bar)
    noises.append(noise.ravel())
    assert abs(noise.mean()) < 0.05 and abs(noise.std() - 1) < 0.05  # 6,000 draws
  correlation = np.corrcoef(noises)
  assert np.abs(correlation - np.eye(4)).max() < 0.06
  np.testing.assert_array_equal(seen[0][1][0, 1], x_T[0, 1])  # elsewhere the noise that came


def test_a_known_region_with_amend_is_exact_at_the_end():
  diffusion = Gaussian(linear().keep(spaced(1000, 'trailing4')), learn_sigma=False)
  x_0, keep = jnp.full((1, 4, 2), 0.3), jnp.array([1.0, 0.0, 1.0, 0.0])[None, :, None]
  x_T = jax.random.normal(jax.random.key(1), x_0.shape)
  found = steppers.sample(
    lambda x_t, t: 0.1 * x_t,
    diffusion,
    steppers.DDIM(),
    x_T,
    known=steppers.known_region(diffusion, x_0, keep),
    amend=lambda x: jnp.where(keep > 0, x_0, x),
    key=jax.random.key(0),
  )
  np.testing.assert_array_equal(found[0, [0, 2]], x_0[0, [0, 2]])
  assert np.abs(found[0, [1, 3]] - 0.3).min() > 0


def test_a_known_region_without_a_key_is_reported():
  diffusion = Gaussian(linear(10), learn_sigma=False)
  with pytest.raises(InputError, match='pass key='):
    steppers.sample(
      lambda x, t: x, diffusion, steppers.DDIM(), jnp.zeros((1, 2)), known=lambda x, t, key: x
    )


def test_frames_may_have_levels_of_their_own():
  diffusion = Gaussian(linear(), learn_sigma=False)
  x_0, noise = jnp.ones((2, 3, 4, 4, 1)), jnp.full((2, 3, 4, 4, 1), 2.0)
  t = jnp.array([[0, 500, 999], [10, 10, 10]])
  x_t = diffusion.q_sample(x_0, noise, t)
  alpha_bar = diffusion.schedule.alpha_bar[np.asarray(t)][..., None, None, None]
  expected = np.broadcast_to(np.sqrt(alpha_bar) + 2 * np.sqrt(1 - alpha_bar), x_t.shape)
  np.testing.assert_allclose(x_t, expected, rtol=1e-5)
