"""wav2vec2-base (Baevski et al., 2020): samples at 16 kHz -> 50 vectors per second.

The network only; its weights are not bundled. Post-norm blocks, group norm in the first
convolution, positions from a grouped convolution.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

STRIDES = (5, 2, 2, 2, 2, 2, 2)  # 320 samples a step
KERNELS = (10, 3, 3, 3, 3, 2, 2)  # 400 samples seen
HOP, CENTRE = 320, 199.5  # step j is centred on sample 320 j + 199.5


def gelu(x):
  return nn.gelu(x, approximate=False)


def norm(name):
  return nn.LayerNorm(epsilon=1e-5, name=name)


def steps(samples):
  """How many steps the convolutions make of so many samples (a number or an array)."""
  for kernel, stride in zip(KERNELS, STRIDES):
    samples = (samples - kernel) // stride + 1
  return samples


class ChannelNorm(nn.Module):
  """Group norm with one group per channel: statistics over the time that is sound."""

  @nn.compact
  def __call__(self, x, mask):  # [B, N, C], [B, N, 1]
    scale = self.param('scale', nn.initializers.ones, (x.shape[-1],))
    bias = self.param('bias', nn.initializers.zeros, (x.shape[-1],))
    count = jnp.maximum(mask.sum(1, keepdims=True), 1.0)
    mean = (x * mask).sum(1, keepdims=True) / count
    variance = (jnp.square(x - mean) * mask).sum(1, keepdims=True) / count
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * scale[None, None] + bias[None, None]


class Positions(nn.Module):
  """Convolution over 128 steps in 16 groups, its kernel weight-normalised per tap."""

  width: int
  taps: int = 128
  groups: int = 16

  @nn.compact
  def __call__(self, x):
    shape = (self.taps, self.width // self.groups, self.width)
    v = self.param('v', nn.initializers.normal(0.02), shape)
    g = self.param('g', nn.initializers.ones, (self.taps, 1, 1))
    bias = self.param('bias', nn.initializers.zeros, (self.width,))
    kernel = g * v / jnp.sqrt(jnp.square(v).sum((1, 2), keepdims=True))
    half = self.taps // 2  # an even kernel gives one step too many; theirs drops the last
    y = jax.lax.conv_general_dilated(
      x,
      kernel,
      (1,),
      [(half, half - 1)],
      dimension_numbers=('NWC', 'WIO', 'NWC'),
      feature_group_count=self.groups,
    )
    return gelu(y + bias[None, None])


class Block(nn.Module):
  """Attention, then an MLP four times as wide; each is normed after its sum."""

  width: int
  heads: int

  @nn.compact
  def __call__(self, x, mask):  # x: [B, N, D]; mask: bool [B, 1, 1, N]
    q, k, v = (
      nn.Dense(self.width, name=name)(x).reshape(*x.shape[:2], self.heads, -1)
      for name in ('query', 'key', 'value')
    )
    y = jax.nn.dot_product_attention(q, k, v, mask=mask).reshape(x.shape)
    x = norm('norm_attention')(x + nn.Dense(self.width, name='out')(y))
    y = nn.Dense(self.width, name='down')(gelu(nn.Dense(4 * self.width, name='up')(x)))
    return norm('norm_mlp')(x + y)


class Wav2Vec2(nn.Module):
  """Samples [B, S * 320], standardised -> [B, S, D] on the grid of k / 50 s."""

  layer: int = 12  # the output of this block
  width: int = 768
  heads: int = 12
  channels: int = 512

  def __call__(self, samples, valid=None):
    """valid: [B] features (320 samples each) that are sound; the rest is padding."""
    count = samples.shape[1] // HOP
    x = self.network(samples, valid)
    last = steps(samples.shape[1]) - 1 if valid is None else steps(valid * HOP) - 1
    return to_grid(x, count, jnp.maximum(jnp.broadcast_to(last, x.shape[:1]), 0))

  @nn.compact
  def network(self, samples, valid=None):
    """The published network: [B, L] -> [B, steps(L), D] at its own 49.x Hz."""
    sound = samples.shape[1] if valid is None else valid * HOP
    sound = jnp.broadcast_to(jnp.asarray(sound), samples.shape[:1])
    x = samples[..., None]
    for i, (kernel, stride) in enumerate(zip(KERNELS, STRIDES)):
      x = nn.Conv(
        self.channels, (kernel,), stride, padding='VALID', use_bias=False, name=f'conv{i}'
      )(x)
      if i == 0:
        real = jnp.arange(x.shape[1])[None] < ((sound - kernel) // stride + 1)[:, None]
        x = ChannelNorm(name='norm0')(x, real[..., None].astype(x.dtype))
      x = gelu(x)
    real = jnp.arange(x.shape[1])[None] < jnp.maximum(steps(sound), 1)[:, None]
    x = nn.Dense(self.width, name='project')(norm('norm_project')(x))
    x = x * real[..., None].astype(x.dtype)
    x = norm('norm')(x + Positions(self.width, name='positions')(x))
    for i in range(1, self.layer + 1):
      x = Block(self.width, self.heads, name=f'block_{i}')(x, real[:, None, None])
    return x


def to_grid(x, count, last):
  """Linear interpolation from steps at (320 j + 199.5) / 16000 s to k / 50 s; ends are held.

  Args:
    x: [B, N, D]. count: features wanted, S. last: [B] the last step that heard only sound.
  """
  time = jnp.arange(count, dtype=jnp.float32) - CENTRE / HOP
  time = jnp.clip(time[None], 0.0, last[:, None].astype(jnp.float32))  # in steps, [B, S]
  low = jnp.floor(time).astype(jnp.int32)
  high = jnp.minimum(low + 1, last[:, None])
  part = (time - low.astype(jnp.float32))[..., None].astype(x.dtype)
  pick = lambda index: jnp.take_along_axis(x, index[..., None], axis=1)
  return pick(low) * (1 - part) + pick(high) * part
