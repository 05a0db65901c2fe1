"""Draws what the video model is conditioned on: where the body is, what it is, and known pixels.

Three pictures of a posed body (section 3 of arXiv 2403.08764): the dense map C_d names the place of
the template that each pixel shows, the masks C_m the region of the body, and the warped reference
C_w is the photo's own pixels moved along with the surface, where the photo showed it.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import raster
from ifmdm_jax.nn import warp
from ifmdm_jax.systems.vlogger import body, camera

BOX = np.float32([[-2.5, -2.0, -2.0], [2.5, 3.0, 1.5]])  # decimetres: from 0 to 1 in the dense map
NEAR = 0.04  # of a distance, by which a vertex may lie behind what the photo shows there
GREY = 0.5  # holes of the warped reference, in pictures for people
# A colour of each region, in the order of `body.REGIONS`.
# fmt: off
COLOURS = np.float32([
  (229, 190, 165), (200, 70, 80), (250, 250, 255), (255, 245, 190), (235, 120, 150), (110, 20, 40),
  (225, 150, 110), (70, 60, 60), (205, 165, 120), (70, 120, 190), (90, 170, 150), (240, 210, 90),
]) / 255
# fmt: on


class Controls(NamedTuple):
  """Pictures of B posed bodies, float32 from 0 to 1; 0 where there is no body.

  Attributes:
    position: C_d, [B, H, W, 3], place on the template in `BOX`.
    masks: C_m, [B, H, W, R], one for each of `body.REGIONS`.
    warped: C_w, [B, H, W, 3].
    valid: [B, H, W, 1], where the warped reference is known.
  """

  position: jax.Array
  masks: jax.Array
  warped: jax.Array
  valid: jax.Array


class Reference(NamedTuple):
  """A photo with a body laid over it.

  Attributes:
    picture: [H, W, 3], from 0 to 1.
    places: [V, 2] of the vertices, x and y from -1 to 1 between the outer edges of the picture.
    visible: [V], 1 where the photo shows a vertex.
  """

  picture: jax.Array
  places: jax.Array
  visible: jax.Array


def reference(model, identity, motion, focal, picture):
  """Says which vertices a photo shows, and where.

  Args:
    model: `Body`.
    identity: [I].
    motion: [A], as fitted to the photo.
    focal: pixels of the photo.
    picture: [H, W, 3], uint8, or float from 0 to 1.

  Returns:
    `Reference`.
  """
  if picture.ndim != 3 or picture.shape[-1] != 3:
    raise InputError(f'expected a picture [H, W, 3], got {list(picture.shape)}: give one photo')
  scale = 255 if picture.dtype == np.uint8 else 1
  picture = jnp.asarray(picture).astype(jnp.float32) / scale
  places, visible = _reference(model, identity, motion, focal, size=picture.shape[:2])
  return Reference(picture, places, visible)


@functools.partial(jax.jit, static_argnames='size')
def _reference(model, identity, motion, focal, size):
  height, width = size
  drawn = camera.project(body.vertices(model, identity, motion), focal, size)
  shown = raster.triangles(drawn[None], model.triangles, size, cull=True)
  x, y, depth = jnp.moveaxis(drawn, -1, 0)
  inside = (x > 0) & (x < width) & (y > 0) & (y < height)
  # A vertex on the outline has a neighbour of the background: the nearest of the four pixels.
  column, row = (jnp.where(inside, jnp.floor(v - 0.5), 0).astype(jnp.int32) for v in (x, y))
  clip = lambda value, most: jnp.clip(value, 0, most - 1)
  at = lambda i, j: shown.depth[0, clip(row + i, height), clip(column + j, width)]
  corners = jnp.stack([at(i, j) for i in (0, 1) for j in (0, 1)])
  near = depth <= corners.max(0) + NEAR * jnp.abs(depth)
  places = jnp.stack([x / width, y / height], -1) * 2 - 1
  return jnp.where(inside[:, None], places, 0.0), (inside & near).astype(jnp.float32)


@functools.partial(jax.jit, static_argnames='size')
def draw(model, identity, motion, focal, known, size):
  """Draws the controls.

  Args:
    model: `Body`.
    identity: [I] or [B, I].
    motion: [B, A].
    focal: pixels of the pictures to be drawn.
    known: `Reference`.
    size: (H, W).

  Returns:
    `Controls`.
  """
  posed = body.vertices(model, identity, motion)
  batch = posed.shape[0]
  drawn = camera.project(posed, focal, size)
  shown = raster.triangles(drawn, model.triangles, size, cull=True)
  place = (jnp.asarray(model.template) - BOX[:1]) / (BOX[1:] - BOX[:1])
  own = jnp.concatenate([jnp.clip(place, 0, 1), known.places, known.visible[:, None]], -1)
  own = jnp.broadcast_to(own[None], (batch, *own.shape))
  read = raster.interpolate(shown, model.triangles, own, posed[..., 2])
  position, grid, visible = read[..., :3], read[..., 3:5], read[..., 5:]
  region = jnp.asarray(model.region)[jnp.maximum(shown.index, 0)]
  inside = (shown.index >= 0)[..., None]
  masks = jax.nn.one_hot(region, len(body.REGIONS)) * inside.astype(jnp.float32)
  valid = (inside & (visible > 0.99)).astype(jnp.float32)
  picture = jnp.broadcast_to(known.picture[None], (batch, *known.picture.shape))
  return Controls(position, masks, warp.grid_sample(picture, grid) * valid, valid)


def show(controls, picture=None):
  """Lays the controls of one body side by side, for people.

  Args:
    controls: `Controls`; the first of the batch is shown.
    picture: [H, W, 3] of the same size, from 0 to 1, to stand on the left; None leaves it out.

  Returns:
    uint8 [H, N * W, 3]: picture, dense map, masks, warped reference.
  """
  masks = np.asarray(controls.masks[0]) @ COLOURS
  valid = np.asarray(controls.valid[0])
  row = [np.asarray(controls.position[0]), masks,
         np.asarray(controls.warped[0]) + GREY * (1 - valid)]  # fmt: skip
  if picture is not None:
    row.insert(0, np.asarray(picture))
  return np.rint(np.clip(np.concatenate(row, 1), 0, 1) * 255).astype(np.uint8)
