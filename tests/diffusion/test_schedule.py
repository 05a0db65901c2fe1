"""Tables of the schedule and the choice of steps."""

import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.diffusion import schedule as schedules
from ifmdm_jax.errors import InputError

TABLES = {  # name in the goldens: attribute
  'betas': lambda s: s.betas,
  'alphas_cumprod': lambda s: s.alpha_bar,
  'posterior_variance': lambda s: s.posterior_variance,
  'posterior_log_variance_clipped': lambda s: s.posterior_log_variance,
  'posterior_mean_coef_x0': lambda s: s.posterior_mean_x_0,
  'posterior_mean_coef_xt': lambda s: s.posterior_mean_x_t,
  'log_betas': lambda s: np.log(s.betas),
}


@pytest.mark.parametrize('name', TABLES)
def test_tables_equal_the_original(name):
  golden = testing.golden('diffusion')
  table = TABLES[name](schedules.linear())
  np.testing.assert_allclose(table[golden['steps']], golden[name], rtol=1e-9)
  np.testing.assert_allclose(table.sum(), golden[f'{name}_all_sum'], rtol=1e-9)


@pytest.mark.parametrize(
  'tag', ['even25', 'even50', 'even250', 'ddim10', 'ddim25', 'ddim50', 'ddim100', 'ddim250']
)
def test_kept_steps_equal_the_original(tag):
  kept = schedules.spaced(1000, tag)
  np.testing.assert_array_equal(kept, testing.golden('diffusion')[f'steps_{tag}'])


@pytest.mark.parametrize('tag', ['even25', 'even250', 'ddim25'])
def test_merged_betas_equal_the_original(tag):
  kept = schedules.linear().keep(schedules.spaced(1000, tag))
  n = len(kept)
  run = 'ddpm_even250' if tag == 'even250' else f'ddim_{tag}'
  golden = testing.golden('diffusion')[f'traj/{run}/betas']
  np.testing.assert_allclose(kept.betas[[0, 1, n // 2, n - 1]], golden, rtol=1e-6)  # float32 there


def test_kept_steps_have_the_noise_of_the_full_schedule():
  full = schedules.linear()
  kept = full.keep(schedules.spaced(1000, 'ddim10'))
  np.testing.assert_allclose(kept.alpha_bar, full.alpha_bar[kept.timesteps], rtol=1e-12)


def test_trailing_steps_start_at_noise_and_skip_the_clean_end():
  np.testing.assert_array_equal(schedules.spaced(1000, 'trailing4'), [249, 499, 749, 999])
  np.testing.assert_array_equal(schedules.spaced(1000, 'trailing1'), [999])
  assert schedules.spaced(1000, 'trailing1000')[0] == 0


@pytest.mark.parametrize(
  'spacing',
  ['0', '1001', 'ddim', 'ddim999', 'fast', '-3', 'trailing', 'trailing0', 'ddimtrailing4', '4x'],
)
def test_impossible_spacing_is_refused_in_one_line(spacing):
  with pytest.raises(InputError) as error:
    schedules.spaced(1000, spacing)
  assert '\n' not in str(error.value)


def test_a_spacing_is_a_value_and_a_plain_number_is_trailing():
  assert schedules.spacing(4) == schedules.spacing('4') == schedules.Trailing(4)
  assert (
    schedules.Trailing(4) != schedules.Even(4) and len({schedules.Even(4), schedules.Even(4)}) == 1
  )
  for word in ('trailing4', 'even25', 'ddim25'):
    assert str(schedules.spacing(word)) == word


@pytest.mark.parametrize('spacing', ['even1', 'ddim1', 'trailing1', '1000', 'ddim1000', 'even1000'])
def test_extreme_spacings_work(spacing):
  kept = schedules.linear().keep(schedules.spaced(1000, spacing))
  assert len(kept) == schedules.spacing(spacing).count
  assert np.isfinite(kept.posterior_log_variance).all()


def test_the_root_of_beta_is_linear():
  schedule = schedules.sqrt_linear()
  roots = np.sqrt(schedule.betas)
  np.testing.assert_allclose(np.diff(roots), (np.sqrt(0.0195) - np.sqrt(0.0015)) / 999, rtol=1e-9)
  np.testing.assert_allclose(schedule.betas[[0, -1]], [0.0015, 0.0195], rtol=1e-12)
  assert schedule.timesteps.tolist() == list(range(1000))


def test_cosine_leaves_the_signal_of_its_formula_until_beta_is_bounded():
  schedule = schedules.cosine()
  f = lambda t: np.cos((t / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
  t = np.arange(1, 1000)  # the last step is the bounded one
  np.testing.assert_allclose(schedule.alpha_bar[:-1], f(t) / f(0), rtol=1e-8)
  assert schedule.betas[-1] == 0.999 and schedule.betas.max() == 0.999


@pytest.mark.parametrize('make', [schedules.linear, schedules.sqrt_linear, schedules.cosine])
def test_every_schedule_ends_in_noise_and_can_be_spaced(make):
  schedule = make()
  assert schedule.alpha_bar[0] > 0.99 and schedule.alpha_bar[-1] < 0.02
  kept = schedule.keep(schedules.spaced(1000, 'trailing20'))
  np.testing.assert_allclose(kept.alpha_bar, schedule.alpha_bar[kept.timesteps], rtol=1e-9)
