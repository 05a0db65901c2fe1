"""Frames that the bundled renderer draws of a picture, and where their pixels are in one another.

Of two frames of one picture the renderer knows for each pixel which place of the picture it shows.
Two pixels correspond if they show the same place of the same layer: face, what is around it, what
is behind the person. A place that only one of the frames shows has no partner.

Coordinates are fractions of the side, x before y, see `lite.composite`.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ifmdm_jax import bundle
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import POINTS
from ifmdm_jax.nn.pixels import as_float
from ifmdm_jax.systems.ifmdm import parts
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite, geometry, model, network
from ifmdm_jax.systems.ifmdm.autoencoder.lite.losses import shrink

ROUNDS = 8  # of looking for the pixel that shows a place
NEAR = 0.75  # pixels of the answer: two pixels that are so near to one place show the same
BEHIND, AROUND, FACE = 0, 1, 2
_once = jax.lax.optimization_barrier  # what many pixels read is not computed anew for each of them


class Pairs(NamedTuple):
  """A source and K targets of B pictures; sides are S, or that of the renderer's motion."""

  source: jax.Array  # [B, S, S, 3] in [-1, 1]
  target: jax.Array  # [B, K, S, S, 3]
  places: jax.Array  # [B, K, s, s, 2], where the source shows what a pixel of the target shows
  visible: jax.Array  # [B, K, s, s, 1], 1 where it does
  landmarks: jax.Array  # [B, 1 + K, 468, 2], of source and targets


@functools.cache
def load(path=''):
  """Reads the stage 1 of a bundle: (config.model, params); '': of the bundled weights.

  Raises:
    InputError: it is none that draws by landmarks.
  """
  weights = bundle.read(path or bundle.BUNDLED)
  part = weights.parts.get('autoencoder')
  if part is None or part.settings.get('kind') != 'lite':
    raise InputError(
      f'expected a bundle with an autoencoder of kind lite to learn from, got {path}: leave '
      'config.model.teacher empty for the bundled weights'
    )
  return parts.config_of('autoencoder', part.settings), part.params


def draw(params, config, batch, side):
  """Draws source and targets of a batch: `Pairs`.

  Args:
    params, config: of `load`.
    batch: picture uint8 [B, R, R, 3], points [B, 468, 2], moved [B, 1 + K, 468, 2] and gestures
      [B, 1 + K, 4], see `pipeline.sources.rendered`.
    side: S, of the frames, R or R over a power of two.
  """
  count, frames = batch['moved'].shape[:2]
  taken = model.take_apart(params, as_float(batch['picture']), batch['points'], config)
  repeated = jax.tree.map(lambda x: jnp.repeat(x, frames, axis=0), _once(taken))
  layers, inside, appearance = _once(repeated)
  flat = batch['moved'].reshape(count * frames, -1)
  difference = flat @ params['code']['encode']
  gestures = batch['gestures'].reshape(count * frames, -1)
  inputs = appearance, difference, model.moves(params, difference), gestures
  drawing = _once(model.apply(params, config, 'draw', *inputs))
  pictures = _once(shrink(model.render(layers, inside, drawing)[0], side))

  apart = lambda x: x.reshape(count, frames, *x.shape[1:])
  shown, layer, *grids = (
    apart(x) for x in _once((*showing(layers, drawing), drawing.around, _face(drawing)))
  )
  each = jax.vmap(jax.vmap(_partners, (None, None, None, 0, 0)))
  firsts = [x[:, 0] for x in (shown, layer)]
  places, visible = each(*firsts, tuple(x[:, 0] for x in grids), shown[:, 1:], layer[:, 1:])
  mouth = apart(geometry.inner_mouth(drawing.landmarks, shown.shape[2]))
  drawn = apart(pictures)
  return Pairs(
    drawn[:, 0],
    drawn[:, 1:],
    places,
    visible * (1.0 - mouth[:, 1:]),
    drawing.landmarks.reshape(count, frames, POINTS, 2),
  )


def showing(layers, drawing):
  """Says what the pixels of frames show.

  Args:
    layers: `composite.Layers` of each frame's picture.
    drawing: `network.Drawing`.

  Returns:
    Places of the picture [B, s, s, 2], and the layer, BEHIND, AROUND or FACE, int32 [B, s, s].
  """
  side = drawing.around.shape[1]
  person = shrink(layers.person[..., 3:], side)
  share = composite.sample(person, drawing.around)[..., 0]
  is_face = drawing.cover[..., 0] > 0.5
  layer = jnp.where(is_face, FACE, jnp.where(share > 0.5, AROUND, BEHIND))
  still = composite.identity_grid(side)[None]
  moving = jnp.where(is_face[..., None], _face(drawing), drawing.around)
  return jnp.where(layer[..., None] == BEHIND, still, moving), layer


def _face(drawing):
  return network.front(drawing.face, drawing.face, drawing.lids, drawing.cover)


def _partners(shown, layer, grids, places, of):
  """Finds the pixels of one frame that show what those of another do.

  Args:
    shown, layer: of `showing`, of the frame that is searched [s, s, 2], [s, s].
    grids: of what is around its face, and of its face, [s, s, 2] each.
    places, of: of `showing`, of the frame whose pixels look for partners.

  Returns:
    Places in the first frame [s, s, 2], and 1 where it shows the same [s, s, 1].
  """
  side = shown.shape[0]
  still = composite.identity_grid(side)
  found = still
  for name, grid in zip((AROUND, FACE), grids):
    found = jnp.where(of[..., None] == name, _inverse(grid - still, places), found)
  same = _sample(jax.nn.one_hot(layer, 3), found)
  same = jnp.take_along_axis(same, of[..., None], -1) > 0.5
  away = jnp.abs(_sample(shown, found) - places).max(-1, keepdims=True)
  within = ((found >= 0) & (found <= 1)).all(-1, keepdims=True)
  return found, (same & within & (away < NEAR / side)).astype(jnp.float32)


def _inverse(flow, places):
  """Finds for each place p [s, s, 2] a q that shows it: q + flow(q) = p, flow [s, s, 2]."""
  nearer = lambda _, q: places - _sample(flow, q)
  return jax.lax.fori_loop(0, ROUNDS, nearer, places)


def _sample(image, grid):
  return composite.sample(image[None], grid[None])[0]
