"""VGG-19 (Simonyan & Zisserman, 2015), frozen: the perceptual loss that LIA and FOMM use.

No package carries its weights; with those of torchvision imported, `config.model.perceptual` =
'ifmdm_jax.perception.vgg19' puts it in the place of VGG-16.
"""

import flax.linen as nn
import jax.numpy as jnp

from ifmdm_jax.perception import weights
from ifmdm_jax.perception.vgg import MEAN, STD

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1))  # width, convolutions up to relu5_1


class Vgg19(nn.Module):
  """Normalised images [B, H, W, 3] -> activations after the first convolution of each stage."""

  @nn.compact
  def __call__(self, x):
    taps = {}
    for stage, (width, count) in enumerate(STAGES, 1):
      if stage > 1:
        x = nn.max_pool(x, (2, 2), (2, 2))
      for i in range(1, count + 1):
        x = nn.relu(nn.Conv(width, (3, 3), padding=1, name=f'conv{stage}_{i}')(x))
        if i == 1:
          taps[f'relu{stage}_1'] = x
    return taps


def load(folder=None):
  """Imported parameters; see `perception.weights.read`."""
  return weights.read('vgg19', folder)


def features(params, x):
  """{'relu1_1': [B, H, W, 64], ..., 'relu5_1': [B, H / 16, W / 16, 512]} of RGB in [-1, 1]."""
  mean, std = (jnp.asarray(v, x.dtype)[None, None, None] for v in (MEAN, STD))
  return Vgg19().apply({'params': params}, ((x + 1) / 2 - mean) / std)
