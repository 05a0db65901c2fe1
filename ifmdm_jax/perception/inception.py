"""Inception-v3 (Szegedy et al., 2016) in the variant that FID is defined on.

It is TensorFlow's network of 2015, which differs from later ones: average pools do not count the
padding, and the last block has a max pool where the paper has an average pool. Features are the
2048 numbers after the global pool; names are those of the published PyTorch port.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ifmdm_jax.nn.frozen_batch_norm import FrozenBatchNorm
from ifmdm_jax.nn.pool import mean_pool
from ifmdm_jax.perception import weights

SIDE = 299  # pixels
WIDTH = 2048


class Unit(nn.Module):
  """Convolution without bias, batch norm, ReLU."""

  width: int
  size: tuple[int, int] = (1, 1)
  stride: int = 1
  padding: tuple[int, int] = (0, 0)

  @nn.compact
  def __call__(self, x):
    padding = [(p, p) for p in self.padding]
    x = nn.Conv(self.width, self.size, self.stride, padding, use_bias=False, name='conv')(x)
    return nn.relu(FrozenBatchNorm(1e-3, name='bn')(x))


def chain(x, name, *units):
  """Units in a row, called NAME_1, NAME_2, ...; each is (width, (rows, columns))."""
  for i, (width, size) in enumerate(units, 1):
    padding = tuple(n // 2 for n in size)
    x = Unit(width, size, padding=padding, name=f'{name}_{i}')(x)
  return x


def average(x):
  """Averages 3x3 pixels without counting the padding."""
  return mean_pool(x, (3, 3), 'SAME')


class BlockA(nn.Module):
  """35x35: 1x1, 5x5, double 3x3 and pool."""

  pool_width: int

  @nn.compact
  def __call__(self, x):
    return jnp.concatenate([
      Unit(64, name='branch1x1')(x),
      chain(x, 'branch5x5', (48, (1, 1)), (64, (5, 5))),
      chain(x, 'branch3x3dbl', (64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
      Unit(self.pool_width, name='branch_pool')(average(x)),
    ], axis=-1)  # fmt: skip


class BlockB(nn.Module):
  """35x35 -> 17x17."""

  @nn.compact
  def __call__(self, x):
    double = chain(x, 'branch3x3dbl', (64, (1, 1)), (96, (3, 3)))
    return jnp.concatenate([
      Unit(384, (3, 3), 2, name='branch3x3')(x),
      Unit(96, (3, 3), 2, name='branch3x3dbl_3')(double),
      nn.max_pool(x, (3, 3), (2, 2)),
    ], axis=-1)  # fmt: skip


class BlockC(nn.Module):
  """17x17: 7x7 as 1x7 and 7x1, once and twice."""

  inner: int

  @nn.compact
  def __call__(self, x):
    c, row, column = self.inner, (1, 7), (7, 1)
    return jnp.concatenate([
      Unit(192, name='branch1x1')(x),
      chain(x, 'branch7x7', (c, (1, 1)), (c, row), (192, column)),
      chain(x, 'branch7x7dbl', (c, (1, 1)), (c, column), (c, row), (c, column), (192, row)),
      Unit(192, name='branch_pool')(average(x)),
    ], axis=-1)  # fmt: skip


class BlockD(nn.Module):
  """17x17 -> 8x8."""

  @nn.compact
  def __call__(self, x):
    three = Unit(192, name='branch3x3_1')(x)
    seven = chain(x, 'branch7x7x3', (192, (1, 1)), (192, (1, 7)), (192, (7, 1)))
    return jnp.concatenate([
      Unit(320, (3, 3), 2, name='branch3x3_2')(three),
      Unit(192, (3, 3), 2, name='branch7x7x3_4')(seven),
      nn.max_pool(x, (3, 3), (2, 2)),
    ], axis=-1)  # fmt: skip


class BlockE(nn.Module):
  """8x8: 3x3 split into 1x3 and 3x1."""

  pool: str = 'average'

  @nn.compact
  def __call__(self, x):
    def split(y, name):
      return [
        Unit(384, (1, 3), padding=(0, 1), name=f'{name}a')(y),
        Unit(384, (3, 1), padding=(1, 0), name=f'{name}b')(y),
      ]

    three = Unit(384, name='branch3x3_1')(x)
    double = chain(x, 'branch3x3dbl', (448, (1, 1)), (384, (3, 3)))
    highest = lambda y: nn.max_pool(y, (3, 3), padding=((1, 1), (1, 1)))
    pooled = {'average': average, 'max': highest}[self.pool](x)
    return jnp.concatenate([
      Unit(320, name='branch1x1')(x),
      *split(three, 'branch3x3_2'),
      *split(double, 'branch3x3dbl_3'),
      Unit(192, name='branch_pool')(pooled),
    ], axis=-1)  # fmt: skip


class Inception(nn.Module):
  """RGB in [-1, 1], [B, H, W, 3], H and W at least 75 -> [B, 2048]."""

  @nn.compact
  def __call__(self, x):
    x = Unit(32, (3, 3), 2, name='Conv2d_1a_3x3')(x)
    x = Unit(32, (3, 3), name='Conv2d_2a_3x3')(x)
    x = Unit(64, (3, 3), padding=(1, 1), name='Conv2d_2b_3x3')(x)
    x = nn.max_pool(x, (3, 3), (2, 2))
    x = Unit(80, name='Conv2d_3b_1x1')(x)
    x = Unit(192, (3, 3), name='Conv2d_4a_3x3')(x)
    x = nn.max_pool(x, (3, 3), (2, 2))
    for letter, width in zip('bcd', (32, 64, 64)):
      x = BlockA(width, name=f'Mixed_5{letter}')(x)
    x = BlockB(name='Mixed_6a')(x)
    for letter, inner in zip('bcde', (128, 160, 160, 192)):
      x = BlockC(inner, name=f'Mixed_6{letter}')(x)
    x = BlockD(name='Mixed_7a')(x)
    x = BlockE(name='Mixed_7b')(x)
    x = BlockE('max', name='Mixed_7c')(x)
    return x.mean((1, 2))


def load(folder=None):
  """Reads imported parameters; see `perception.weights.read`."""
  return weights.read('inception', folder)


def features(params, frames):
  """Computes what FID compares.

  Args:
    params: from `load`.
    frames: RGB in [0, 255], [B, H, W, 3].

  Returns:
    float32 [B, 2048]. Frames are resized to 299 px as in the spec of clean FID: bilinear with
    antialiasing, no rounding in between.
  """
  x = jnp.asarray(frames, jnp.float32)
  x = jax.image.resize(x, (x.shape[0], SIDE, SIDE, 3), 'linear', antialias=True)
  return Inception().apply({'params': params}, x / 127.5 - 1)
