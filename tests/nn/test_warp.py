import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.nn import warp
from ifmdm_jax.nn.warp import base_grid

grid_sample = jax.jit(warp.grid_sample)


@pytest.mark.parametrize('unit', ['grid_sample_zeros_bilinear_ac_false', 'grid_sample_zero_flow'])
def test_sampling_agrees_with_the_original(unit):
  given, _, expected = testing.golden_unit(unit)
  np.testing.assert_allclose(grid_sample(given['feat'], given['grid']), expected['y'], atol=1e-5)


def test_base_grid_is_the_one_of_the_original():
  given, _, _ = testing.golden_unit('grid_sample_zero_flow')
  np.testing.assert_allclose(base_grid(8, 8), given['grid'][:1], atol=1e-7)


def test_pixel_centres_are_read_exactly():
  image = jax.random.normal(jax.random.key(0), (1, 4, 6, 2))
  x, y = np.meshgrid((2 * np.arange(6) + 1) / 6 - 1, (2 * np.arange(4) + 1) / 4 - 1)
  grid = jnp.asarray(np.stack([x, y], -1)[None], jnp.float32)
  np.testing.assert_allclose(grid_sample(image, grid), image, atol=1e-5)


def test_the_centred_grid_moves_nothing_and_the_published_one_does():
  image = jax.random.normal(jax.random.key(0), (1, 4, 6, 2))
  np.testing.assert_allclose(grid_sample(image, base_grid(4, 6, centred=True)), image, atol=1e-5)
  assert np.abs(grid_sample(image, base_grid(4, 6)) - image).max() > 0.1


def test_outside_is_zero():
  far = jnp.full((1, 3, 3, 2), 1.9)
  assert not np.any(grid_sample(jnp.ones((1, 4, 4, 1)), far))


def test_gradient_of_the_grid_is_the_slope_of_the_picture():
  slope = jnp.broadcast_to(jnp.arange(8.0)[None, None, :, None], (1, 8, 8, 1))
  read = lambda x: grid_sample(slope, jnp.full((1, 1, 1, 2), 0.1) * x)[0, 0, 0, 0]
  np.testing.assert_allclose(jax.grad(read)(1.0), 0.1 * 8 / 2, rtol=1e-5)
