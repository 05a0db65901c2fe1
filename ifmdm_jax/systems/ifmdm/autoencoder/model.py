"""Joins the published networks: one frame <-> appearance + motion code; and draws with them.

`config` is config.model of configs/autoencoder.py:paper throughout.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm.autoencoder.decoder import Synthesis
from ifmdm_jax.systems.ifmdm.autoencoder.directions import Directions
from ifmdm_jax.systems.ifmdm.autoencoder.discriminator import Discriminator
from ifmdm_jax.systems.ifmdm.autoencoder.encoder import AppearanceEncoder, MotionHead
from ifmdm_jax.systems.ifmdm.autoencoder.refine import RefineBlock, in_tiles


class Autoencoder(nn.Module):
  """One frame <-> appearance + motion code.

  Pictures are [B, S, S, 3] in [-1, 1]; what comes out is not clamped.

  Attributes:
    size: S, a power of two >= 8.
    motion_dim: M, numbers in a motion code.
    style_dim: D, numbers in an appearance code.
    max_width: most channels of a feature map; 512 in the paper.
    multiplier: of the channels before that bound; 1 in the paper.
    refine: whether there is a refine block (61 times the rest of the decoder at 512).
    refine_width: its channels.
    refine_tile: run it in tiles of this many pixels, or None for the whole picture at once.
    clean: zero flow is the identity and the motion head's last bias counts; the published network
      has neither, and weights trained without expect neither.
    relative: the latent moves by h_drive - h_source, so that an undriven picture is the source
      whatever its code; else by h_drive, as published.
    lia: the network this one descends from (LIA, Wang et al. 2022): motion codes end in a bias and
      not in tanh, and a level hands on its own features instead of generated ones.
    remat: parts whose activations are made again in the backward pass instead of kept, of PARTS.
  """

  size: int = 512
  motion_dim: int = 20
  style_dim: int = 512
  max_width: int = 512
  multiplier: float = 1.0
  refine: bool = True
  refine_width: int = 512
  refine_tile: int | None = None
  clean: bool = False
  relative: bool = False
  lia: bool = False
  remat: tuple = ()

  def setup(self):
    part = lambda name, kind: nn.remat(kind) if name in self.remat else kind
    encoder = part('appearance_net', AppearanceEncoder)
    self.appearance_net = encoder(self.size, self.style_dim, self.max_width, self.multiplier)
    self.motion_head = MotionHead(
      self.motion_dim, use_bias=self.clean or self.lia, squash=not self.lia
    )
    self.directions = Directions(self.style_dim, self.motion_dim)
    synthesis = part('synthesis', Synthesis)
    self.synthesis = synthesis(
      self.max_width, generate=not self.lia, clean=self.clean, multiplier=self.multiplier
    )
    if self.refine:
      self.refine_block = part('refine_block', RefineBlock)(self.refine_width)

  def appearance(self, image):
    """Encodes a picture: w_a [B, D], and features, a list of [B, r, r, C], coarse first."""
    return self.appearance_net(image)

  def motion(self, w_a):
    """Reads the motion code [B, M] in (-1, 1) off an appearance code [B, D]."""
    return self.motion_head(w_a)

  def encode(self, image):
    """Reads the motion code [B, M] off a picture."""
    return self.motion(self.appearance(image)[0])

  def latent(self, w_a, h=None):
    """Moves along the directions: w_a + delta(h), [B, D]; w_a alone without a motion code."""
    return w_a if h is None else w_a + self.directions(h)

  def decode(self, w_a, features, h=None, *, refine=None):
    """Draws the source's appearance and features, moved by h [B, M].

    refine=False leaves the refine block out; None does as the model was built.
    """
    rgb = self.synthesis(self.latent(w_a, h), features)
    return self.refined(rgb) if (self.refine if refine is None else refine) else rgb

  def refined(self, rgb):
    """Runs the refine block, in tiles if the model was built so."""
    if self.refine_tile is None or self.is_initializing():
      return self.refine_block(rgb)
    block, variables = self.refine_block.unbind()  # a bound module cannot run inside a scan
    return in_tiles(lambda window: block.apply(variables, window), rgb, self.refine_tile)

  def __call__(self, source, drive=None, start=None):
    """Draws the source with the motion of the driving picture.

    With start [B, M] the motion is relative, h_drive - start + h_source: as the directions are
    linear, w_a + delta(h_drive) - delta(start) + delta(h_source).
    """
    w_a, features = self.appearance(source)
    if drive is None:
      return self.decode(w_a, features)
    h = self.encode(drive)
    if start is not None:
      h = h - start + self.motion(w_a)
    return self.decode(w_a, features, h - self.motion(w_a) if self.relative else h)


FIELDS = tuple(name for name in Autoencoder.__dataclass_fields__ if name not in ('parent', 'name'))
PARTS = ('appearance_net', 'synthesis', 'refine_block', 'discriminator', 'perceptual')


def build(config):
  """Builds (Autoencoder, Discriminator) of config.model."""
  model = Autoencoder(**{name: config[name] for name in FIELDS if name in config})
  if model.size < 8 or model.size & (model.size - 1):
    raise InputError(f'model.size is {model.size}, expected a power of two from 8: try 256 or 512')
  if not 0 < model.multiplier <= 1:
    raise InputError(f'model.multiplier is {model.multiplier}, expected a number in (0, 1]')
  unknown = set(model.remat) - set(PARTS)
  if unknown:
    raise InputError(f'model.remat has {", ".join(unknown)}, expected some of {", ".join(PARTS)}')
  discriminator = nn.remat(Discriminator) if 'discriminator' in model.remat else Discriminator
  return model, discriminator(model.size, model.max_width, model.multiplier)


def init(rng, config):
  """Draws fresh parameters {'gen', 'dis'}."""
  gen, dis = build(config)
  image = jnp.zeros((1, gen.size, gen.size, 3), jnp.float32)
  rng_gen, rng_dis = jax.random.split(rng)
  return {
    'gen': gen.init(rng_gen, image, image)['params'],
    'dis': dis.init(rng_dis, image)['params'],
  }


# -------------------------------------------------------------------------------- sampling


class Portrait(NamedTuple):
  """A source, encoded once."""

  w_a: jax.Array  # [1, D]
  features: list  # [1, r, r, C] each; their type is the one that frames are drawn in
  code: jax.Array  # [1, M]
  directions: jax.Array  # [D, M], Q: a QR once, not once a frame


def _apply(params, config, *args, method, **kwargs):
  return build(config)[0].apply({'params': params['gen']}, *args, method=method, **kwargs)


def portrait(params, image, config):
  """Encodes uint8 [R, R, 3]; frames are drawn in `config.draw_dtype`, if there is one."""
  w_a, features = _apply(params, config, as_float(image[None], config.size), method='appearance')
  code = _apply(params, config, w_a, method='motion')
  directions = _apply(params, config, method=lambda model: model.directions.basis())
  dtype = config.get('draw_dtype', 'float32')
  return Portrait(w_a, [feature.astype(dtype) for feature in features], code, directions)


def motion(params, frames, config):
  """Reads codes [T, M] off uint8 [T, R, R, 3]."""
  return _apply(params, config, as_float(frames, config.size), method='encode')


def draw(params, portrait, codes, config):
  """Draws a `Portrait` with codes [B, M]: uint8 [B, S, S, 3]."""
  moved = codes - portrait.code if config.get('relative') else codes
  latent = portrait.w_a + moved @ portrait.directions.T
  features = [jnp.broadcast_to(x, (len(codes), *x.shape[1:])) for x in portrait.features]
  image = _apply(params, config, latent, features, method='decode', refine=False)
  if config.refine:
    block = RefineBlock(config.refine_width, features[0].dtype)
    refine = functools.partial(block.apply, {'params': params['gen']['refine_block']})
    tile = config.get('refine_tile')
    image = in_tiles(refine, image, tile) if tile else refine(image)
  return jnp.clip(jnp.round((image + 1) * 127.5), 0, 255).astype(jnp.uint8)


def as_float(image, size):
  """Brings pictures uint8, or float in [-1, 1], to float [B, S, S, 3] in [-1, 1].

  Resized bicubically, without antialiasing, as published.
  """
  if image.dtype == jnp.uint8:
    image = image.astype(jnp.float32) / 127.5 - 1
  if image.shape[1:3] == (size, size):
    return image
  return jax.image.resize(image, (len(image), size, size, 3), 'cubic', antialias=False)
