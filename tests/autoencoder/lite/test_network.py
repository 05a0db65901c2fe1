import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import autoencoder as configs
from ifmdm_jax.autoencoder.lite import composite, model, network


@pytest.fixture(scope='module')
def tiny():
  config = configs.get_config('tiny').model
  return config, model.init(jax.random.key(0), config)


def picture(seed, side=64):
  return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


def test_identity_grid_samples_the_picture_itself():
  image = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
  grid = jnp.broadcast_to(composite.identity_grid(16)[None], (2, 16, 16, 2))
  np.testing.assert_allclose(composite.sample(image, grid), image, atol=1e-5)


def test_sampling_looks_where_the_grid_points():
  image = jnp.zeros((1, 8, 8, 1)).at[0, 2, 5].set(1.0)
  grid = jnp.full((1, 1, 1, 2), jnp.array([5.5, 2.5]) / 8)  # x before y, centres at half pixels
  assert composite.sample(image, grid).item() == pytest.approx(1.0)


def test_upsampling_a_ramp_is_exact_inside():
  ramp = jnp.broadcast_to(composite.identity_grid(8)[None], (1, 8, 8, 2))
  large = composite.upsample(ramp, 16)
  np.testing.assert_allclose(
    large[0, 1:-1, 1:-1], composite.identity_grid(16)[1:-1, 1:-1], atol=1e-6
  )


def test_upsampled_identity_grid_is_the_identity():
  grid = composite.upsample_grid(composite.identity_grid(8)[None], 64)
  np.testing.assert_allclose(grid[0], composite.identity_grid(64), atol=1e-7)


def test_zero_difference_draws_the_source_exactly(tiny):
  config, params = tiny
  image = picture(1)
  portrait = model.portrait(params, image, config)
  drawn = model.draw(params, portrait, portrait.code, config)
  np.testing.assert_array_equal(drawn[0], image)


def test_the_mask_starts_closed(tiny):
  config, params = tiny
  portrait = model.portrait(params, picture(2), config)
  net = model.network_of(config)
  drawing = net.apply({'params': params}, portrait.appearance, portrait.code + 3.0, method='draw')
  # At the start the mask is sigmoid(-2) but for small weights.
  assert float(drawing.mask.mean()) < 0.2


def test_directions_are_orthogonal_in_the_decoder(tiny):
  _, params = tiny
  q = jnp.linalg.qr(params['decoder']['directions'])[0]
  np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-5)


def test_one_portrait_draws_at_any_size(tiny):
  config, params = tiny
  for side in (64, 128):
    portrait = model.portrait(params, picture(3, side), config)
    frames = model.draw(params, portrait, portrait.code + 1.0, config)
    assert frames.shape == (1, side, side, 3) and frames.dtype == jnp.uint8


def test_lite_stays_within_its_budget():
  config = configs.get_config('lite').model
  params = jax.eval_shape(lambda key: model.init(key, config), jax.random.key(0))
  count = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(params))
  assert count < 8e6
  net = model.network_of(config)
  small = jax.ShapeDtypeStruct((1, 128, 128, 3), jnp.float32)
  source = jax.eval_shape(
    lambda p, x: net.apply({'params': p}, x, method='appearance'), params, small
  )

  def frame(p, source, code, pixels):
    drawing = net.apply({'params': p}, source, code, method='draw')
    return composite.composite(pixels, drawing)[0]

  cost = (
    jax.jit(frame)
    .lower(
      params,
      source,
      jax.ShapeDtypeStruct((1, 20), jnp.float32),
      jax.ShapeDtypeStruct((1, 512, 512, 3), jnp.float32),
    )
    .cost_analysis()
  )
  assert cost['flops'] < 1.7e9


def test_enlarge_and_unshuffle_keep_places():
  x = jnp.arange(4.0).reshape(1, 2, 2, 1)
  np.testing.assert_array_equal(
    network.enlarge(x)[0, :, :, 0], np.kron([[0, 1], [2, 3]], np.ones((2, 2)))
  )
  channels = jnp.arange(4.0).reshape(1, 1, 1, 4)
  np.testing.assert_array_equal(network.unshuffle(channels, 2)[0, :, :, 0], [[0, 1], [2, 3]])
