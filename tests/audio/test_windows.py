import numpy as np
import pytest

from ifmdm_jax.audio import windows


@pytest.mark.parametrize('count', [1, 499, 500, 501, 900, 901, 1300, 4321])
def test_windows_cover_everything_and_overlap(count):
  begins = windows.starts(count, 500, 100)
  assert begins[0] == 0 and max(begins) + min(500, count) == count
  assert all(0 < b - a <= 400 for a, b in zip(begins, begins[1:]))


@pytest.mark.parametrize('count', [1, 7, 30, 31, 200])
def test_a_network_without_memory_is_unchanged_by_windows(count):
  inputs = np.random.default_rng(0).standard_normal((count * 2, 3)).astype(np.float32)
  network = lambda x, valid: x.reshape(x.shape[0], -1, 6)
  ours = windows.encode(network, inputs, 2, buckets=(10, 30), overlap=8)
  np.testing.assert_allclose(ours, inputs.reshape(count, 6), atol=1e-6)


def test_only_the_buckets_are_compiled():
  shapes = set()

  def network(x, valid):
    shapes.add(x.shape)
    return x

  for count in range(1, 120):
    windows.encode(network, np.zeros((count, 1), np.float32), 1, buckets=(10, 30), overlap=8)
  assert shapes == {(1, 10, 1), (1, 30, 1)}


def test_neighbouring_windows_fade_into_each_other():
  calls = iter(range(10))
  network = lambda x, valid: np.full((1, x.shape[1], 1), next(calls), np.float32)
  ours = windows.encode(network, np.zeros((70, 1), np.float32), 1, buckets=(30,), overlap=10)[:, 0]
  assert ours[0] == 0 and ours[-1] == 2
  assert (np.diff(ours) >= 0).all() and np.diff(ours).max() < 0.15
