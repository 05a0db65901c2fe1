"""The autoencoder of stage 1: pictures <-> latents, 4 (or 8) times smaller, with a codebook.

Latent diffusion's vq-f4 (Rombach et al. 2022, table 8): residual blocks at falling and rising
resolutions, attention between all pixels in the middle alone. Stage 2 works on latents before they
are quantised: `encode` stops there, and `decode` quantises first, so that what a diffusion drew is
pulled onto the codebook. Pictures are in [-1, 1], made so and not clipped.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.nn import norms
from ifmdm_jax.nn.residual import double
from ifmdm_jax.nn.vq import VectorQuantizer

LAST = ('decoder', 'conv_out', 'kernel')  # path of what the adaptive weight of a critic looks at


def network(config):
  """Builds the autoencoder of a `config.model`, see `sizes`."""
  vq = config.vq
  return VQ(vq.width, tuple(vq.multipliers), vq.blocks, vq.entries, vq.channels)


class GroupNorm(norms.GroupNorm):
  """Group norm with this autoencoder's epsilon."""

  epsilon: float = 1e-6


class Residual(nn.Module):
  """Norm, SiLU, convolution, twice; joins the input: [B, H, W, C] -> [B, H, W, features]."""

  features: int

  @nn.compact
  def __call__(self, x):
    h = nn.Conv(self.features, (3, 3), name='conv_0')(nn.silu(GroupNorm(name='norm_0')(x)))
    h = nn.Conv(self.features, (3, 3), name='conv_1')(nn.silu(GroupNorm(name='norm_1')(h)))
    if x.shape[-1] != self.features:
      x = nn.Conv(self.features, (1, 1), name='skip')(x)
    return x + h


class Attention(nn.Module):
  """Attention between all pixels, one head as wide as the map: [B, H, W, C] -> [B, H, W, C]."""

  @nn.compact
  def __call__(self, x):
    batch, height, width, channels = x.shape
    tokens = GroupNorm(name='norm')(x).reshape(batch, height * width, 1, channels)
    project = lambda name: nn.Dense(channels, name=name)(tokens)  # a 1x1 convolution
    read = jax.nn.dot_product_attention(project('query'), project('key'), project('value'))
    return x + nn.Dense(channels, name='out')(read).reshape(x.shape)


class Middle(nn.Module):
  """Residual block, attention, residual block: [B, H, W, C] -> [B, H, W, C]."""

  @nn.compact
  def __call__(self, h):
    h = Residual(h.shape[-1], name='block_0')(h)
    h = Attention(name='attention')(h)
    return Residual(h.shape[-1], name='block_1')(h)


class Encoder(nn.Module):
  """Pictures [B, H, W, 3] -> [B, H / f, W / f, channels], f = 2 ** (levels - 1)."""

  widths: tuple[int, ...]
  blocks: int
  channels: int

  @nn.compact
  def __call__(self, x):
    h = nn.Conv(self.widths[0], (3, 3), name='conv_in')(x)
    for level, width in enumerate(self.widths):
      for i in range(self.blocks):
        h = Residual(width, name=f'block_{level}_{i}')(h)
      if level + 1 < len(self.widths):
        # Padded after the last row and column alone, as published.
        h = nn.Conv(width, (3, 3), 2, padding=((0, 1), (0, 1)), name=f'halve_{level}')(h)
    h = nn.silu(GroupNorm(name='norm_out')(Middle(name='middle')(h)))
    return nn.Conv(self.channels, (3, 3), name='conv_out')(h)


class Decoder(nn.Module):
  """[B, h, w, channels] -> pictures [B, f h, f w, 3]; one more block a level than the encoder."""

  widths: tuple[int, ...]
  blocks: int

  @nn.compact
  def __call__(self, z):
    h = nn.Conv(self.widths[-1], (3, 3), name='conv_in')(z)
    h = Middle(name='middle')(h)
    for level, width in reversed(list(enumerate(self.widths))):
      for i in range(self.blocks + 1):
        h = Residual(width, name=f'block_{level}_{i}')(h)
      if level:
        h = nn.Conv(width, (3, 3), name=f'double_{level}')(double(h))
    h = nn.silu(GroupNorm(name='norm_out')(h))
    return nn.Conv(3, (3, 3), name='conv_out')(h)


class VQ(nn.Module):
  """Pictures -> latents -> pictures.

  Attributes:
    width: channels at the picture's resolution.
    multipliers: of the width, one for each level; each level has half the resolution of the last.
    blocks: residual blocks of a level of the encoder.
    entries: of the codebook.
    channels: of the latents, and numbers of an entry.
  """

  width: int
  multipliers: tuple[int, ...]
  blocks: int = 2
  entries: int = 8192
  channels: int = 3

  @property
  def factor(self):
    """How many pixels of the picture one of the latents stands for, along one side."""
    return 2 ** (len(self.multipliers) - 1)

  def setup(self):
    widths = tuple(self.width * multiplier for multiplier in self.multipliers)
    self.encoder = Encoder(widths, self.blocks, self.channels)
    self.quant_conv = nn.Conv(self.channels, (1, 1))
    self.quantizer = VectorQuantizer(self.entries)
    self.post_quant_conv = nn.Conv(self.channels, (1, 1))
    self.decoder = Decoder(widths, self.blocks)

  def encode(self, pictures):
    """Encodes [B, H, W, 3], H and W multiples of `factor` -> latents before quantisation."""
    return self.quant_conv(self.encoder(pictures))

  def quantize(self, z):
    """Quantises latents [B, h, w, channels] -> `nn.vq.Quantized`."""
    return self.quantizer(z)

  def decode(self, z):
    """Quantises latents [B, h, w, channels], decodes them -> pictures [B, H, W, 3], not clipped."""
    return self.draw(self.quantizer(z).z)

  def __call__(self, pictures):
    """Encodes, quantises and decodes -> (pictures, `nn.vq.Quantized`), for training."""
    quantized = self.quantizer(self.encode(pictures))
    return self.draw(quantized.z), quantized

  def draw(self, z):
    """Decodes latents [B, h, w, channels] that are quantised already, see `decode`."""
    return self.decoder(self.post_quant_conv(z))


def init(rng, config):
  """Draws fresh parameters of the autoencoder of a `config.model`."""
  return network(config).init(rng, jnp.zeros((1, config.image, config.image, 3)))['params']
