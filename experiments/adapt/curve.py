"""Measures what `adapt` does to people whom no training saw: per person, by number of shots.

  python experiments/adapt/curve.py --shots 8 --output experiments/adapt/people.csv

Shots are chosen among the first half of a clip, as of a video; its first frame is the portrait;
frames of the second half are drawn from it by their own motion, with the weights before and after,
and compared with the film.
"""

import csv
import pathlib
import tempfile

import cv2
import jax
import numpy as np
from absl import app, flags

import ifmdm_jax as ifm
from ifmdm_jax import bundle, compile_cache
from ifmdm_jax.adaptation import learn
from ifmdm_jax.adaptation.shots import Shots, varied
from ifmdm_jax.clip import Clip
from ifmdm_jax.evaluation import images, perceptual, protocol
from ifmdm_jax.evaluation.protocol import fit
from ifmdm_jax.face import crop, points
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.video import read

PROTOCOL = flags.DEFINE_string('protocol', 'data/protocols/val_shared.json', 'The people.')
SHOTS = flags.DEFINE_list('shots', ['8'], 'How many, each a run of its own.')
FRAMES = flags.DEFINE_integer('frames', 12, 'Of the second half that are compared.')
PEOPLE = flags.DEFINE_list('people', [], 'Names; default: all.')
OUTPUT = flags.DEFINE_string('output', 'experiments/adapt/people.csv', 'Table; rows are added.')
STRIPS = flags.DEFINE_string('strips', None, 'Folder for pictures of the mouths.')
SIDE = 128  # pixels of the square around the lips, 1.6 times their box, that LPIPS sees


def mouths(frames, landmarks):
  """Cuts mouths: uint8 [T, 128, 128, 3]; landmarks [T, 468, 2] in pixels, of the film."""
  lips = landmarks[:, points.LIPS_BOX]
  low, high = lips.min(1), lips.max(1)
  boxes = np.concatenate([(low + high) / 2, 1.6 * (high - low).max(1, keepdims=True)], 1)
  return np.stack([crop._face(frame, box, SIDE) for frame, box in zip(frames, boxes)])


def distance(params):
  """Returns LPIPS of uint8 pictures [T, H, W, 3] of any size: [T]."""
  run = jax.jit(lambda a, b: perceptual.lpips.distance(params, a, b))
  bring = lambda x: x[None].astype(np.float32) / 127.5 - 1
  return lambda a, b: np.array([float(run(bring(x), bring(y))[0]) for x, y in zip(a, b)])


def scores(lpips, drawn, real, landmarks):
  """Figures of drawn frames: means over them."""
  faces = lambda frames: crop.faces(frames, landmarks)
  return {
    'mouth': lpips(mouths(drawn, landmarks), mouths(real, landmarks)).mean(),
    'face': lpips(faces(drawn), faces(real)).mean(),
    'psnr_mouth': images.psnr(mouths(drawn, landmarks), mouths(real, landmarks)).mean(),
  }


def strip(path, real, before, after, landmarks):
  """Writes mouths of film, before and after, row by row."""
  rows = [np.concatenate(mouths(each, landmarks)[::2], 1) for each in (real, before, after)]
  path.parent.mkdir(parents=True, exist_ok=True)
  cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])


def add(path, row):
  """Adds a row to a table of CSV, and its head to a new one."""
  fresh = not pathlib.Path(path).exists()
  with open(path, 'a', newline='') as file:
    table = csv.DictWriter(file, row, lineterminator='\n')
    if fresh:
      table.writeheader()
    table.writerow(row)
  print(row, flush=True)


def main(_):
  compile_cache.keep(None)
  asked = protocol.read(PROTOCOL.value)
  weights, plain = bundle.read(bundle.BUNDLED), ifm.load()
  lpips = distance(perceptual.lpips.load('alex'))
  output = pathlib.Path(OUTPUT.value)
  for entry in asked.clips:
    if PEOPLE.value and entry.name not in PEOPLE.value:
      continue
    path = protocol.find(asked, entry)
    frames = fit(list(read.frames(path))[: round((entry.seconds or 10) * 25)], asked.size)
    half = len(frames) // 2
    later = np.unique(np.linspace(half + 2, len(frames) - 1, FRAMES.value).astype(int))
    early = FaceLandmarker().track(frames[:half])
    landmarks = FaceLandmarker().track(frames[later])
    seen = np.flatnonzero(np.isfinite(early).all((1, 2)))
    real = frames[later]
    shown = Clip(image=frames[0], frames=real)
    before = np.concatenate(list(plain.reenact(shown)))
    old = scores(lpips, before, real, landmarks)
    for count in map(int, SHOTS.value):
      places = early[seen] / asked.size
      chosen = seen[varied(places, min(count, len(seen)))]
      names = tuple(str(each) for each in chosen)
      shots = Shots(frames[chosen], early[chosen] / asked.size, names, {})
      with tempfile.TemporaryDirectory() as folder:
        result = learn.learn(weights, shots, pathlib.Path(folder) / 'learned')
        after = np.concatenate(list(ifm.load(result.path).reenact(shown)))
      new = scores(lpips, after, real, landmarks)
      row = {'person': entry.name, 'shots': len(chosen), 'learned': result.better,
             'updates': result.updates, 'seconds': round(result.seconds),
             'held_before': result.before, 'held_after': result.after}  # fmt: skip
      row |= {f'{k}_before': v for k, v in old.items()} | {f'{k}_after': v for k, v in new.items()}
      row = {k: round(float(v), 4) if isinstance(v, float | np.floating) else v
             for k, v in row.items()}  # fmt: skip
      add(output, row)
      if STRIPS.value:
        strip(pathlib.Path(STRIPS.value) / f'{entry.name}_{count}.png', real, before, after,
              landmarks)  # fmt: skip


if __name__ == '__main__':
  app.run(main)
