"""Embeds faces to tell people apart: ArcFace (Deng et al., 2019), the IResNet of InsightFace.

It expects chips as `face.crop.chip` cuts them. Its weights are for research only and not shipped;
`sface` stands in for it.
"""

import flax.linen as nn

from ifmdm_jax.nn.frozen_batch_norm import FrozenBatchNorm
from ifmdm_jax.nn.prelu import PRelu
from ifmdm_jax.perception import weights

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
WIDTHS = (64, 128, 256, 512)


class Block(nn.Module):
  """Norm, 3x3, norm, PReLU, 3x3 (which strides), norm; a projection where the shape changes."""

  width: int
  stride: int

  @nn.compact
  def __call__(self, x):
    conv = lambda size, stride, name: nn.Conv(
      self.width, (size, size), stride, size // 2, use_bias=False, name=name
    )
    y = conv(3, 1, 'conv1')(FrozenBatchNorm(name='bn1')(x))
    y = PRelu('alpha', name='prelu')(FrozenBatchNorm(name='bn2')(y))
    y = FrozenBatchNorm(name='bn3')(conv(3, self.stride, 'conv2')(y))
    if self.stride > 1:
      x = FrozenBatchNorm(name='downsample_1')(conv(1, self.stride, 'downsample_0')(x))
    return x + y


class IResNet(nn.Module):
  """Aligned RGB faces in [-1, 1], [B, 112, 112, 3] -> embeddings [B, 512], not normalised."""

  depths: tuple[int, ...] = DEPTHS[100]

  @nn.compact
  def __call__(self, x):
    x = nn.Conv(64, (3, 3), padding=1, use_bias=False, name='conv1')(x)
    x = PRelu('alpha', name='prelu')(FrozenBatchNorm(name='bn1')(x))
    for stage, (width, depth) in enumerate(zip(WIDTHS, self.depths), 1):
      for i in range(depth):
        x = Block(width, 2 if i == 0 else 1, name=f'layer{stage}_{i}')(x)
    x = FrozenBatchNorm(name='bn2')(x)
    x = nn.Dense(512, name='fc')(x.reshape(len(x), -1))
    return FrozenBatchNorm(name='features')(x)


def load(folder=None):
  """Reads (module, parameters) of whichever depth was imported; see `perception.weights.read`."""
  params = weights.read('arcface', folder)
  count = lambda stage: sum(name.startswith(f'layer{stage}_') for name in params)
  return IResNet(tuple(count(stage) for stage in (1, 2, 3, 4))), params
