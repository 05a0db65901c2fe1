"""Does a drawn face rest while nobody speaks? Read off the pictures, by a landmark network.

  python experiments/drift/rest.py --portraits PORTRAITS --sound silence --minutes 5 \
      --output experiments/drift

Motion is made for all of the minutes, and drawn where codes go furthest: the frames whose lips, and
whose faces' middles, are furthest from the first second's, besides that second. A row of rest.csv
is a portrait by a plan:

  mouth     furthest opening from the first second's, in distances of the eyes' outer corners
  opened    the same of openings alone: how far a mouth opens by itself
  centre    furthest middle of all landmarks from the portrait's, in heights of its face
  missing   share of the drawn frames in which no face is found

Eyes are as in the portrait: codes without blinks are drawn, as `run.py` measures them.
"""

import pathlib

import cv2
import numpy as np
import run
from absl import flags

import ifmdm_jax as ifm
from ifmdm_jax import errors, files
from ifmdm_jax.face import points
from ifmdm_jax.face.units import FaceUnits
from ifmdm_jax.pipeline import landmark_code
from ifmdm_jax.rates import FPS

FURTHEST = 12  # frames of each kind that are drawn
F = flags.FLAGS  # of run.py: 'portraits', 'count', 'sound', 'minutes', 'plans', 'output'


def chosen(codes, normalizer):
  """Picks frames of codes [T, M]: those of the first second, and the furthest from them."""
  opening = np.asarray(normalizer.opening(codes))
  places = landmark_code.load().decode.reshape(-1, points.POINTS, 2).mean(1)
  middle = (codes - codes[:FPS].mean(0)) @ places
  far = [opening, -opening, *middle.T, *-middle.T]
  far = np.concatenate([np.argsort(each)[-FURTHEST:] for each in far])
  return np.concatenate([np.arange(FPS), np.unique(far[far >= FPS])])


def figures(sampler, network, picture, codes):
  """Draws codes [N, M], the first second's first, and measures them: {name: value}, frames."""
  portrait = sampler.portrait(picture)
  frames = np.concatenate(list(sampler.renderer.drawn(portrait, codes, 1)))
  side = frames.shape[1]
  still = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
  seen = network.track([still, *frames])[0]
  own, seen = seen[:1], seen[1:]
  found = np.isfinite(seen).all((1, 2))
  opening = points.mouth_opening(seen)
  change = opening - np.nanmean(opening[:FPS])
  away = np.linalg.norm(seen.mean(1) - own.mean(1), axis=-1) / points.height(own)
  return dict(
    mouth=np.nanmax(np.abs(change)), opened=np.nanmax(change), centre=np.nanmax(away),
    missing=1 - found.mean(),
  ), frames[[0, int(np.nanargmax(np.abs(change))), int(np.nanargmax(away))]]  # fmt: skip


def main(_):
  sampler, network = ifm.load(), FaceUnits()
  normalizer = sampler.stages[2]
  heard, _ = run.sound(F.minutes)
  paths = run.chosen_of(F.portraits, F.count)
  pictures = [ifm.read_portrait(path) for path in paths]
  begun = [np.asarray(sampler.portrait(picture).code) for picture in pictures]
  strip = []
  for name in F.plans:
    plan = getattr(sampler, name)
    windows = run.listened(sampler, heard, plan)
    codes = [codes for codes, _ in run.codes_of(sampler, windows, begun, plan)]
    for path, picture, own in zip(paths, pictures, np.concatenate(codes, axis=1)):
      found, shown = figures(sampler, network, picture, own[chosen(own, normalizer)])
      row = dict(sound=F.sound, plan=name, portrait=path.stem)
      row |= {key: f'{value:.4f}' for key, value in found.items()}
      print(*row.values(), flush=True)
      files.add_rows(pathlib.Path(F.output) / 'rest.csv', [row])
      strip.append(np.concatenate(list(shown), axis=1))
  strip = cv2.resize(np.concatenate(strip), None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
  cv2.imwrite(str(pathlib.Path(F.output) / f'rest_{F.sound}.jpg'), strip[..., ::-1])


if __name__ == '__main__':
  errors.run(main)
