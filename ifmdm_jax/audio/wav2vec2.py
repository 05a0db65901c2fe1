"""wav2vec2 (Baevski et al., 2020), HuBERT (Hsu et al., 2021) and WavLM (Chen et al., 2022).

Samples at 16 kHz -> 50 vectors per second. One network: convolutions, positions from a grouped
convolution, transformer blocks. HuBERT is wav2vec2 trained otherwise; WavLM adds a gated bias of
relative positions to the attention. Weights are not bundled; `ifmdm_jax.import_weights` reads them.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ifmdm_jax.audio import wavlm

STRIDES = (5, 2, 2, 2, 2, 2, 2)  # 320 samples a step
KERNELS = (10, 3, 3, 3, 3, 2, 2)  # 400 samples seen
HOP, CENTRE = 320, 199.5  # step j is centred on sample 320 j + 199.5
MIX = 'mix'  # for `layer`: a learned weighting of all layers


def gelu(x):
  return nn.gelu(x, approximate=False)


def norm(name):
  return nn.LayerNorm(epsilon=1e-5, name=name)


def steps(samples):
  """Counts the steps that the convolutions make of so many samples (a number or an array)."""
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
  """Convolution over many steps in groups, its kernel weight-normalised per tap."""

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
      [(half, half - 1 + self.taps % 2)],
      dimension_numbers=('NWC', 'WIO', 'NWC'),
      feature_group_count=self.groups,
    )
    return gelu(y + bias[None, None])


class Attention(nn.Module):
  """Self-attention over the whole window; with `positions`, biased by them as the content asks.

  Args of the call: x [B, N, D]; mask, bool [B, 1, 1, N]; positions [1, heads, N, N].
  """

  width: int
  heads: int

  @nn.compact
  def __call__(self, x, mask, positions=None):
    q, k, v = (
      nn.Dense(self.width, name=name)(x).reshape(*x.shape[:2], self.heads, -1)
      for name in ('query', 'key', 'value')
    )
    bias = None
    if positions is not None:
      bias = wavlm.PositionGate(self.heads, name='position_gate')(x) * positions
    y = jax.nn.dot_product_attention(q, k, v, bias, mask).reshape(x.shape)
    return nn.Dense(self.width, name='out')(y)


class Block(nn.Module):
  """Attention, then an MLP; normed after each sum, or (`pre_norm`) each on what goes in."""

  width: int
  heads: int
  mlp_width: int
  pre_norm: bool = False

  @nn.compact
  def __call__(self, x, mask, positions=None):  # x: [B, N, D]
    norms = norm('norm_attention'), norm('norm_mlp')
    attend = Attention(self.width, self.heads, name='attention')
    up, down = nn.Dense(self.mlp_width, name='up'), nn.Dense(self.width, name='down')
    mlp = lambda y: down(gelu(up(y)))
    if self.pre_norm:
      x = x + attend(norms[0](x), mask, positions)
      return x + mlp(norms[1](x))
    x = norms[0](x + attend(x, mask, positions))
    return norms[1](x + mlp(x))


class Wav2Vec2(nn.Module):
  """Samples [B, S * 320], standardised where the weights expect it -> [B, S, D], k at k / 50 s.

  Attributes (the defaults are wav2vec2-base):
    layer: what comes out: n is the state after n blocks (after all of them normed, with
      `pre_norm`), 0 the first block's input; 'mix' is the sum of all, weighted by the softmax of a
      parameter.
    depth, width, heads, mlp_width: of the transformer.
    channels, conv_bias: of the seven convolutions.
    conv_norm: 'group', one norm over time in the first; or 'layer', one over channels in each.
    pre_norm: norms before attention and MLP ("stable layer norm", the large models).
    project_norm: whether the output of the convolutions is normed before it is projected.
    taps, groups: of the convolution that gives positions.
    buckets, max_distance: of WavLM's relative positions; 0 buckets for the others.
    standardised: whether the weights expect recordings of mean 0 and variance 1; it is up to the
      caller, who knows the whole recording.
  """

  layer: int | str = 12
  depth: int = 12
  width: int = 768
  heads: int = 12
  mlp_width: int = 3072
  channels: tuple[int, ...] = (512,) * 7
  conv_bias: bool = False
  conv_norm: str = 'group'
  pre_norm: bool = False
  project_norm: bool = True
  taps: int = 128
  groups: int = 16
  buckets: int = 0
  max_distance: int = 800
  standardised: bool = True

  def __call__(self, samples, valid=None):
    """valid: [B] features (320 samples each) that are sound; the rest is padding."""
    count = samples.shape[1] // HOP
    x = self.network(samples, valid)
    last = steps(samples.shape[1]) - 1 if valid is None else steps(valid * HOP) - 1
    return to_grid(x, count, jnp.maximum(jnp.broadcast_to(last, x.shape[:1]), 0))

  @nn.compact
  def network(self, samples, valid=None):
    """Runs the published network: [B, L] -> [B, steps(L), D] at its own 49.x Hz."""
    sound = samples.shape[1] if valid is None else valid * HOP
    sound = jnp.broadcast_to(jnp.asarray(sound), samples.shape[:1])
    x = self._hear(samples, sound)
    real = jnp.arange(x.shape[1])[None] < jnp.maximum(steps(sound), 1)[:, None]
    x = norm('norm_project')(x) if self.project_norm else x
    x = nn.Dense(self.width, name='project')(x) * real[..., None].astype(x.dtype)
    x = x + Positions(self.width, self.taps, self.groups, name='positions')(x)
    x = x if self.pre_norm else norm('norm')(x)

    positions = None
    if self.buckets:
      table = wavlm.RelativePositions(self.heads, self.buckets, self.max_distance, name='relative')
      positions = table(x.shape[1])
    upto = self.depth if self.layer == MIX else self.layer
    layers = [x]
    for i in range(upto):
      block = Block(self.width, self.heads, self.mlp_width, self.pre_norm, name=f'block_{i}')
      layers.append(block(layers[-1], real[:, None, None], positions))
    if self.pre_norm and upto == self.depth:
      layers[-1] = norm('norm')(layers[-1])
    if self.layer != MIX:
      return layers[-1]
    shares = jax.nn.softmax(self.param('mix', nn.initializers.zeros, (self.depth + 1,)))
    return jnp.einsum('lbnd,l->bnd', jnp.stack(layers), shares)

  def _hear(self, samples, sound):
    """The convolutions: [B, L], sound [B] samples -> [B, steps(L), C]."""
    x = samples[..., None]
    for i, (width, kernel, stride) in enumerate(zip(self.channels, KERNELS, STRIDES)):
      conv = nn.Conv(
        width, (kernel,), stride, padding='VALID', use_bias=self.conv_bias, name=f'conv{i}'
      )
      x = conv(x)
      if self.conv_norm == 'layer':
        x = norm(f'norm{i}')(x)
      elif i == 0:
        real = jnp.arange(x.shape[1])[None] < ((sound - kernel) // stride + 1)[:, None]
        x = ChannelNorm(name='norm0')(x, real[..., None].astype(x.dtype))
      x = gelu(x)
    return x


FIELDS = tuple(name for name in Wav2Vec2.__dataclass_fields__ if name not in ('parent', 'name'))


def build(config):
  """Builds the Wav2Vec2 of an imported encoder's settings; lists, as JSON has them, are tuples."""
  plain = lambda value: tuple(value) if isinstance(value, list) else value
  return Wav2Vec2(**{name: plain(config[name]) for name in FIELDS if name in config})


def to_grid(x, count, last):
  """Interpolates from steps at (320 j + 199.5) / 16000 s to k / 50 s; ends are held.

  Args:
    x: [B, N, D]. count: features wanted, S. last: [B] the last step that read sound alone.
  """
  time = jnp.arange(count, dtype=jnp.float32) - CENTRE / HOP
  time = jnp.clip(time[None], 0.0, last[:, None].astype(jnp.float32))  # in steps, [B, S]
  low = jnp.floor(time).astype(jnp.int32)
  high = jnp.minimum(low + 1, last[:, None])
  part = (time - low.astype(jnp.float32))[..., None].astype(x.dtype)
  pick = lambda index: jnp.take_along_axis(x, index[..., None], axis=1)
  return pick(low) * (1 - part) + pick(high) * part
