"""Patch discriminator (Isola et al. 2017, "Image-to-Image Translation", section 3.2.2).

One score for each patch of the picture, 70 pixels wide with three strided layers.
"""

from collections.abc import Callable

import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.nn.norms import InstanceNorm

NORMAL = nn.initializers.normal(0.02)


class BatchNorm(nn.Module):
  """Batch norm whose running statistics, in 'batch_stats', move where that collection is mutable.

  There it standardises by the batch, elsewhere by the running statistics.
  """

  @nn.compact
  def __call__(self, x):
    running = not self.is_mutable_collection('batch_stats')
    scale = lambda key, shape, dtype=jnp.float32: 1 + NORMAL(key, shape, dtype)
    norm = nn.BatchNorm(running, momentum=0.9, epsilon=1e-5, scale_init=scale, name='norm')
    return norm(x)


NORMS: dict[str, Callable | None] = {'batch': BatchNorm, 'instance': InstanceNorm, 'none': None}


class PatchDiscriminator(nn.Module):
  """Pictures [B, H, W, C] -> (scores [B, h, w, 1], features), high for real, no sigmoid.

  Features are the activations after each leaky unit, for feature matching.

  Attributes:
    layers: strided 4x4 convolutions.
    width: channels after the first, doubled by each further one up to eight times.
    norm: 'batch' as published, 'instance' or 'none', after all but the first and last convolution.
  """

  layers: int = 3
  width: int = 64
  norm: str = 'batch'

  @nn.compact
  def __call__(self, x):
    features = []
    for i in range(self.layers + 1):
      plain = i == 0 or NORMS[self.norm] is None
      stride = 2 if i < self.layers else 1
      x = nn.Conv(
        self.width * min(2**i, 8), (4, 4), stride, padding=1, use_bias=plain, kernel_init=NORMAL,
        name=f'conv_{i}',
      )(x)  # fmt: skip
      if not plain:
        x = NORMS[self.norm](name=f'norm_{i}')(x)
      x = nn.leaky_relu(x, 0.2)
      features.append(x)
    return nn.Conv(1, (4, 4), padding=1, kernel_init=NORMAL, name='conv_out')(x), features
