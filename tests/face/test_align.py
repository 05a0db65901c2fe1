import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.face import align
from tests.evaluation import synthetic


def turned(points, angle, scale, shift):
  turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
  return (scale * points @ turn.T + shift).astype(points.dtype)


def test_a_similarity_is_found_again():
  rng = np.random.default_rng(0)
  start = rng.uniform(0.2, 0.8, (2, 30, 2)).astype(np.float32)
  places = rng.uniform(0, 1, (1, 4, 5, 2)).astype(np.float32)
  expected = np.repeat(turned(places, 0.3, 1.1, 0.1), 2, 0)
  for array in (np.asarray, jnp.asarray):
    move = align.similarity(array(start), array(turned(start, 0.3, 1.1, 0.1)))
    np.testing.assert_allclose(move(array(places)), expected, atol=1e-5)


def test_a_similarity_is_undone():
  points = synthetic.mesh(1)
  moved = turned(points, 0.4, 1.3, [30, -10])
  np.testing.assert_allclose(align.similarity(moved, points)(moved), points, atol=1e-2)


def test_the_matrix_says_the_same_as_the_function():
  rng = np.random.default_rng(0)
  start, end, places = rng.normal(size=(3, 4, 6, 2))
  move = align.similarity(start, end)
  matrix = move.matrix
  linear = np.einsum('bij,bpj->bpi', matrix[:, :, :2], places)
  np.testing.assert_allclose(move(places), linear + matrix[:, None, :, 2], atol=1e-12)


def test_the_library_is_that_of_the_input_and_both_agree():
  start, end = np.random.default_rng(0).normal(size=(2, 3, 6, 2)).astype(np.float32)
  ours, jitted = align.similarity(start, end), jax.jit(align.similarity)(start, end)
  assert all(isinstance(part, np.ndarray) for part in ours)
  assert all(isinstance(part, jax.Array) for part in jitted)
  for a, b in zip(ours, jitted):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_one_target_serves_many_frames():
  start = np.random.default_rng(0).normal(size=(3, 6, 2))
  one = align.similarity(start, start[:1])
  np.testing.assert_allclose(one(start)[0], start[0], atol=1e-12)
  many = align.similarity(start, np.repeat(start[:1], 3, axis=0))
  np.testing.assert_allclose(one(start), many(start), atol=1e-12)


@pytest.mark.parametrize('mirror', [False, True])
def test_it_never_mirrors(mirror):
  start = np.random.default_rng(0).normal(size=(6, 2))
  matrix = align.similarity(start, start * [-1, 1] if mirror else start).matrix
  assert np.linalg.det(matrix[:, :2]) >= 0
