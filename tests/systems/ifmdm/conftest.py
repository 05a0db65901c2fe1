import pytest

import ifmdm_jax as ifm


@pytest.fixture(scope='session')
def bundled():
  """The bundled weights, compiled once for all tests."""
  return ifm.load()
