"""SyncNet (Chung & Zisserman, 2016) as its weights were published: do lips and voice fit?

Five frames of a face and 0.2 s of sound become vectors of 1024; their Euclidean distance is small
where they fit. Names are those of the PyTorch release (syncnet_python). What is read from the
distances, LSE-C, LSE-D and the offset, is in `evaluation.lip_sync`.
"""

import flax.linen as nn
import jax.numpy as jnp

from ifmdm_jax.nn.frozen_batch_norm import FrozenBatchNorm
from ifmdm_jax.perception import weights

SIDE = 224  # pixels
FRAMES = 5  # of a window, at 25 fps
COLUMNS = 20  # of MFCC in a window, at 100 Hz
WIDTH = 1024


def unit(x, width, size, name, stride=1, padding=0):
  """Applies convolution, batch norm, ReLU; NAME is its place in their Sequential."""
  pad = padding if isinstance(padding, int) else [(p, p) for p in padding]
  x = nn.Conv(width, size, stride, pad, name=f'conv_{name}')(x)
  return nn.relu(FrozenBatchNorm(name=f'norm_{name}')(x))


class Head(nn.Module):
  """512 -> 512 -> 1024."""

  @nn.compact
  def __call__(self, x):
    x = nn.relu(FrozenBatchNorm(name='norm_1')(nn.Dense(512, name='fc_0')(x)))
    return nn.Dense(WIDTH, name='fc_3')(x)


class LipTower(nn.Module):
  """BGR in [0, 255], five frames stacked [B, 224, 224, 5 * 3] -> [B, 1024].

  Their first layer is a 3D convolution exactly as deep as its input, which is a 2D convolution over
  the stacked frames; all others look at single pictures.
  """

  @nn.compact
  def __call__(self, x):
    pool = lambda y, p=0: nn.max_pool(y, (3, 3), (2, 2), ((p, p), (p, p)))
    x = pool(unit(x, 96, (7, 7), '0', stride=2))
    x = pool(unit(x, 256, (5, 5), '4', stride=2, padding=1), 1)
    x = unit(x, 256, (3, 3), '8', padding=1)
    x = unit(x, 256, (3, 3), '11', padding=1)
    x = pool(unit(x, 256, (3, 3), '14', padding=1))
    x = unit(x, 512, (6, 6), '18')
    return Head(name='head')(x.reshape(len(x), -1))


class AudioTower(nn.Module):
  """MFCC [B, 13, 20, 1] (coefficients, time) -> [B, 1024]."""

  @nn.compact
  def __call__(self, x):
    x = unit(x, 64, (3, 3), '0', padding=1)
    x = nn.max_pool(unit(x, 192, (3, 3), '4', padding=1), (3, 3), (1, 2))
    x = unit(x, 384, (3, 3), '8', padding=1)
    x = unit(x, 256, (3, 3), '11', padding=1)
    x = nn.max_pool(unit(x, 256, (3, 3), '14', padding=1), (3, 3), (2, 2))
    x = unit(x, 512, (5, 4), '18')
    return Head(name='head')(x.reshape(len(x), -1))


class SyncNet(nn.Module):
  """Both towers: (frames, MFCC) -> their vectors [B, 1024] each."""

  def setup(self):
    self.lip = LipTower()
    self.audio = AudioTower()

  def __call__(self, frames, mfcc):
    return self.lip(frames), self.audio(mfcc)


def load(folder=None):
  """Reads imported parameters; see `perception.weights.read`."""
  return weights.read('syncnet', folder)


def stack(frames):
  """Stacks [T, H, W, C] to windows of five [T - 4, H, W, 5 * C], the oldest frame first."""
  count = len(frames) - FRAMES + 1
  return jnp.concatenate([frames[i : i + count] for i in range(FRAMES)], axis=-1)
