"""Draws landmarks as a picture: a line of its own colour for each part of the face, on black.

Lines are 2 pixels wide at 256 and as thin as that at every other side, with soft edges: the same
face is the same picture, whatever the side. Frames, black and colours are in [-1, 1].
"""

from typing import NamedTuple

import jax.numpy as jnp

from ifmdm_jax.face import raster
from ifmdm_jax.face.points import IBUG, IBUG_PARTS

WIDTH = 2 / 256  # of a line, as a share of the side
BLACK = -1.0


class Line(NamedTuple):
  """How a part of the face is drawn.

  Attributes:
    part: of `face.points.IBUG_PARTS`.
    colour: red, green, blue in [-1, 1].
    closed: whether it returns to its first point.
  """

  part: str
  colour: tuple[float, float, float]
  closed: bool = False


PALETTE = (  # in this order, later ones over earlier ones
  Line('jaw', (1.0, 1.0, 1.0)),
  Line('left_brow', (1.0, -1.0, -1.0)),
  Line('right_brow', (-1.0, 1.0, -1.0)),
  Line('nose_bridge', (-1.0, -1.0, 1.0)),
  Line('nose_base', (-1.0, -1.0, 1.0)),
  Line('left_eye', (1.0, -1.0, 1.0), closed=True),
  Line('right_eye', (-1.0, 1.0, 1.0), closed=True),
  Line('lips_outer', (1.0, 1.0, -1.0), closed=True),
)
# Without it a mouth that is shut and one that is hardly open are the same picture.
INNER_LIPS = Line('lips_inner', (1.0, 0.0, 0.5), closed=True)


def strokes(palette):
  """Returns a palette as strokes of `raster.lines`."""
  return tuple(
    raster.Stroke(tuple(IBUG_PARTS[line.part]), line.colour, line.closed) for line in palette
  )


def draw(points, side, *, inner_lips=False, palette=PALETTE):
  """Draws faces.

  Args:
    points: [..., N, 2], fractions of the side; the 68 landmarks, or points of the face mesh, of
      which the nearest to the 68 are taken. Lines with an end that is not finite are left out.
    side: S, pixels.
    inner_lips: whether the inner lips are drawn, over all else.
    palette: colours and order, `Line`s.

  Returns:
    [..., S, S, 3] in [-1, 1].
  """
  points = points if points.shape[-2] == len(IBUG) else points[..., IBUG, :]
  lines = strokes((*palette, INNER_LIPS) if inner_lips else palette)
  flat = jnp.asarray(points, jnp.float32).reshape(-1, *points.shape[-2:]) * side
  drawn = raster.lines(flat, lines, (side, side), width=WIDTH * side, background=BLACK)
  return drawn.reshape(*points.shape[:-2], side, side, 3)
