"""Fixtures of prepared sets, made once for all tests; who changes one copies it first."""

import pytest

from ifmdm_jax import testing


@pytest.fixture(scope='session')
def drawn_set(tmp_path_factory):
  """Four drawn faces of 20 frames at 64 px, with codes and features of noise."""
  return testing.write_cache(tmp_path_factory.mktemp('drawn') / 'set', num_frames=20)
