"""ArcFace's network (Deng et al., 2019): IResNet of InsightFace, and the alignment it expects.

Its weights are for research only and are not shipped; `sface` is what stands in for it.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.nn.frozen_batch_norm import FrozenBatchNorm
from ifmdm_jax.perception import weights

SIDE = 112  # pixels
DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
WIDTHS = (64, 128, 256, 512)

# Where the eyes' centres, the tip of the nose and the corners of the mouth lie in the 112 px chip.
TEMPLATE = np.array(
  [
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
  ]
)
# The same five in the 468-point face mesh; eyes are the mean of their corners.
EYES, NOSE, CORNERS = ((33, 133), (362, 263)), 4, (61, 291)


class Prelu(nn.Module):
  """x where positive, else alpha x, one alpha per channel."""

  @nn.compact
  def __call__(self, x):
    alpha = self.param('alpha', nn.initializers.constant(0.25), (x.shape[-1],))
    return jnp.where(x > 0, x, x * jnp.expand_dims(alpha, range(x.ndim - 1)))


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
    y = Prelu(name='prelu')(FrozenBatchNorm(name='bn2')(y))
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
    x = Prelu(name='prelu')(FrozenBatchNorm(name='bn1')(x))
    for stage, (width, depth) in enumerate(zip(WIDTHS, self.depths), 1):
      for i in range(depth):
        x = Block(width, 2 if i == 0 else 1, name=f'layer{stage}_{i}')(x)
    x = FrozenBatchNorm(name='bn2')(x)
    x = nn.Dense(512, name='fc')(x.reshape(len(x), -1))
    return FrozenBatchNorm(name='features')(x)


def load(folder=None):
  """(module, parameters) of whichever depth was imported; see `perception.weights.read`."""
  params = weights.read('arcface', folder)
  count = lambda stage: sum(name.startswith(f'layer{stage}_') for name in params)
  return IResNet(tuple(count(stage) for stage in (1, 2, 3, 4))), params


def similarity(points, template):
  """Turn, scale and shift [2, 3] that bring points [N, 2] nearest to a template (Umeyama 1991)."""
  points, template = np.asarray(points, np.float64), np.asarray(template, np.float64)
  centre, goal = points.mean(0), template.mean(0)
  a, b = points - centre, template - goal
  u, s, vt = np.linalg.svd(b.T @ a)
  sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])  # no mirror
  linear = (u * sign) @ vt * (s @ sign) / (a**2).sum()
  return np.column_stack([linear, goal - linear @ centre])


def five_points(landmarks):
  """Face mesh [..., 468, 2] -> eyes, nose, corners of the mouth [..., 5, 2]."""
  eyes = [landmarks[..., list(eye), :].mean(-2) for eye in EYES]
  rest = [landmarks[..., i, :] for i in (NOSE, *CORNERS)]
  return np.stack(eyes + rest, axis=-2)


def align(frame, landmarks):
  """The chip that face-recognition networks expect.

  Args:
    frame: uint8 RGB [H, W, 3].
    landmarks: [468, 2], pixels.

  Returns:
    uint8 RGB [112, 112, 3].
  """
  import cv2

  matrix = similarity(five_points(landmarks), TEMPLATE)
  return cv2.warpAffine(frame, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
