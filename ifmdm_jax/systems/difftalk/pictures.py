"""What latents look like as a picture, and the part of the loss that is measured there.

Both depart from the paper, for sizes that a short training has to do for. The latents' squared
error knows neither lips nor sharpness, and few steps of sampling end near its mean, which is
blurred; drawn, the same latents are compared as they will be seen, in the lower face alone.
"""

import jax
import jax.numpy as jnp

from ifmdm_jax.face.points import LOWER_FACE, eye_distance
from ifmdm_jax.perception import lpips
from ifmdm_jax.systems.difftalk import vq


def decode(autoencoder, z, config):
  """Quantises latents [B, h, w, C] and decodes them -> pictures [B, S, S, 3], clipped."""
  drawn = vq.network(config).apply({'params': autoencoder}, z, method='decode')
  return jnp.clip(drawn, -1, 1)


def detailed(autoencoder, z, z_r, reference, config):
  """Decodes latents, and adds what the autoencoder loses of the reference where they are its own.

  The share is exp(-(d / config.detail)^2), d being the root mean square over the channels of what
  the two latents differ by: where lips moved nothing is added. 0: nothing anywhere, as published.

  Args:
    autoencoder: parameters of stage 1.
    z, z_r: [B, h, w, C], latents of what is drawn and of the reference.
    reference: [B, S, S, 3] in [-1, 1].
    config: config.model.

  Returns:
    [B, S, S, 3], clipped.
  """
  if not config.get('detail', 0.0):
    return decode(autoencoder, z, config)
  both = decode(autoencoder, jnp.concatenate([z, z_r]), config)
  made, again = jnp.split(both, 2)
  apart = ((z - z_r) ** 2).mean(-1, keepdims=True)
  share = jnp.exp(-apart / config.detail**2)
  share = jax.image.resize(share, (*made.shape[:3], 1), 'linear')
  return jnp.clip(made + share * (reference - again), -1, 1)


def lower_faces(points, side, margin):
  """Fills the polygon of each frame by itself: float32 [B, side, side, 1], 1 inside.

  Args:
    points: [B, N, 2], fractions of the side.
    side: pixels.
    margin: by which it is widened, or, below 0, narrowed; distances of the eyes.
  """
  corners = points[:, LOWER_FACE]
  x, y = jnp.meshgrid(*2 * [(jnp.arange(side, dtype=jnp.float32) + 0.5) / side])
  place = jnp.stack([x, y], axis=-1).reshape(1, -1, 1, 2)
  start, end = corners[:, None], jnp.roll(corners, -1, axis=1)[:, None]
  along, to = end - start, place - start
  crosses = (start[..., 1] > place[..., 1]) != (end[..., 1] > place[..., 1])
  height = jnp.where(along[..., 1] == 0, 1.0, along[..., 1])
  left = to[..., 0] < along[..., 0] * to[..., 1] / height
  odd = (crosses & left).sum(-1) % 2 == 1
  nearest = jnp.clip((to * along).sum(-1) / jnp.maximum((along**2).sum(-1), 1e-12), 0, 1)
  away = jnp.linalg.norm(to - nearest[..., None] * along, axis=-1).min(-1)
  reach = margin * eye_distance(points)[:, None]
  within = jnp.where(odd, -away, away) <= reach
  return within.astype(jnp.float32).reshape(len(points), side, side, 1)


def generated(inside, side):
  """Says which latents a polygon [B, S, S, 1] touches: float32 [B, side, side, 1]."""
  factor = inside.shape[1] // side
  return inside.reshape(len(inside), side, factor, side, factor, 1).max((2, 4))


def error(drawn, target, inside, weights):
  """Compares the lower faces of pictures: {'l1', 'lpips'}, both shares of the lower face.

  Args:
    drawn, target: [B, S, S, 3] in [-1, 1].
    inside: [B, S, S, 1], see `lower_faces`; elsewhere the target is shown.
    weights: of `lpips.load`.
  """
  share = jnp.maximum(inside.mean((1, 2, 3)), 1e-3)
  l1 = (jnp.abs(drawn - target) * inside).mean((1, 2, 3)) / share
  mixed = jnp.where(inside > 0, drawn, target)
  return {'l1': l1.mean(), 'lpips': (lpips.distance(weights, mixed, target) / share).mean()}
