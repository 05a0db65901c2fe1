"""The networks of `lite`, smallest pieces first, the whole model last."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from ifmdm_jax.autoencoder.lite import composite


class Source(NamedTuple):
  """What the decoder needs of a portrait; computed once. Sides for a 128 px copy."""

  fine: Array  # [B, 64, 64, F] features
  coarse: Array  # [B, 32, 32, G] features
  head: Array  # [B, 32, 32, M, 2] flow per unit of code, in target coordinates
  face: Array  # [B, 64, 64, M, 2] flow per unit of code, in source coordinates
  thumb: Array  # [B, 64, 64, 3] the picture itself, small


class Drawing(NamedTuple):
  """How to draw one frame from the source's pixels."""

  grid: Array  # [B, 128, 128, 2] where to look in the source, fractions of the side
  mask: Array  # [B, 256, 256, 1] 0 warped pixels, 1 paint
  paint: Array  # [B, 256, 256, 3]
  base: Array  # [B, 64, 64, 2] the grid before the per-frame correction


def act(x):
  return nn.leaky_relu(x, 0.2)


def conv(features, stride=1, kernel=3, **kwargs):
  return nn.Conv(features, (kernel, kernel), (stride, stride), **kwargs)


def group_norm(x):
  return nn.GroupNorm(num_groups=8, epsilon=1e-5)(x)


def unshuffle(x, factor):
  """Channels to pixels: [B, h, w, f f C] -> [B, f h, f w, C]."""
  batch, height, width, channels = x.shape
  x = x.reshape(batch, height, width, factor, factor, channels // factor**2)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height * factor, width * factor, -1)


def enlarge(x):
  """Twice the size, nearest neighbour."""
  return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


class NormBlock(nn.Module):
  """Residual block of the encoders."""

  @nn.compact
  def __call__(self, x):
    y = conv(x.shape[-1])(act(group_norm(x)))
    return x + conv(x.shape[-1])(act(group_norm(y)))


class Encoder(nn.Module):
  """Halve and refine, once per width: [B, R, R, 3] -> a list of maps, R/2 first."""

  widths: tuple[int, ...]
  plain: int = 1  # leading levels without a residual block: they are the dear ones

  @nn.compact
  def __call__(self, x):
    maps = []
    for level, width in enumerate(self.widths):
      x = conv(width, stride=2)(x)
      if level >= self.plain:
        x = NormBlock()(x)
      maps.append(x)
      x = act(x)
    return maps


class MotionEncoder(nn.Module):
  """A frame's motion code h, read from its pixels: [B, 128, 128, 3] -> [B, M]."""

  motion_dim: int
  widths: tuple[int, ...] = (24, 48, 96, 128, 128)
  hidden: int = 256

  @nn.compact
  def __call__(self, image):
    x = Encoder(self.widths)(image)[-1]
    x = act(group_norm(x)).reshape(x.shape[0], -1)  # keep where things are: no pooling
    return nn.Dense(self.motion_dim)(act(nn.Dense(self.hidden)(x)))


class SourceEncoder(nn.Module):
  """A small U-Net over the portrait: features to warp, and flow fields to combine."""

  motion_dim: int
  widths: tuple[int, ...] = (32, 64, 128, 160)
  fine: int = 24
  coarse: int = 64

  @nn.compact
  def __call__(self, image):  # [B, 128, 128, 3]
    half, quarter, eighth, x = Encoder(self.widths)(image)  # 64, 32, 16, 8 px
    x = NormBlock()(act(conv(self.widths[2])(enlarge(act(x)))) + eighth)
    x = NormBlock()(act(conv(self.widths[1])(enlarge(act(x)))) + quarter)
    coarse = conv(self.coarse)(act(x))
    y = jnp.concatenate([enlarge(nn.Dense(self.widths[0])(act(x))), half], axis=-1)
    y = act(conv(self.widths[0])(y))
    fine = conv(self.fine)(y)

    def fields(x):  # small at first: an untrained network should hardly move the picture
      x = act(group_norm(x))
      x = 0.02 * conv(2 * self.motion_dim, kernel_init=nn.initializers.normal(5e-3))(x)
      return x.reshape(*x.shape[:3], self.motion_dim, 2)

    return Source(fine, coarse, fields(x), fields(y), composite.halve(image))


class FilmBlock(nn.Module):
  """Residual block steered by the motion: scale and shift of its channels."""

  @nn.compact
  def __call__(self, x, motion):  # [B, r, r, C], [B, D]
    width = x.shape[-1]
    scale, shift = jnp.split(nn.Dense(2 * width)(motion)[:, None, None, :], 2, axis=-1)
    y = act(conv(width)(x) * (1.0 + scale) + shift)
    return x + conv(
      width, kernel_init=nn.initializers.variance_scaling(0.2, 'fan_in', 'truncated_normal')
    )(y)


def combine(fields, code):
  """Linear flow: sum_k code_k field_k. [B, r, r, M, 2], [B, M] -> [B, r, r, 2]."""
  return jnp.einsum('bhwmc,bm->bhwc', fields, code)


class Decoder(nn.Module):
  """Source and relative code -> how to draw the frame; run once per frame.

  The head moves first (field in target coordinates), the face moves on it (field in source
  coordinates, so it stays on the lips however the head has moved); then a small network
  looks at the warped features, corrects the flow and paints what the source never showed.
  """

  width: int = 64
  inner: int = 96
  fine: int = 32
  directions: int = 64
  closed: float = 2.0  # the mask starts at sigmoid(-closed): nearly all warp

  @nn.compact
  def __call__(self, source, code):  # code: h_t - h_s, [B, M]
    # Orthogonal directions (paper, eq. of the latent navigation): motion = Q (h_t - h_s).
    raw = self.param('directions', nn.initializers.normal(1.0), (self.directions, code.shape[-1]))
    motion = code @ jnp.linalg.qr(raw)[0].T
    motion = jnp.concatenate([motion, act(nn.Dense(self.directions)(motion))], axis=-1)

    side = source.coarse.shape[1]  # 32
    head = composite.identity_grid(side)[None] + combine(source.head, code)
    head = composite.upsample_grid(head, 2 * side)
    base = head + composite.sample(combine(source.face, code), head)

    coarse = composite.sample(source.coarse, composite.halve(base))
    fine = composite.sample(source.fine, base)
    x = FilmBlock()(conv(self.width)(coarse), motion)
    y = FilmBlock()(conv(self.inner, stride=2)(act(x)), motion)
    y = FilmBlock()(y, motion)
    x = x + conv(self.width)(enlarge(act(y)))
    x = FilmBlock()(x, motion)
    moved = 10.0 * (base - composite.identity_grid(2 * side)[None])
    x = jnp.concatenate([enlarge(nn.Dense(self.fine)(act(x))), fine, moved], axis=-1)
    x = FilmBlock()(act(conv(self.fine)(x)), motion)

    head = conv(8 + 16 + 48, kernel_init=nn.initializers.normal(5e-3))(act(group_norm(x)))
    flow, mask, paint = jnp.split(head, [8, 24], axis=-1)
    # Zero difference is the identity, whatever the network says.
    awake = (1.0 - jnp.exp(-jnp.sum(code**2, axis=-1)))[:, None, None, None]
    grid = composite.upsample_grid(base, 4 * side) + awake * 0.02 * unshuffle(flow, 2)
    mask = awake * nn.sigmoid(4.0 * unshuffle(mask, 4) - self.closed)
    # Paint starts as the warped picture, blurred: opening the mask early does no harm.
    blurred = composite.upsample(composite.sample(source.thumb, base), 8 * side)
    return Drawing(grid, mask, blurred + unshuffle(paint, 4), base)


class Autoencoder(nn.Module):
  """Appearance from one picture, motion from another.

  The three parts are methods, so that a sampler can run each as often as it is needed:
  `appearance` and `motion` once per portrait, `draw` once per frame.
  """

  motion_dim: int = 20
  source_widths: tuple[int, ...] = (32, 64, 128, 160)
  motion_widths: tuple[int, ...] = (24, 48, 96, 128, 128)
  fine: int = 24
  coarse: int = 64
  decoder_width: int = 64
  decoder_inner: int = 96
  decoder_fine: int = 32

  def setup(self):
    self.source_encoder = SourceEncoder(self.motion_dim, self.source_widths, self.fine, self.coarse)
    self.motion_encoder = MotionEncoder(self.motion_dim, self.motion_widths)
    self.decoder = Decoder(self.decoder_width, self.decoder_inner, self.decoder_fine)

  def appearance(self, image):
    """[B, 128, 128, 3] in [-1, 1] -> Source."""
    return self.source_encoder(image)

  def motion(self, image):
    """[B, 128, 128, 3] in [-1, 1] -> codes h [B, M]."""
    return self.motion_encoder(image)

  def draw(self, source, code):
    """Source and relative code h_t - h_s [B, M] -> Drawing."""
    return self.decoder(source, code)

  def __call__(self, source_image, driving_image):
    code = self.motion(driving_image) - self.motion(source_image)
    return self.draw(self.appearance(source_image), code)
