"""Attention over the pixels of a feature map.

Sources: Zhang et al. 2019, "Self-Attention Generative Adversarial Networks", equations 1-3; the
spatial transformer of latent diffusion (Rombach et al. 2022, appendix E.2.1), whose cross-attention
reads a condition of any number of tokens.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.nn.norms import GroupNorm
from ifmdm_jax.nn.spectral import SpectralConv

ZEROS = nn.initializers.zeros


class SelfAttention2d(nn.Module):
  """SAGAN's self-attention with a gate that begins closed: [B, H, W, C] -> [B, H, W, C].

  Queries and keys are C / `shrink` wide, values C: the paper's two maps h and v are one. The result
  joins its input times a learned gamma, 0 at first, so that the layer begins as the identity. Its
  1x1 convolutions are spectrally normalised.
  """

  shrink: int = 8

  @nn.compact
  def __call__(self, x):
    batch, height, width, channels = x.shape
    narrow = max(channels // self.shrink, 1)
    conv = lambda features, name: SpectralConv(features, 1, name=name)(x)
    flat = lambda y: y.reshape(batch, height * width, -1)
    query, key = flat(conv(narrow, 'query')), flat(conv(narrow, 'key'))
    value = flat(conv(channels, 'value'))
    scores = jnp.einsum('bqc,bkc->bqk', query, key).astype(jnp.float32)  # not divided by a root
    weights = jax.nn.softmax(scores, axis=-1).astype(x.dtype)
    read = jnp.einsum('bqk,bkc->bqc', weights, value).reshape(batch, height, width, channels)
    gamma = self.param('gamma', ZEROS, (1,))
    return x + gamma[None, None, None].astype(x.dtype) * read


class MultiHeadAttention(nn.Module):
  """Queries of x read keys and values of a context, or of x: [B, Q, D] -> [B, Q, D].

  Attributes:
    head_width: channels of a head; D / head_width heads.
  """

  head_width: int

  @nn.compact
  def __call__(self, x, context=None):  # context: [B, K, E]
    width = x.shape[-1]
    context = x if context is None else context
    parts = lambda y: y.reshape(*y.shape[:2], -1, self.head_width)
    project = lambda y, name: parts(nn.Dense(width, use_bias=False, name=name)(y))
    query, key, value = project(x, 'query'), project(context, 'key'), project(context, 'value')
    read = jax.nn.dot_product_attention(query, key, value)
    return nn.Dense(width, name='out')(read.reshape(x.shape))


class GatedMlp(nn.Module):
  """GEGLU: half of a layer is gated by the GELU of the other half, four times as wide inside."""

  @nn.compact
  def __call__(self, x):
    width = x.shape[-1]
    value, gate = jnp.split(nn.Dense(8 * width, name='up')(x), 2, axis=-1)
    return nn.Dense(width, name='down')(value * nn.gelu(gate, approximate=False))


class TransformerBlock(nn.Module):
  """Self-attention, cross-attention to the context, gated MLP; each after a layer norm."""

  head_width: int

  @nn.compact
  def __call__(self, x, context=None):  # x: [B, Q, D], context: [B, K, E] or None
    norm = lambda name: nn.LayerNorm(epsilon=1e-5, name=name)
    attend = lambda name: MultiHeadAttention(self.head_width, name=name)
    x = x + attend('self_attention')(norm('norm_self')(x))
    x = x + attend('cross_attention')(norm('norm_cross')(x), context)  # without one, to itself
    return x + GatedMlp(name='mlp')(norm('norm_mlp')(x))


class SpatialTransformer(nn.Module):
  """Transformer over the pixels of a map [B, H, W, C]; it begins as the identity.

  Attributes:
    head_width: channels of a head.
    depth: transformer blocks.
  """

  head_width: int
  depth: int = 1

  @nn.compact
  def __call__(self, x, context=None):
    batch, height, width, channels = x.shape
    tokens = GroupNorm(epsilon=1e-6, name='norm')(x).reshape(batch, height * width, channels)
    tokens = nn.Dense(channels, name='proj_in')(tokens)  # a 1x1 convolution
    for i in range(self.depth):
      tokens = TransformerBlock(self.head_width, name=f'block_{i}')(tokens, context)
    tokens = nn.Dense(channels, kernel_init=ZEROS, name='proj_out')(tokens)
    return x + tokens.reshape(x.shape)


class PixelAttention(nn.Module):
  """Multi-head self-attention of ADM's U-Net, without a context; it begins as the identity."""

  head_width: int

  @nn.compact
  def __call__(self, x):  # [B, H, W, C]
    batch, height, width, channels = x.shape
    tokens = GroupNorm(name='norm')(x).reshape(batch, height * width, channels)
    qkv = nn.Dense(3 * channels, name='qkv')(tokens)
    split = lambda y: y.reshape(batch, height * width, -1, self.head_width)
    query, key, value = map(split, jnp.split(qkv, 3, axis=-1))
    read = jax.nn.dot_product_attention(query, key, value).reshape(tokens.shape)
    return x + nn.Dense(channels, kernel_init=ZEROS, name='out')(read).reshape(x.shape)
