"""Draws portraits in the poses of the gallery, with whatever version of the package is on the path.

  PYTHONPATH=CHECKOUT python experiments/gallery/draw.py FOLDER

`run.py` calls it. Of each SQUARE.png in the folder it writes SQUARE.npz: the pictures, where each
of their layers looks, and what the layers have. All that knows one renderer is here.
"""

import pathlib
import sys

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from poses import POSES, posed  # beside this file

import ifmdm_jax as ifm
from ifmdm_jax.nn import winograd
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite, geometry, model

# What older versions lack: layers and gestures; mouths drawn over the face, and limits.
LAYERED = 'cover' in model.network.Drawing._fields
MOUTHS = 'landmarks' in model.network.Drawing._fields


def layers_of(portrait, drawing):
  """Lists where layers look at the picture's size, and where each is seen: [L, R, R, 2], [L, R, R].

  What is around the face, then the face, then its upper lids. Of older versions the one layer.
  """
  side = portrait.layers.background.shape[1]
  large = lambda grid: composite.upsample_grid(grid, side)[0]
  if not LAYERED:
    return large(drawing.grid)[None], jnp.ones((1, side, side), bool)
  cover = composite.softened(drawing.cover)
  cover = jnp.concatenate([cover[..., :1], composite.softened(cover[..., 1:])], -1)
  face, lids = jnp.moveaxis(composite.upsample(cover, side)[0] > 0.5, -1, 0)
  grids = jnp.stack([large(drawing.around), large(drawing.face), large(drawing.lids)])
  seen = face
  if MOUTHS:
    seen = face & (geometry.inner_mouth(drawing.landmarks, side)[0, ..., 0] < 0.5)
  return grids, jnp.stack([~face, seen & ~lids, face & lids])


def canvases(portrait):
  """Lists what layers have to look at.

  Returns:
    shares: [L, rows + R, R], of person; the outer layer may go on in rows above the portrait.
    own: bool [L, R, R], what of the portrait they have: not what was filled in.
  """
  layers = portrait.layers
  side = layers.background.shape[1]
  if not LAYERED:
    return layers.person[..., 3], np.ones((1, side, side), bool)
  above = layers.texture[0, : -2 * side, :, 3]
  around = jnp.concatenate([above, layers.texture[0, -2 * side : -side, :, 3]])
  face = jnp.concatenate([jnp.zeros_like(above), layers.person[0, ..., 3]])
  hole = composite.upsample(layers.hole, side)[0, ..., 0]
  whole = jnp.ones_like(hole, bool)
  return jnp.stack([around, face, face]), jnp.stack([hole < 0.5, whole, whole])


def make_draw(config):
  """Returns a compiled function: (params, portrait, landmarks, gestures) ->

  picture, landmarks as far as the portrait may go, where layers look, and where they are shown.
  """

  def draw(params, portrait, landmarks, gestures):
    moved = landmarks - portrait.appearance.points
    code = model.code_of(params, landmarks) - portrait.code
    extra = (gestures,) if LAYERED else ()
    with winograd.in_place_of_convolutions():
      drawing = model.apply(params, config, 'draw', portrait.appearance, code, moved, *extra)
    if MOUTHS:
      picture, _ = model.render(portrait.layers, portrait.inside, drawing)
      landmarks = drawing.landmarks
    else:
      picture, _ = composite.composite(portrait.layers, drawing)
    picture = jnp.clip(jnp.round(127.5 * (picture[0] + 1.0)), 0.0, 255.0).astype(jnp.uint8)
    return picture, landmarks[0], *layers_of(portrait, drawing)

  return jax.jit(draw)


def main(folder):
  sampler = ifm.load()
  params, config = sampler.renderer.params, sampler.renderer.stage.config
  encode = jax.jit(lambda params, image: model.portrait(params, image, config))
  draw = make_draw(config)
  for path in sorted(folder.glob('*.png')):
    portrait = encode(params, cv2.imread(str(path))[..., ::-1])
    landmarks = np.asarray(portrait.appearance.points)[0]
    shares, own = canvases(portrait)
    found = {'pictures': [], 'landmarks': [], 'grids': [], 'shown': []}
    for pose in POSES.values():
      moved = posed(landmarks, pose).astype(np.float32) if any(pose) else landmarks
      gestures = jnp.array([[pose.blink, pose.blink, pose.gaze, 0.0]])
      for name, value in zip(found, draw(params, portrait, moved[None], gestures)):
        found[name].append(np.asarray(value))
    half = path.with_suffix('.part.npz')
    np.savez(half, shares=shares, own=own, **found)
    half.rename(path.with_suffix('.npz'))
    print('drawn', path.stem, flush=True)


if __name__ == '__main__':
  main(pathlib.Path(sys.argv[1]))
