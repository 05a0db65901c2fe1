"""The U-Net of diffusion over pictures or latents, with four ways for a condition to come in.

Sources: Dhariwal & Nichol 2021, "Diffusion Models Beat GANs" (ADM: blocks, adaptive group norm);
Rombach et al. 2022 (latent diffusion: spatial transformers).

  concatenated     more channels of x: masked pictures, references, controls
  added to time    `vector` [B, E], which scales and shifts or biases every residual block
  cross-attention  `context` [B, K, E], tokens that the spatial transformers read
  residuals        what a control copy adds to the skips (`nn.control`)

Frames of a clip are rows of the batch; `Layout.temporal` makes the layer along time that follows
the first convolution of every residual block, see `nn.temporal`.

Parameters lie in `time`, `down`, `middle` and `up`, so that one regular expression, or one row of
a mapping of names, takes a whole path.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.nn.attention2d import PixelAttention, SpatialTransformer
from ifmdm_jax.nn.embed import timestep_features
from ifmdm_jax.nn.norms import GroupNorm
from ifmdm_jax.nn.residual import double

ZEROS = nn.initializers.zeros


@dataclasses.dataclass(frozen=True)
class Numbers:
  """The part of a `Layout` that files hold; see there."""

  width: int
  multipliers: tuple
  blocks: int
  attention: tuple
  head_width: int


@dataclasses.dataclass(frozen=True)
class Layout:
  """Sizes of a U-Net and what its blocks are made of.

  Attributes:
    width: channels at the finest level.
    multipliers: of the width, one for each level; each level has half the resolution of the last.
    blocks: residual blocks of a level on the way down; one more on the way up.
    attention: downsampling factors, as in (2, 4, 8), of the levels that attend over pixels; the
      middle always does.
    head_width: channels of an attention head.
    context: whether attention reads a context (spatial transformers), or pixels alone.
    depth: transformer blocks of a spatial transformer.
    modulate: a vector scales and shifts after the second norm (ADM); else it is a bias (LDM).
    dropout: before the last convolution of a block; random stream 'dropout'.
    temporal: makes the layer along time of a residual block, or None; called with `name`.
    temporal_attention: makes one more after every level's attention, or None.
    remat: levels whose activations are made again in the backward pass instead of kept.
  """

  width: int
  multipliers: tuple[int, ...]
  blocks: int = 2
  attention: tuple[int, ...] = ()
  head_width: int = 32
  context: bool = True
  depth: int = 1
  modulate: bool = False
  dropout: float = 0.0
  temporal: Callable | None = None
  temporal_attention: Callable | None = None
  remat: tuple[int, ...] = ()

  @property
  def widths(self):
    """Channels of each level."""
    return tuple(self.width * multiplier for multiplier in self.multipliers)

  def attends(self, level):
    """Says whether a level attends over pixels."""
    return 2**level in self.attention

  def block(self, level):
    """Returns the class of the residual blocks of a level, which `remat` may wrap."""
    return nn.remat(Residual, static_argnums=(3, 4)) if level in self.remat else Residual


class Conditions(NamedTuple):
  """What all blocks of one evaluation share.

  Attributes:
    embedding: [B, 4 * width], of the time and of a vector.
    context: [B, K, E] or None.
    frames: of a clip, whose rows follow each other in the batch; 1 for pictures.
    train: whether there is dropout.
  """

  embedding: jax.Array
  context: jax.Array | None = None
  frames: int = 1
  train: bool = False


class Skips(NamedTuple):
  """What the way down hands to the way up, or what a control copy adds to it."""

  down: tuple  # [B, H, W, C] each, finest first
  middle: jax.Array


class Residual(nn.Module):
  """Norm, SiLU, convolution, [layer along time]; norm, SiLU, convolution; both join the input."""

  features: int
  layout: Layout

  @nn.compact
  def __call__(self, x, embedding, frames=1, train=False):
    layout = self.layout
    h = nn.silu(GroupNorm(name='norm_0')(x))
    h = nn.Conv(self.features, (3, 3), name='conv_0')(h)
    if layout.temporal is not None:
      h = layout.temporal(name='temporal')(h, frames)
    numbers = self.features * (2 if layout.modulate else 1)
    shift = nn.Dense(numbers, name='embedding')(nn.silu(embedding))[:, None, None, :]
    if layout.modulate:
      scale, shift = jnp.split(shift, 2, axis=-1)
      h = GroupNorm(name='norm_1')(h) * (1 + scale) + shift
    else:
      h = GroupNorm(name='norm_1')(h + shift)
    h = nn.Dropout(layout.dropout, deterministic=not train)(nn.silu(h))
    h = nn.Conv(self.features, (3, 3), kernel_init=ZEROS, name='conv_1')(h)
    if x.shape[-1] != self.features:
      x = nn.Conv(self.features, (1, 1), name='skip')(x)
    return x + h


class Attend(nn.Module):
  """Attention over pixels, with the context where the layout has one; then over time."""

  layout: Layout

  @nn.compact
  def __call__(self, x, conditions):
    layout = self.layout
    if layout.context:
      spatial = SpatialTransformer(layout.head_width, layout.depth, name='spatial')
      x = spatial(x, conditions.context)
    else:
      x = PixelAttention(layout.head_width, name='spatial')(x)
    if layout.temporal_attention is not None:
      x = layout.temporal_attention(name='temporal')(x, conditions.frames)
    return x


class Time(nn.Module):
  """Timestep int [B] and a vector [B, E] -> embedding [B, 4 * width]."""

  width: int

  @nn.compact
  def __call__(self, t, vector=None):
    x = nn.Dense(4 * self.width, name='hidden')(timestep_features(t, self.width))
    x = nn.Dense(4 * self.width, name='out')(nn.silu(x))
    if vector is not None:
      x = x + nn.Dense(4 * self.width, name='vector')(vector)
    return x


class Down(nn.Module):
  """Convolution, then residual blocks at falling resolutions: x [B, H, W, C] -> all maps."""

  layout: Layout

  @nn.compact
  def __call__(self, x, conditions):
    layout = self.layout
    h = nn.Conv(layout.width, (3, 3), name='conv_in')(x)
    maps = [h]
    for level, features in enumerate(layout.widths):
      for i in range(layout.blocks):
        block = layout.block(level)(features, layout, name=f'block_{level}_{i}')
        h = block(h, conditions.embedding, conditions.frames, conditions.train)
        if layout.attends(level):
          h = Attend(layout, name=f'attention_{level}_{i}')(h, conditions)
        maps.append(h)
      if level + 1 < len(layout.widths):
        h = nn.Conv(features, (3, 3), 2, padding=1, name=f'halve_{level}')(h)
        maps.append(h)
    return maps


class Middle(nn.Module):
  """Residual block, attention, residual block at the coarsest resolution."""

  layout: Layout

  @nn.compact
  def __call__(self, h, conditions):
    for i in range(2):
      block = Residual(h.shape[-1], self.layout, name=f'block_{i}')
      h = block(h, conditions.embedding, conditions.frames, conditions.train)
      if i == 0:
        h = Attend(self.layout, name='attention')(h, conditions)
    return h


class Up(nn.Module):
  """Residual blocks at rising resolutions, each reading one map of the way down; then the end."""

  layout: Layout
  channels: int

  @nn.compact
  def __call__(self, skips, conditions):
    layout = self.layout
    h, maps = skips.middle, list(skips.down)
    for level, features in reversed(list(enumerate(layout.widths))):
      for i in range(layout.blocks + 1):
        block = layout.block(level)(features, layout, name=f'block_{level}_{i}')
        h = jnp.concatenate([h, maps.pop()], axis=-1)
        h = block(h, conditions.embedding, conditions.frames, conditions.train)
        if layout.attends(level):
          h = Attend(layout, name=f'attention_{level}_{i}')(h, conditions)
      if level:
        h = nn.Conv(features, (3, 3), name=f'double_{level}')(double(h))
    h = nn.silu(GroupNorm(name='norm_out')(h))
    return nn.Conv(self.channels, (3, 3), kernel_init=ZEROS, name='conv_out')(h)


class UNet(nn.Module):
  """Noised maps and their step -> what the diffusion asks for; zero until it is trained.

  Attributes:
    layout: sizes.
    channels: of the output.
  """

  layout: Layout
  channels: int

  @nn.compact
  def __call__(self, x, t, context=None, *, vector=None, residuals=None, frames=1, train=False):
    """One evaluation.

    Args:
      x: [B, H, W, C], the noised map with all concatenated conditions; H and W multiples of the
        coarsest downsampling factor.
      t: int [B], step in the schedule of training.
      context: [B, K, E], tokens for cross-attention; None: pixels read each other alone.
      vector: [B, E], added to the time's embedding, or None.
      residuals: Skips that are added to those of the way down, or None.
      frames: T of clips whose frames are rows of the batch.
      train: whether there is dropout.

    Returns:
      [B, H, W, channels].
    """
    conditions = Conditions(Time(self.layout.width, name='time')(t, vector), context, frames, train)
    maps = Down(self.layout, name='down')(x, conditions)
    skips = Skips(tuple(maps), Middle(self.layout, name='middle')(maps[-1], conditions))
    if residuals is not None:
      skips = jax.tree.map(jnp.add, skips, residuals)
    return Up(self.layout, self.channels, name='up')(skips, conditions)
