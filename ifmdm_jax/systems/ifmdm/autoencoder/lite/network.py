"""The networks of `lite`, smallest pieces first, the whole model last."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.initializers import normal, variance_scaling
from jax import Array

from ifmdm_jax.face import align, points
from ifmdm_jax.systems.ifmdm.autoencoder.lite import (
  composite,
  eyes,
  geometry,
  limits,
  surface,
  units,
)

FAINT = 5e-3  # deviation of fresh last layers: an untrained network adds little to geometry
SEEN_FLOW = 10.0  # per side: what it sees flow in, so that it is of size 1
EDGE = 0.125  # of the side: how far from an edge of the picture it holds what moves across it
SLOPE = 4.0  # of the mask's logit
# Flow for 2 x 2 places, which bundles up to 0.7 have and nothing uses; mask and paint for 4 x 4.
HEADS = 2 * 2**2, 1 * 4**2, 3 * 4**2


class Source(NamedTuple):
  """What the decoder needs of a portrait; computed once. Sides for a 128 px copy."""

  fine: Array | None  # [B, 64, 64, F] features to paint by, where there is paint
  coarse: Array | None  # [B, 32, 32, G] features
  follows: Array  # [B, 32, 32, 1] how far a place goes with the head: 1 hair, 0 what stands still
  thumb: Array  # [B, 64, 64, 3] the picture itself, small
  behind: Array  # [B, 64, 64, 3] what may be behind the person
  points: Array  # [B, 468, 2] its landmarks
  depth: Array  # [B, 468] theirs
  places: Array  # [B, 468, 2] where the picture shows them
  edge: Array  # [B, 36, 2] the outline of the face
  irises: Array | None = None  # [B, 2, 2] their middles, left first, where they were seen

  @property
  def solid(self):
    """Its landmarks with their depth: [B, 468, 3]."""
    return jnp.concatenate([self.points, self.depth[..., None]], -1)


class Drawing(NamedTuple):
  """How to draw one frame from the source's pixels."""

  around: Array  # [B, 128, 128, 2] where to look in the source without its face, fractions
  face: Array  # [B, 128, 128, 2] and where in the source, of the side,
  lids: Array  # [B, 128, 128, 2] and where upper lids are
  cover: Array  # [B, 128, 128, 2] 1 where the face is, and where its upper lids are
  mask: Array | None  # [B, 256, 256, 1] 0 warped pixels, 1 paint; None: all is warped
  paint: Array | None  # [B, 256, 256, 3]
  awake: Array  # [B, 1, 1, 1] 0 where the code is the portrait's own
  missing: Array  # [B, 36, 2] how far the head alone would have left the outline
  landmarks: Array  # [B, 468, 2] of the frame

  @property
  def grid(self):
    """Where to look in the source, the face before what is around it: [B, 128, 128, 2]."""
    return front(self.around, self.face, self.lids, self.cover)


def front(around, face, lids, cover):
  """Chooses the grid of the foremost layer: lids, face, what is around it."""
  face = jnp.where(cover[..., 1:] > 0.5, lids, face)
  return jnp.where(cover[..., :1] > 0.5, face, around)


def act(x):
  return nn.leaky_relu(x, 0.2)


def conv(features, stride=1, kernel=3, **kwargs):
  return nn.Conv(features, (kernel, kernel), (stride, stride), **kwargs)


def group_norm(x):
  return nn.GroupNorm(num_groups=8, epsilon=1e-5)(x)


def unshuffle(x, factor):
  """Turns channels into pixels: [B, h, w, f f C] -> [B, f h, f w, C]."""
  batch, height, width, channels = x.shape
  x = x.reshape(batch, height, width, factor, factor, channels // factor**2)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height * factor, width * factor, -1)


def enlarge(x):
  """Doubles the size, nearest neighbour."""
  return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


class NormBlock(nn.Module):
  """Adds to features what two convolutions see in them, normalised; a block of the encoders."""

  @nn.compact
  def __call__(self, x):
    y = conv(x.shape[-1])(act(group_norm(x)))
    return x + conv(x.shape[-1])(act(group_norm(y)))


class Encoder(nn.Module):
  """Halves and refines, once per width: [B, R, R, 3] -> a list of maps, R/2 first."""

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


class SourceEncoder(nn.Module):
  """Encodes the portrait by a small U-Net: features to warp, and what goes with the head."""

  widths: tuple[int, ...] = (32, 64, 128, 160)
  fine: int = 24
  coarse: int = 64
  paint: bool = True

  @nn.compact
  def __call__(self, image, matte, landmarks):  # [B, 128, 128, 3], [B, 128, 128, 1], [B, 468, 2]
    mouth = geometry.inner_mouth(landmarks, image.shape[1])
    maps = Encoder(self.widths)(jnp.concatenate([image, mouth], axis=-1))
    half, quarter, eighth, x = maps  # 64, 32, 16, 8 px
    x = NormBlock()(act(conv(self.widths[2])(enlarge(act(x)))) + eighth)
    x = NormBlock()(act(conv(self.widths[1])(enlarge(act(x)))) + quarter)
    coarse = fine = None
    if self.paint:
      coarse = conv(self.coarse)(act(x))
      y = jnp.concatenate([enlarge(nn.Dense(self.widths[0])(act(x))), half], axis=-1)
      fine = conv(self.fine)(act(conv(self.widths[0])(y)))
    person = composite.halve(matte)
    seen = jnp.concatenate([act(group_norm(x)), composite.halve(person)], axis=-1)
    prior = geometry.above_shoulders(landmarks, x.shape[1])
    follows = prior + conv(1, kernel=1, kernel_init=normal(FAINT), name='follows')(seen)
    thumb = composite.halve(image)
    behind = composite.fill(thumb, known=1.0 - composite.grown(person, composite.RIM))
    surfaces = jax.vmap(surface.with_depth)(landmarks)
    places = jax.vmap(surface.visible_places)(surfaces)
    edge = jax.vmap(surface.outline)(landmarks)
    follows = nn.sigmoid(follows)
    return Source(fine, coarse, follows, thumb, behind, landmarks, surfaces[..., 2], places, edge)


class FilmBlock(nn.Module):
  """Adds to features what convolutions see, scaled and shifted per channel by the motion."""

  @nn.compact
  def __call__(self, x, motion):  # [B, r, r, C], [B, D]
    width = x.shape[-1]
    scale, shift = jnp.split(nn.Dense(2 * width)(motion)[:, None, None, :], 2, axis=-1)
    y = act(conv(width)(x) * (1.0 + scale) + shift)
    return x + conv(width, kernel_init=variance_scaling(0.2, 'fan_in', 'truncated_normal'))(y)


class Decoder(nn.Module):
  """Says how to draw a frame from a source and a relative code; run once per frame.

  Layers of motion, none of which folds. The head turns and shifts as a whole, hair and all, neck
  and shoulders follow it as far as the source says, and both are put right at the outline of the
  face; before them the face, a surface with depth whose points are where the code says; then a
  small network, if there is paint, looks at the warped features and paints what the source never
  showed.
  """

  width: int = 64
  inner: int = 96
  fine: int = 32
  directions: int = 64
  paint: bool = True
  closed: float = 4.0  # the mask starts at sigmoid(-closed), nearly all warp,
  opened: float = 0.0  # and at sigmoid(opened) in what the portrait does not show of the mouth
  shade: float = 0.6  # how much darker paint starts between the lips,
  depth: float = 0.85  # and below what the portrait shows of the mouth

  @nn.compact
  def __call__(self, source, code, moved, gestures, shape=None):
    # h_t - h_s [B, M], [B, 468, 2], [B, 4], [B, 468, 2]
    side = source.thumb.shape[1]  # 64
    landmarks = geometry.uncrossed(source.points, source.points + moved)
    landmarks = jax.vmap(limits.within)(source.solid, landmarks)
    cells = geometry.BODY[0]
    body = self.param('body_motion', nn.initializers.zeros, (cells, cells, 6, 2))
    around, missing = follow(source, landmarks, body, 2 * side)
    face, lids, cover = face_of(source, landmarks, gestures, 2 * side)
    face = eyes.look(source.points, source.irises, face, gestures)
    mouth, unseen, hanging = geometry.anchored_mouth(source.points, landmarks, 2 * side)
    hanging = composite.identity_grid(2 * side)[None] + hanging
    face = face + mouth * (hanging - face)

    # Zero difference is the identity, whatever the network says.
    size = jnp.square(code).sum(-1) + jnp.square(eyes.WAKE * gestures).sum(-1)
    if shape is not None:
      size = size + jnp.square(units.WAKE * shape).sum((1, 2))
    awake = (1.0 - jnp.exp(-size))[:, None, None, None]
    mask = paint = None
    if self.paint:
      half = composite.halve(front(around, face, lids, cover))
      mask, paint = self._paint(source, half, mouth, unseen, self._motion(code), awake)
    return Drawing(around, face, lids, cover, mask, paint, awake, missing, landmarks)

  def _paint(self, source, half, mouth, unseen, motion, awake):
    """Paints what a grid [B, 64, 64, 2] does not find: mask and paint, [B, 256, 256, 1 and 3]."""
    _, mask, paint = self._correct(source, half, mouth, motion)
    side = half.shape[1]
    inside = composite.upsample(mouth, 4 * side)
    unseen = composite.upsample(unseen, 4 * side)
    prior = (self.opened + self.closed) * unseen - self.closed
    mask = awake * nn.sigmoid(SLOPE * unshuffle(mask, 4) + prior)
    # Paint starts as the warped picture, blurred, and darker in the mouth: [-1, 1] is lifted to 0.
    blurred = composite.upsample(composite.sample(source.thumb, half), 4 * side)
    dark = self.shade * inside + (self.depth - self.shade) * unseen
    blurred = (blurred + 1.0) * (1.0 - dark) - 1.0
    return mask, blurred + unshuffle(paint, 4)

  def _motion(self, code):
    """Moves along orthogonal directions (paper, latent navigation): Q (h_t - h_s), and more."""
    raw = self.param('directions', normal(1.0), (self.directions, code.shape[-1]))
    motion = code @ jnp.linalg.qr(raw)[0].T
    return jnp.concatenate([motion, act(nn.Dense(self.directions)(motion))], axis=-1)

  def _correct(self, source, grid, mouth, motion):
    """Looks at the features that a grid [B, 64, 64, 2] finds: flow, mask and paint, shuffled."""
    coarse = composite.sample(source.coarse, composite.halve(grid))
    fine = composite.sample(source.fine, grid)
    x = FilmBlock()(conv(self.width)(coarse), motion)
    y = FilmBlock()(conv(self.inner, stride=2)(act(x)), motion)
    y = FilmBlock()(y, motion)
    x = x + conv(self.width)(enlarge(act(y)))
    x = FilmBlock()(x, motion)
    flow = SEEN_FLOW * (grid - composite.identity_grid(grid.shape[1])[None])
    x = [enlarge(nn.Dense(self.fine)(act(x))), fine, flow, geometry.fold(mouth, 2)]
    x = FilmBlock()(act(conv(self.fine)(jnp.concatenate(x, axis=-1))), motion)
    head = conv(sum(HEADS), kernel_init=normal(FAINT))(act(group_norm(x)))
    return jnp.split(head, np.cumsum(HEADS[:-1]).tolist(), axis=-1)


def follow(source, landmarks, body, side, rounds=6):
  """Finds where each pixel of the frame looks in the source, by head, body and the face's outline.

  A place q of the source follows the head by follows(q); which q a given place of the frame shows
  is found by a few rounds of going half of the way to what q so far says. Beside a head that moves
  away no q fits: the whole way would jump between head and background there, and fold.

  Args:
    source: `Source`.
    landmarks: [B, 468, 2], landmarks of the frame.
    body: [24, 24, 6, 2], see `geometry.body_motion`.
    side: of the answer, pixels.

  Returns:
    grid [B, side, side, 2], and what was left to the outline [B, 36, 2].
  """
  small = source.follows.shape[1]
  still = composite.identity_grid(small)[None]
  places = still + geometry.body_motion(body, source.points, landmarks, small)
  skull = lambda landmarks: landmarks[:, points.RIGID]
  back = align.similarity(skull(landmarks), skull(source.points))(places) - places
  lookup = places + source.follows * back
  for _ in range(rounds):
    wanted = places + composite.sample(source.follows, lookup) * back
    lookup = 0.5 * (lookup + wanted)
  edge = jax.vmap(surface.outline)(landmarks)
  flow = composite.sample(lookup - still, edge[:, :, None])[:, :, 0]
  missing = source.edge - edge - flow
  spread = jax.vmap(lambda values, places: surface.spread(values, places, side))(missing, edge)
  flow = composite.upsample(lookup - still, side) + spread
  return composite.identity_grid(side)[None] + anchored(flow), missing


def anchored(flow):
  """Holds a flow [B, s, s, 2] at the sides and the lower edge of the picture, which cut the person.

  Across an edge nothing moves, so that no frame looks beyond it, where there is nothing to show;
  along it all may. What is above the upper edge is made up (`composite.above`).
  """
  side = flow.shape[1]
  x, y = jnp.moveaxis(composite.identity_grid(side), -1, 0)
  # From the middle of the outermost pixels on: up to the edge itself a flow stays as it is there.
  ramp = lambda distance: jnp.clip((distance - 0.5 / side) / EDGE, 0.0, 1.0)
  free = jnp.stack([ramp(x) * ramp(1.0 - x), ramp(1.0 - y)], -1)
  return flow * free[None]


def face_of(source, landmarks, gestures, side):
  """Finds where the face of a frame looks in the source.

  Args:
    source: `Source`.
    landmarks: [B, 468, 2], of the frame.
    gestures: [B, 4], see `eyes`.
    side: of the answer, pixels.

  Returns:
    Grids of the face and of its upper lids [B, side, side, 2], each continued a little beyond what
    it covers, so that it can be interpolated there; what they cover, [B, side, side, 2].
  """

  def one(start, eyes, places, end, closed):
    depth = surface.fit(start, end).depth(start)
    places, closed = surface.with_eyes(places, eyes), surface.with_eyes(closed, end)
    flow, cover = surface.rasterise(places, closed, surface.behind_lids(depth), side)
    lids = cover[..., 1:]
    face = surface.beyond(flow, cover[..., :1] - lids)
    cover = jnp.concatenate([surface.without_holes(cover[..., :1]), lids], -1)
    return face, surface.beyond(flow, lids), cover

  closed, places = eyes.close(landmarks, source.places, gestures)
  of = source.solid, source.places, places, landmarks, closed
  face, lids, cover = jax.vmap(one)(*of)
  still = composite.identity_grid(side)[None]
  return still + face, still + lids, cover


class Autoencoder(nn.Module):
  """Takes appearance from one picture, motion from a code.

  The parts are methods, so that a sampler can run each as often as it is needed: `appearance` once
  per portrait, `draw` once per frame.
  """

  motion_dim: int = 20
  source_widths: tuple[int, ...] = (32, 64, 128, 160)
  fine: int = 24
  coarse: int = 64
  decoder_width: int = 64
  decoder_inner: int = 96
  decoder_fine: int = 32
  paint: bool = True

  def setup(self):
    self.source_encoder = SourceEncoder(self.source_widths, self.fine, self.coarse, self.paint)
    sizes = self.decoder_width, self.decoder_inner, self.decoder_fine
    self.decoder = Decoder(*sizes, paint=self.paint)

  def appearance(self, image, matte, landmarks):
    """[B, 128, 128, 3] in [-1, 1], matte [B, 128, 128, 1], landmarks [B, 468, 2] -> Source."""
    return self.source_encoder(image, matte, landmarks)

  def draw(self, source, code, moved, gestures=None, shape=None):
    """Says how to draw a frame.

    Args:
      source: `Source`.
      code: relative, h_t - h_s [B, M].
      moved: how it moves landmarks, `shape` included, [B, 468, 2].
      gestures: [B, 4], see `eyes`; None: none.
      shape: what of `moved` is of `units` alone, [B, 468, 2]; None: nothing.

    Returns:
      `Drawing`.
    """
    if gestures is None:
      gestures = jnp.zeros((code.shape[0], len(eyes.NAMES)))
    return self.decoder(source, code, moved, gestures, shape)

  def __call__(self, image, matte, landmarks, code, moved):
    return self.draw(self.appearance(image, matte, landmarks), code, moved)
