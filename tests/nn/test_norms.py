import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.nn import norms
from tests.nn import reference

RNG = np.random.default_rng(0)
X = RNG.normal(2.0, 3.0, (2, 5, 4, 6)).astype(np.float32)


def test_instance_norm_standardises_each_channel_of_each_picture():
  y = norms.instance_norm(X)
  mean, var = (f(np.float64(X), axis=(1, 2), keepdims=True) for f in (np.mean, np.var))
  np.testing.assert_allclose(y, (X - mean) / np.sqrt(var + 1e-4), rtol=1e-4, atol=1e-5)


def test_a_constant_picture_has_a_finite_gradient():
  gradient = jax.grad(lambda x: (norms.instance_norm(x) ** 3).sum())(jnp.ones((1, 4, 4, 2)))
  assert np.isfinite(gradient).all()


def test_adaptive_instance_norm_has_the_mean_and_deviation_that_are_given():
  bias, scale = RNG.normal(size=(2, 2, 6)).astype(np.float32)
  y = norms.adaptive_instance_norm(X, bias, scale)
  np.testing.assert_allclose(y.mean((1, 2)), bias, atol=1e-5)
  np.testing.assert_allclose(y.std((1, 2)), np.abs(scale), rtol=1e-4)  # no "1 +" before the scale


def test_a_style_vector_is_cut_bias_first():
  widths = (2, 3)
  assert norms.style_width(widths) == 10
  (bias_0, scale_0), (bias_1, scale_1) = norms.split_style(np.arange(10)[None], widths)
  assert bias_0.tolist() == [[0, 1]] and scale_0.tolist() == [[2, 3]]
  assert bias_1.tolist() == [[4, 5, 6]] and scale_1.tolist() == [[7, 8, 9]]


@pytest.mark.parametrize(('groups', 'used'), [(2, 2), (32, 3)])
def test_group_norm_is_its_formula_also_for_fewer_channels_than_groups(groups, used):
  x = RNG.normal(1.0, 2.0, (2, 3, 4, 12)).astype(np.float32)
  scale, bias = RNG.normal(size=(2, 12)).astype(np.float32)
  y = norms.GroupNorm(groups).apply({'params': dict(scale=scale, bias=bias)}, x)
  np.testing.assert_allclose(y, reference.group_norm(x, scale, bias, used, 1e-5), atol=1e-5)


def test_published_widths_have_32_groups_and_a_channel_is_never_alone():
  assert {norms.num_groups(width) for width in (128, 192, 256, 512, 768, 1024)} == {32}
  assert norms.num_groups(32) == 8 and norms.num_groups(6) == 1 and norms.num_groups(3) == 1
