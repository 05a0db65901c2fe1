"""A full-perspective camera that looks along z: places in decimetres -> pixels."""

import jax.numpy as jnp

FIELD = 0.5  # radians along the diagonal of the picture, where nothing is known


def focal(field, size):
  """Converts a diagonal field of view, radians, into a focal length in pixels of (H, W)."""
  height, width = size
  return jnp.hypot(float(height), float(width)) / 2 / jnp.tan(field / 2)


def field(focal, size):
  """Converts a focal length in pixels into the diagonal field of view, radians."""
  height, width = size
  return 2 * jnp.arctan(jnp.hypot(float(height), float(width)) / 2 / focal)


def project(places, focal, size):
  """Projects places onto the picture.

  Args:
    places: [..., N, 3], x right, y down, z away from the camera, which stands at 0.
    focal: pixels, a number or [...].
    size: (H, W); the camera looks at its middle.

  Returns:
    [..., N, 3]: x and y in pixels, and -1 / distance, as `raster.triangles` wants depths; NaN where
    a place is not in front of the camera.
  """
  height, width = size
  depth = places[..., 2]
  safe = jnp.where(depth > 0, depth, 1.0)
  scale = jnp.broadcast_to(jnp.asarray(focal), places.shape[:-2])[..., None] / safe
  seen = lambda value: jnp.where(depth > 0, value, jnp.nan)
  x, y = width / 2 + places[..., 0] * scale, height / 2 + places[..., 1] * scale
  return jnp.stack([seen(x), seen(y), seen(-1 / safe)], axis=-1)
