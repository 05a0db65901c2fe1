"""I3D (Carreira & Zisserman, 2017), Inception-v1 inflated to video: what FVD is defined on.

Padding is TensorFlow's SAME throughout, batch norms have epsilon 1e-3; names are those of the
PyTorch port of the Kinetics-400 network (rgb_imagenet). FVD compares its 400 logits.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ifmdm_jax.nn.frozen_batch_norm import FrozenBatchNorm
from ifmdm_jax.nn.pool import mean_pool
from ifmdm_jax.perception import weights

SIDE = 224  # pixels
FRAMES = 16  # a clip of FVD; at least 9
CLASSES = 400

# Widths of 1x1; 1x1 -> 3x3x3; 1x1 -> 3x3x3; pool -> 1x1.
MIXED = {
  '3b': (64, 96, 128, 16, 32, 32),
  '3c': (128, 128, 192, 32, 96, 64),
  '4b': (192, 96, 208, 16, 48, 64),
  '4c': (160, 112, 224, 24, 64, 64),
  '4d': (128, 128, 256, 24, 64, 64),
  '4e': (112, 144, 288, 32, 64, 64),
  '4f': (256, 160, 320, 32, 128, 128),
  '5b': (256, 160, 320, 32, 128, 128),
  '5c': (384, 192, 384, 48, 128, 128),
}


class Unit(nn.Module):
  """3D convolution without bias, batch norm, ReLU."""

  width: int
  size: int = 1
  stride: int = 1

  @nn.compact
  def __call__(self, x):
    conv = nn.Conv(self.width, 3 * (self.size,), self.stride, use_bias=False, name='conv3d')
    return nn.relu(FrozenBatchNorm(1e-3, name='bn')(conv(x)))


def pool(x, size, stride):
  return nn.max_pool(x, size, stride, padding='SAME')


class Mixed(nn.Module):
  """Inception's block over time and space."""

  widths: tuple[int, ...]

  @nn.compact
  def __call__(self, x):
    b0, b1a, b1b, b2a, b2b, b3b = self.widths
    return jnp.concatenate([
      Unit(b0, name='b0')(x),
      Unit(b1b, 3, name='b1b')(Unit(b1a, name='b1a')(x)),
      Unit(b2b, 3, name='b2b')(Unit(b2a, name='b2a')(x)),
      Unit(b3b, name='b3b')(pool(x, (3, 3, 3), (1, 1, 1))),
    ], axis=-1)  # fmt: skip


class I3d(nn.Module):
  """RGB in [-1, 1], [B, T, 224, 224, 3], T at least 9 -> logits [B, 400], mean over time."""

  @nn.compact
  def __call__(self, x):
    mixed = lambda name, y: Mixed(MIXED[name], name=f'Mixed_{name}')(y)
    x = Unit(64, 7, 2, name='Conv3d_1a_7x7')(x)
    x = pool(x, (1, 3, 3), (1, 2, 2))
    x = Unit(64, name='Conv3d_2b_1x1')(x)
    x = Unit(192, 3, name='Conv3d_2c_3x3')(x)
    x = pool(x, (1, 3, 3), (1, 2, 2))
    x = mixed('3c', mixed('3b', x))
    x = pool(x, (3, 3, 3), (2, 2, 2))
    for name in ('4b', '4c', '4d', '4e', '4f'):
      x = mixed(name, x)
    x = pool(x, (2, 2, 2), (2, 2, 2))
    x = mixed('5c', mixed('5b', x))
    x = mean_pool(x, (2, 7, 7))
    x = nn.Conv(CLASSES, (1, 1, 1), name='logits')(x)
    return x.mean((1, 2, 3))


def load(folder=None):
  """Reads imported parameters; see `perception.weights.read`."""
  return weights.read('i3d', folder)


def features(params, frames):
  """Computes what FVD compares: RGB in [0, 255], [B, T, H, W, 3] -> logits [B, 400]."""
  x = jnp.asarray(frames, jnp.float32)
  x = jax.image.resize(x, (*x.shape[:2], SIDE, SIDE, 3), 'linear', antialias=True)
  return I3d().apply({'params': params}, x / 127.5 - 1)
