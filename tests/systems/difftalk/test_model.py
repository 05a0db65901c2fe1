import csv

import jax
import numpy as np
import pytest

from ifmdm_jax.configs import difftalk
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.difftalk import model


def test_the_loss_falls(run):
  _, workdir, _ = run
  rows = csv.DictReader((workdir / 'log.csv').open())
  mse = [float(row['value']) for row in rows if row['name'] == 'train/mse']
  assert 0.9 < mse[0] < 1.2 and mse[-1] < 0.85 * mse[0]


def test_every_part_learns_and_is_averaged(run):
  """The published program averages the U-Net alone, and samples with two encoders as they are."""
  config, _, state = run
  fresh = jax.jit(lambda key: model.init(key, config.model))(jax.random.key(0, impl='rbg'))
  assert {'audio', 'attention', 'landmarks', 'unet'} == set(state.params) == set(state.ema)
  for name, part in fresh.items():
    differs = lambda a, b: max(
      jax.tree.leaves(jax.tree.map(lambda x, y: float(abs(x - y).max()), a, b))
    )
    assert differs(part, state.params[name]) > 1e-4, f'{name} has not learned'
    assert differs(state.ema[name], state.params[name]) > 1e-5, f'{name} is not averaged'


def test_the_schedule_is_linear_in_the_root_of_beta():
  betas = model.gaussian(difftalk.get_config('tiny').model).schedule.betas
  np.testing.assert_allclose(betas[[0, -1]], [0.0015, 0.0195])
  np.testing.assert_allclose(np.diff(np.sqrt(betas), n=2), 0, atol=1e-12)


def test_a_stage_1_that_is_none_is_refused(run):
  config, workdir, _ = run
  config = config.copy_and_resolve_references()
  config.model.autoencoder = str(workdir)
  with pytest.raises(InputError, match='run of configs/difftalk_autoencoder.py'):
    model.load_autoencoder(config.model)
