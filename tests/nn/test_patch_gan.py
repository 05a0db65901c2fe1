import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.nn import adversarial, patch_gan
from tests.nn import reference

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(2, 32, 32, 3)), jnp.float32)


def test_scores_are_the_layers_formula():
  module = patch_gan.PatchDiscriminator(layers=2, width=4)
  variables = module.init(jax.random.key(0), X)
  (scores, features), changed = module.apply(variables, X, mutable=['batch_stats'])
  p, y = jax.tree.map(np.float64, variables['params']), np.float64(X)
  leaky = lambda y: np.where(y > 0, y, 0.2 * y)
  for i, stride in enumerate((2, 2, 1)):
    y = reference.conv(y, **p[f'conv_{i}'], stride=stride, pad=1)
    if i:
      mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
      norm, stats = p[f'norm_{i}']['norm'], changed['batch_stats'][f'norm_{i}']['norm']
      y = (y - mean) / np.sqrt(var + 1e-5) * norm['scale'] + norm['bias']
      np.testing.assert_allclose(stats['mean'], 0.1 * mean, atol=1e-6)
      np.testing.assert_allclose(stats['var'], 0.9 + 0.1 * var, rtol=1e-5)
    y = leaky(y)
    np.testing.assert_allclose(features[i], y, atol=1e-4)
  np.testing.assert_allclose(scores, reference.conv(y, **p['conv_out'], pad=1), atol=1e-4)


def test_a_score_sees_70_pixels():
  module = patch_gan.PatchDiscriminator(width=2, norm='none')
  x = jnp.zeros((1, 128, 128, 1))
  variables = module.init(jax.random.key(0), x)
  score = lambda x: module.apply(variables, x)[0][0, 7, 7, 0]
  seen = np.argwhere(np.asarray(jax.grad(score)(x + 0.1))[0, ..., 0] != 0)
  assert (np.ptp(seen, axis=0) + 1).tolist() == [70, 70]


# Kernels 16 (3 64 + 64 128 + 128 256 + 256 512 + 512), two biases, and two numbers a channel of a
# norm or one of a bias.
@pytest.mark.parametrize(
  ('norm', 'numbers'), [('batch', 2_765_633), ('instance', 2_765_633), ('none', 2_764_737)]
)
def test_the_published_sizes_have_the_published_parameters(norm, numbers):
  module = patch_gan.PatchDiscriminator(norm=norm)
  shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 256, 256, 3)))['params']
  assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == numbers


def test_hinge_is_hinge():
  real, fake = jnp.array([0.5, 2.0]), jnp.array([-3.0, 0.25])
  np.testing.assert_allclose(adversarial.hinge_discriminator(real, fake), 0.25 + 0.625)
  np.testing.assert_allclose(adversarial.hinge_generator(fake), 1.375)


def test_feature_matching_sums_or_averages_and_spares_the_real_ones():
  real, fake = [jnp.ones((1, 2)), jnp.zeros((1, 4))], [jnp.zeros((1, 2)), jnp.full((1, 4), 3.0)]
  assert float(adversarial.feature_matching(real, fake)) == 4.0
  assert float(adversarial.feature_matching(real, fake, mean=True)) == 2.0
  gradient = jax.grad(lambda real: adversarial.feature_matching(real, fake))(real)
  assert all(not leaf.any() for leaf in gradient)


def test_the_adaptive_weight_is_the_ratio_of_the_gradients():
  gradient = lambda *x: {'kernel': jnp.array(x)}
  weight = adversarial.adaptive_weight(gradient(3.0, 4.0), gradient(0.0, 2.0))
  np.testing.assert_allclose(weight, 5 / 2.0001, rtol=1e-6)
  assert float(adversarial.adaptive_weight(gradient(3.0, 4.0), gradient(0.0, 0.0))) == 1e4
