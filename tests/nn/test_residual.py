"""The few-shot system's stacks are built of these blocks: their sizes are its published ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ifmdm_jax.errors import InputError
from ifmdm_jax.nn import norms, residual
from ifmdm_jax.nn.residual import ResidualBlock
from ifmdm_jax.nn.spectral import SpectralConv, SpectralDense
from tests.nn import reference

RNG = np.random.default_rng(0)


def numbers(module, *inputs):
  shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)['params']
  return sum(leaf.size for leaf in jax.tree.leaves(shapes))


class Embedder(nn.Module):
  """Frame and landmark picture -> 512 numbers."""

  @nn.compact
  def __call__(self, x):
    x = ResidualBlock(64, down=True, first=True)(x)
    for features in (128, 256, 512, 512, 512):
      x = ResidualBlock(features, down=True)(x)
    return residual.pooled(x)


class Generator(nn.Module):
  """Landmark picture and the style of a person -> picture."""

  ups = (512, 256, 128, 64)

  def widths(self):
    layers, inputs = [], 512
    for features in (*(512,) * 4, *self.ups):
      layers += ResidualBlock.widths(inputs, features)
      inputs = features
    return [*layers, inputs]

  @nn.compact
  def __call__(self, x, style):
    style = norms.split_style(style, self.widths())
    for i, features in enumerate((64, 128, 256, 512)):
      x = ResidualBlock(features, 'instance', down=True, first=i == 0)(x)
    for i, features in enumerate((*(512,) * 4, *self.ups)):
      block = ResidualBlock(features, 'adaptive', up=i >= 4)
      x = block(x, style[2 * i : 2 * i + 2])
    x = nn.relu(norms.adaptive_instance_norm(x, *style[-1]))
    return jnp.tanh(SpectralConv(3)(x))


def test_the_few_shot_networks_have_their_published_sizes():
  picture = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
  both = jax.ShapeDtypeStruct((1, 256, 256, 6), jnp.float32)
  assert round(numbers(Embedder(), both) / 1e6, 1) == 14.8
  style = norms.style_width(Generator().widths())
  assert style == 13_056
  style_of = jax.ShapeDtypeStruct((1, 512), jnp.float32)
  assert round(numbers(SpectralDense(style), style_of) / 1e6, 1) == 6.7
  given = jax.ShapeDtypeStruct((1, style), jnp.float32)
  assert round(numbers(Generator(), picture, given) / 1e6, 1) == 31.2
  shapes = jax.eval_shape(Generator().init_with_output, jax.random.key(0), picture, given)[0]
  assert shapes.shape == (1, 256, 256, 3)


def test_an_adaptive_block_that_doubles_is_its_formula():
  x = RNG.normal(size=(2, 3, 3, 4)).astype(np.float32)
  style = [RNG.normal(size=(2, 2, width)).astype(np.float32) for width in (4, 6)]
  block = ResidualBlock(6, 'adaptive', up=True)
  variables = block.init(jax.random.key(0), x, style)
  assert 'bias' not in variables['params']['conv_0']  # a norm follows
  found = block.apply(variables, x, style)

  def conv(y, name, pad):
    kernel = np.float64(variables['params'][name]['kernel'])
    u, v = (np.float64(variables['spectral'][name][side]) for side in 'uv')
    sigma = u @ kernel.reshape(-1, kernel.shape[-1]).T @ v
    bias = variables['params'][name].get('bias', 0.0)
    return reference.conv(y, kernel / sigma, np.float64(bias), pad=pad)

  def adain(y, style):
    bias, scale = (v[:, None, None] for v in style)
    mean, var = y.mean((1, 2), keepdims=True), y.var((1, 2), keepdims=True)
    return (y - mean) / np.sqrt(var + 1e-4) * scale + bias

  double = lambda y: y.repeat(2, 1).repeat(2, 2)
  y = conv(double(np.maximum(adain(np.float64(x), style[0]), 0)), 'conv_0', 1)
  y = conv(np.maximum(adain(y, style[1]), 0), 'conv_1', 1)
  np.testing.assert_allclose(found, y + conv(double(x), 'skip', 0), rtol=1e-4, atol=1e-4)


def test_a_block_that_keeps_its_shape_has_no_skip_and_one_that_halves_averages():
  x = jnp.asarray(RNG.normal(size=(1, 4, 4, 3)), jnp.float32)
  same = ResidualBlock(3).init(jax.random.key(0), x)['params']
  assert set(same) == {'conv_0', 'conv_1'}
  block = ResidualBlock(3, down=True)
  variables = block.init(jax.random.key(0), x)
  skip, state = variables['params']['skip'], variables['spectral']['skip']
  skip = SpectralConv(3, 1).apply({'params': skip, 'spectral': state}, x)
  expected = residual.halve(_main(block, variables, x)) + residual.halve(skip)
  np.testing.assert_allclose(block.apply(variables, x), expected, rtol=1e-4, atol=1e-5)
  means = np.asarray(skip).reshape(1, 2, 2, 2, 2, 3).mean((2, 4))
  np.testing.assert_allclose(residual.halve(skip), means, rtol=1e-5)


def _main(block, variables, x):
  """The two convolutions of a block without a norm, before it halves."""
  y = x
  for name in ('conv_0', 'conv_1'):
    params, state = variables['params'][name], variables['spectral'][name]
    y = SpectralConv(block.features).apply({'params': params, 'spectral': state}, nn.relu(y))
  return y


def test_a_norm_that_is_not_known_is_reported():
  with pytest.raises(InputError, match="norm is 'layer', expected one of none, instance, adaptive"):
    ResidualBlock(3, 'layer').init(jax.random.key(0), jnp.zeros((1, 4, 4, 3)))
