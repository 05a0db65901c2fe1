"""Draws the body as a simple picture of a person, for the landmark network and for the eye."""

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face import raster
from ifmdm_jax.systems.vlogger import axes, body, camera

COLOURS = {
  'face': (222, 180, 155), 'lips': (190, 110, 105), 'eyes': (238, 238, 235),
  'teeth': (240, 238, 230), 'tongue': (190, 90, 90), 'mouth': (90, 35, 35),
  'ears': (222, 175, 150), 'scalp': (85, 60, 45), 'neck': (215, 172, 148),
  'torso': (70, 90, 130), 'arms': (80, 100, 140), 'hands': (222, 180, 155),
}  # fmt: skip
BACKGROUND, IRIS, PUPIL, BROW = (200, 205, 210), (80, 60, 45), (25, 20, 20), (105, 78, 62)
IRIS_RADIUS, PUPIL_RADIUS = 0.062, 0.028  # decimetres
BROW_SHARE, BETWEEN = 0.8, 0.1  # of the largest offset of browDown; decimetres without a brow


def colours(model):
  """Lists a colour of each triangle, float32 [T, 3]."""
  colour = np.array([COLOURS[name] for name in body.REGIONS], np.float32)[model.region]
  frown = sum(
    np.linalg.norm(model.units[body.UNITS.index(f'browDown{side}')], axis=1)
    for side in ('Left', 'Right')
  )
  brow = (frown[model.triangles] > BROW_SHARE * frown.max()).all(1)
  brow &= model.region == body.REGIONS.index('face')
  brow &= np.abs(model.template[model.triangles].mean(1)[:, 0]) > BETWEEN
  colour[brow] = BROW
  eyes = np.nonzero(model.region == body.REGIONS.index('eyes'))[0]
  middle = model.template[model.triangles[eyes]].mean(1)
  for sign in (-1, 1):
    own = np.sign(middle[:, 0]) == sign
    centre = model.template[np.unique(model.triangles[eyes[own]])].mean(0)
    away = np.linalg.norm((middle - centre)[:, :2], axis=1)
    front = own & ((middle - centre)[:, 2] < 0)
    colour[eyes[front & (away < IRIS_RADIUS)]] = IRIS
    colour[eyes[front & (away < PUPIL_RADIUS)]] = PUPIL
  return colour


def visible(model, side=768, focal=3000.0):
  """Says which triangles are seen of a neutral person from ahead, the sides and below: bool [T]."""
  seen = np.zeros(len(model.triangles), bool)
  for pitch, yaw in ((0, 0), (0, 0.6), (0, -0.6), (-0.5, 0), (0.4, 0)):
    motion = axes.read({'headPitch': pitch, 'headYaw': yaw, 'headZ': 9.0})
    posed = _vertices(model, jnp.zeros(len(model.identity)), jnp.asarray(motion))
    drawn = camera.project(posed, focal, (side, side))
    shown = raster.triangles(drawn[None], model.triangles, (side, side), cull=True)
    seen[np.unique(np.maximum(np.asarray(shown.index), 0))] = True
  return seen


@jax.jit
def _vertices(model, identity, motion):
  return body.vertices(model, identity, motion)


def person(model, identity, motion, focal, side):
  """Draws a person with a light from above, uint8 [side, side, 3]."""
  posed = _vertices(model, jnp.asarray(identity), jnp.asarray(motion))
  drawn = camera.project(posed, focal, (side, side))
  shown = raster.triangles(drawn[None], model.triangles, (side, side), cull=True)
  corner = np.asarray(posed)[model.triangles]
  normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
  smooth = np.zeros(posed.shape)
  for k in range(3):
    np.add.at(smooth, model.triangles[:, k], normal)
  smooth /= np.linalg.norm(smooth, axis=1, keepdims=True) + 1e-9
  light = np.array([-0.35, -0.5, -0.8]) / np.linalg.norm([0.35, 0.5, 0.8])
  shade = np.float32(0.45 + 0.6 * np.maximum(smooth @ light, 0))
  index, weights = np.asarray(shown.index[0]), np.asarray(shown.weights[0])
  lit = (weights * shade[model.triangles[index]]).sum(-1, keepdims=True)
  picture = np.where(index[..., None] >= 0, colours(model)[index] * lit, BACKGROUND)
  return np.clip(picture, 0, 255).astype(np.uint8)
