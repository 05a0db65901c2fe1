"""Fits similarities of the plane: a turn, a scale and a shift, without mirroring."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


def numpy_of(*arrays):
  """Picks the library that arrays belong to: `jax.numpy` if one of them is JAX's, else `numpy`."""
  return jnp if any(isinstance(array, jax.Array) for array in arrays) else np


class Similarity(NamedTuple):
  """Turns and scales about a point, then shifts. A pytree; the arrays of NumPy or JAX.

  Attributes:
    start: [..., 1, 2], the point that is turned about.
    end: [..., 1, 2], where that goes.
    along: [...], scale times cosine of the angle.
    across: [...], scale times sine.
  """

  start: Any
  end: Any
  along: Any
  across: Any

  def __call__(self, places):
    """Moves places [..., *any, 2]; the leading axes are those of `along`, or 1."""
    np_ = numpy_of(places, self.along)
    ones = (1,) * (places.ndim - 1 - self.along.ndim)
    spread = lambda array, *last: array.reshape(*array.shape[: self.along.ndim], *ones, *last)
    along, across = spread(self.along), spread(self.across)
    centred = places - spread(self.start, 2)
    x, y = centred[..., 0], centred[..., 1]
    turned = np_.stack([along * x - across * y, across * x + along * y], axis=-1)
    return turned + spread(self.end, 2)

  @property
  def matrix(self):
    """[..., 2, 3], for column vectors (x, y, 1)."""
    np_ = numpy_of(self.along)
    rows = np_.stack([self.along, -self.across, self.across, self.along], axis=-1)
    linear = rows.reshape(*self.along.shape, 2, 2)
    shift = self.end - (linear * self.start).sum(-1)[..., None, :]
    return np_.concatenate([linear, np_.swapaxes(shift, -1, -2)], axis=-1)


def similarity(start, end):
  """Fits the similarity that brings points nearest to others, by least squares (Umeyama 1991).

  Args:
    start, end: [..., P, 2], the same points; NumPy or JAX.

  Returns:
    `Similarity` of the leading axes.
  """
  from_centre, to_centre = start.mean(-2, keepdims=True), end.mean(-2, keepdims=True)
  x, y = start - from_centre, end - to_centre
  size = (x * x).sum((-2, -1))
  along = (x * y).sum((-2, -1)) / size
  across = (x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0]).sum(-1) / size
  return Similarity(from_centre, to_centre, along, across)
