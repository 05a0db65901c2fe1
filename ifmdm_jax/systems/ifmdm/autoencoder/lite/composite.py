"""Warp the source's own pixels once, then blend paint over them.

Coordinates are fractions of the side: 0 is the left or upper edge, 1 the right or lower
one, pixel i of n has its centre at (i + 0.5) / n; x before y.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ifmdm_jax.nn.pool import mean_pool


def identity_grid(side):
  """Where each pixel of a side x side picture lies: [side, side, 2]."""
  centre = (jnp.arange(side, dtype=jnp.float32) + 0.5) / side
  x, y = jnp.meshgrid(centre, centre)
  return jnp.stack([x, y], axis=-1)


def _sample_one(image, grid):
  height, width, channels = image.shape
  x = jnp.clip(grid[..., 0] * width - 0.5, 0.0, width - 1.0)
  y = jnp.clip(grid[..., 1] * height - 0.5, 0.0, height - 1.0)
  x_0 = jnp.minimum(jnp.floor(x), width - 2.0)
  y_0 = jnp.minimum(jnp.floor(y), height - 2.0)
  a, b = (x - x_0)[..., None], (y - y_0)[..., None]
  corner = y_0.astype(jnp.int32) * width + x_0.astype(jnp.int32)
  rows = image.reshape(height * width, channels)
  # Whole rows from a flat table are the fastest gather on a CPU.
  tap = lambda offset: rows.at[corner + offset].get(mode='promise_in_bounds')
  upper = (1.0 - a) * tap(0) + a * tap(1)
  lower = (1.0 - a) * tap(width) + a * tap(width + 1)
  return (1.0 - b) * upper + b * lower


def sample(image, grid):
  """Bilinear look-up with clamped borders.

  image [B, H, W, C], grid [B, h, w, 2] as fractions -> [B, h, w, C].
  """
  return jax.vmap(_sample_one)(image, grid)


def _double(x, axis):
  """Bilinear, half-pixel centres, clamped ends, along one axis: shifts, not a matrix."""
  before = jnp.concatenate(
    [jax.lax.slice_in_dim(x, 0, 1, axis=axis), jax.lax.slice_in_dim(x, 0, -1, axis=axis)], axis
  )
  after = jnp.concatenate(
    [jax.lax.slice_in_dim(x, 1, None, axis=axis), jax.lax.slice_in_dim(x, -1, None, axis=axis)],
    axis,
  )
  pairs = jnp.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis + 1)
  return pairs.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])


def upsample(x, side):
  """[B, h, h, C] -> [B, side, side, C] by smooth doublings."""
  x = jax.lax.optimization_barrier(x)  # computed once, not once for each pixel that reads it
  while x.shape[1] < side:
    x = _double(_double(x, 1), 2)
  return jax.lax.optimization_barrier(x)


def halve(x):
  """[B, h, h, C] -> [B, h/2, h/2, C], the mean of each 2x2."""
  batch, height, width, channels = x.shape
  return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def upsample_grid(grid, side):
  """A sampling grid at another resolution: the flow is interpolated, the identity is exact."""
  flow = grid - identity_grid(grid.shape[1])[None]
  return identity_grid(side)[None] + upsample(flow, side)


def fill(picture, known):
  """Guesses pixels from the known ones around them, from afar where none is near.

  picture [B, h, h, C], known [B, h, h, 1] in [0, 1], h a power of two -> [B, h, h, C], which is the
  picture where known is 1.
  """
  sums = [jnp.concatenate([picture * known, known], axis=-1)]
  while sums[-1].shape[1] > 1:
    sums.append(halve(sums[-1]))
  mean = lambda s: s[..., :-1] / (s[..., -1:] + 1e-4)
  guess = mean(sums[-1])
  for level in reversed(sums[:-1]):
    share = jnp.minimum(level[..., -1:], 1.0)
    # By matrices: a chain of doublings that small would be compiled for minutes.
    guess = jax.image.resize(guess, (*level.shape[:3], guess.shape[-1]), 'bilinear')
    guess = guess + share * (mean(level) - guess)
  return guess


RIM = 0.015  # of the side: hair and clothes end beyond the matte


def grown(matte, share):
  """The most of a matte [B, m, m, 1] within so much of the side, up, down, left and right."""
  return nn.max_pool(matte, _square(matte, share), padding='SAME')


def widened(matte, share):
  """A matte with a rim that fades over so much of the side; hair ends beyond the matte."""
  return mean_pool(grown(matte, share / 2), _square(matte, share / 2), 'SAME')


def _square(matte, radius):
  return (2 * round(radius * matte.shape[1]) + 1,) * 2


class Layers(NamedTuple):
  """A portrait to draw from: the person cut out, and the picture without it."""

  person: jax.Array  # [B, R, R, 4]: colours in [-1, 1], and how much of a pixel is person
  background: jax.Array  # [B, R, R, 3]


def layers(source, matte, behind):
  """Source [B, R, R, 3], matte [B, m, m, 1], what is behind the person [B, b, b, 3] -> Layers."""
  side = source.shape[1]
  person = jnp.clip((upsample(widened(matte, RIM), side) - 0.2) / 0.6, 0.0, 1.0)
  hole = jnp.minimum(3.0 * person, 1.0)  # nothing of a rim stays behind
  background = source + hole * (upsample(behind, side) - source)
  return Layers(jnp.concatenate([source, person], axis=-1), background)


STILL = 0.004  # motion that is none, fractions of the side


def composite(portrait, drawing):
  """The person warped by the drawing's grid, before the background; paint where its mask is open.

  Args:
    portrait: `Layers` at the output resolution.
    drawing: `network.Drawing`.

  Returns:
    (picture, without paint): both [B, R, R, 3] in [-1, 1].
  """
  side = portrait.person.shape[1]
  flow = drawing.grid - identity_grid(drawing.grid.shape[1])[None]
  moving = 1.0 - jnp.exp(-jnp.square(flow).sum(-1, keepdims=True) / STILL**2)
  fields = upsample(jnp.concatenate([flow, moving], axis=-1), side)
  grid, moving = identity_grid(side)[None] + fields[..., :2], fields[..., 2:]
  person = sample(portrait.person, grid)
  # A head cut by the upper edge ends there; shoulders go on at the others.
  below_edge = jnp.clip(1.0 + side * grid[..., 1:], 0.0, 1.0)
  colours, share = person[..., :3], below_edge * person[..., 3:]
  # Beside a person who moves is what was behind; far from there the portrait itself, unmoved.
  source = portrait.person[..., :3]
  beside = source + moving * (portrait.background - source)
  bare = beside + share * (colours - beside)
  mask = upsample(drawing.mask, side)
  return bare + mask * (upsample(drawing.paint, side) - bare), bare
