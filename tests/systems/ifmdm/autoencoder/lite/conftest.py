"""The tiny network and its programs, compiled once for all tests of this folder."""

import functools

import jax
import pytest

from ifmdm_jax import testing
from ifmdm_jax.configs import autoencoder as configs
from ifmdm_jax.systems.ifmdm.autoencoder.lite import model


@pytest.fixture(scope='session')
def tiny():
  config = configs.get_config('tiny').model
  return config, testing.fresh_params(model, config)


@pytest.fixture(scope='session')
def encode(tiny):
  """Compiled: picture -> Portrait."""
  config, params = tiny
  run = jax.jit(lambda params, image: model.portrait(params, image, config))
  return functools.partial(run, params)


@pytest.fixture(scope='session')
def draw(tiny):
  """Compiled: Portrait, codes -> pictures."""
  config, params = tiny
  run = jax.jit(lambda params, portrait, codes: model.draw(params, portrait, codes, config))
  return functools.partial(run, params)
