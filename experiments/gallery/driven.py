"""Does a face fold in the motions of real people? Drives first frames by their own films.

  python -m ifmdm_jax.prepare --output runs/val
  python experiments/gallery/driven.py --cache runs/val --output experiments/gallery

Of each clip of `val` the first frame is the portrait, and every so many frames are drawn by the
landmarks that the renderer finds in them. A row of driven.csv is a clip, mean over its frames:

  face_folds     share of the pixels of the face that are mirrored, or that show what is drawn
                 elsewhere too
  mirrored       pixels of it that are mirrored, of 512 x 512
  double_share   share of the portrait's pixels that are drawn twice, where there is person
  edge_exposed   share of the frame's pixels that look beyond an edge that cuts the person
"""

import pathlib

import jax
import numpy as np
from absl import flags
from draw import canvases, make_draw  # beside this file
from poses import box
from tqdm import tqdm

import ifmdm_jax as ifm
from ifmdm_jax import errors, files
from ifmdm_jax.evaluation import warps
from ifmdm_jax.face.crop import resized
from ifmdm_jax.pipeline import records
from ifmdm_jax.systems.ifmdm.autoencoder.lite import model

_CACHE = flags.DEFINE_string('cache', 'runs/val', 'Records with clips of val.', **errors.SHARED)
_EVERY = flags.DEFINE_integer('every', 10, 'Frames from one to the next.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', 'out', 'Folder of driven.csv.', **errors.SHARED)
SIDE = 512


def figures(drawn, shares, own):
  """Measures a frame: what `make_draw` returns, and `canvases` of its portrait."""
  _, landmarks, grids, shown = (np.asarray(each) for each in drawn)
  layers = [warps.Layer(*each) for each in zip(grids, shown, own)]
  around = box(landmarks, SIDE)
  twice, _ = warps.doubled(layers, SIDE)
  above = shares[0].shape[0] - SIDE
  return {
    'face_folds': warps.fold_share(layers[1:], around, twice),
    'mirrored': sum((warps.mirrored(x.grid) & x.shown & around).sum() for x in layers[1:]),
    'double_share': warps.double_share(layers, SIDE, shares[-1][above:] > 0.5),
    'edge_exposed': warps.edge_exposed(layers, shares, above),
  }


def main(_):
  sampler, rows = ifm.load(), []
  params, config = sampler.renderer.params, sampler.renderer.stage.config
  encode = jax.jit(lambda params, image: model.portrait(params, image, config))
  find, draw = jax.jit(model.find_landmarks), make_draw(config)
  for clip in tqdm(records.clips(_CACHE.value, 'val', sound=False), unit='clip', disable=None):
    film = [resized(frame, SIDE) for frame in clip.frames[:: _EVERY.value]]
    portrait = encode(params, film[0])
    shares, own = (np.asarray(each) for each in canvases(portrait))
    found = [
      figures(draw(params, portrait, find(params, frame[None]), np.zeros((1, 4), 'f')), shares, own)
      for frame in film[1:]
    ]
    mean = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    rows.append({'clip': clip.name, 'frames': len(found)} | mean)
  names = list(rows[0])[2:]
  for row in rows + [{'clip': 'mean'} | {n: np.mean([row[n] for row in rows]) for n in names}]:
    print(f'{row["clip"][:24]:<24}', *(f'{row[name]:.4f}' for name in names))
  table = pathlib.Path(_OUTPUT.value) / 'driven.csv'
  table.unlink(missing_ok=True)
  files.add_rows(table, [row | {name: f'{row[name]:.4f}' for name in names} for row in rows])


if __name__ == '__main__':
  errors.run(main)
