import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax import testing
from ifmdm_jax.systems.ifmdm.autoencoder import losses


def test_gan_losses_agree_with_the_original():
  given, _, expected = testing.golden_unit('gan_losses')
  g = losses.gan_generator(jnp.asarray(given['fake']))
  d = losses.gan_discriminator(jnp.asarray(given['real']), jnp.asarray(given['fake']))
  np.testing.assert_allclose([g], expected['g'], atol=1e-5)
  np.testing.assert_allclose([d], expected['d'], atol=1e-5)


def test_pyramid_halves_and_keeps_a_flat_colour_inside():
  image = jnp.full((1, 64, 64, 3), 0.5)
  pyramid = jax.jit(lambda x: [losses.shrink(x, factor) for factor in losses.SCALES])(image)
  for factor, small in zip(losses.SCALES, pyramid, strict=True):
    assert small.shape == (1, 64 // factor, 64 // factor, 3)
    middle = small.shape[1] // 2
    np.testing.assert_allclose(small[:, middle, middle], 0.5, rtol=1e-5)


def test_perceptual_loss_sees_every_scale_and_layer_and_spares_the_target():
  seen = []

  def features(image):
    seen.append(image.shape[1])
    return {'a': image, 'b': 2 * image}

  ones, zeros = jnp.ones((1, 16, 16, 3)), jnp.zeros((1, 16, 16, 3))
  np.testing.assert_allclose(losses.perceptual(features, ones, zeros, scales=(1,)), 3.0)
  seen.clear()
  loss = lambda a, b: losses.perceptual(features, a, b)
  to_ours, to_target = jax.jit(jax.grad(loss, argnums=(0, 1)))(ones, zeros)
  assert seen == [16, 16, 8, 8, 4, 4, 2, 2]
  assert np.abs(to_ours).max() > 0 and not np.any(to_target)
