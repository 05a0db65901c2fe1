"""Measures few-shot heads on people whom no training saw, by the number of pictures.

  python experiments/fewshot/curve.py --checkpoint runs/fewshot --shots 1,8,32 --output out/fewshot

Of each clip pictures are chosen among the first half, as `adapt` chooses those of a video; frames
of the second half are drawn by their own landmarks and compared with the film at 256 px, to which
what networks of another side draw is brought. `nearest` repeats the picture whose landmarks are
nearest.
"""

import argparse
import pathlib
import shutil

import cv2
import numpy as np

import ifmdm_jax as ifm
from experiments.adapt.curve import add, distance
from ifmdm_jax import bundle
from ifmdm_jax.adaptation import learn
from ifmdm_jax.adaptation.shots import Shots, varied
from ifmdm_jax.clip import Clip
from ifmdm_jax.evaluation import identity, images, landmarks
from ifmdm_jax.face import crop, points
from ifmdm_jax.face.crop import resized
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.perception import lpips, sface
from ifmdm_jax.pipeline import records
from ifmdm_jax.systems.fewshot import generate
from ifmdm_jax.systems.fewshot.personal import Personal

SIDE = 256
HELD = 8  # frames of the second half


def nearest(shots, track):
  """Chooses for each frame the picture whose landmarks are nearest: int [T]."""
  centred = lambda x: x - x[:, points.RIGID].mean(1, keepdims=True)
  away = centred(track)[:, None] - centred(shots)[None]
  return np.linalg.norm(away, axis=-1).mean(-1).argmin(1)


def measured(drawn, film, track, lpips_of, recognise, person):
  """Figures of drawn frames: means over them, landmarks in percent of the eye distance."""
  drawn = np.stack([resized(frame, SIDE) for frame in drawn])
  found = np.concatenate([FaceLandmarker().track(frame[None]) for frame in drawn])
  seen = np.isfinite(found).all((1, 2))
  lmd = landmarks.f_lmd(found[seen], track[seen] * SIDE) if seen.any() else np.array([np.nan])
  chips = [crop.chip(f, marks) for f, marks in zip(drawn[seen], found[seen])]
  return {
    'lpips': lpips_of(drawn, film).mean(),
    'ssim': np.mean([images.ssim(a, b) for a, b in zip(drawn, film)]),
    'psnr': images.psnr(drawn, film).mean(),
    'f_lmd': lmd.mean(),
    'identity': identity.cosine(recognise(np.stack(chips)), person) if chips else np.nan,
    'found': seen.mean(),
  }


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--checkpoint', required=True)
  parser.add_argument('--cache', default='runs/val')
  parser.add_argument('--output', required=True)
  parser.add_argument('--shots', default='1,8,32')
  parser.add_argument('--people', type=int, default=10)
  flags = parser.parse_args()
  output = pathlib.Path(flags.output)
  output.mkdir(parents=True, exist_ok=True)
  weights, lite = bundle.opened(flags.checkpoint), ifm.load()
  lpips_of, recognise = distance(lpips.load('alex')), sface.SFace()
  for clip in records.clips(flags.cache, 'val', sound=False)[: flags.people]:
    half, side = len(clip.frames) // 2, clip.frames.side
    places = np.float32(clip.landmarks / side)
    later = np.unique(np.linspace(half + 2, len(clip.frames) - 1, HELD).astype(int))
    film = np.stack([resized(clip.frames[int(t)], SIDE) for t in later])
    track = places[later]
    chips = [crop.chip(film[0], track[0] * SIDE)]
    person = recognise(np.stack(chips))
    for count in map(int, flags.shots.split(',')):
      chosen = varied(places[:half], min(count, half))
      pictures = np.stack([resized(clip.frames[int(t)], 512) for t in chosen])
      shots = Shots(pictures, places[chosen], tuple(map(str, chosen)), {})
      place = output / f'{clip.name}_{count}'
      shutil.rmtree(place, ignore_errors=True)
      result = learn.learn(weights, shots, place)
      driven = Clip(image=film[0], landmarks=track * SIDE)
      plain = Personal(weights, pictures, shots.landmarks).start()
      rows = {
        'nearest': pictures[nearest(places[chosen], track)],
        'no fit': drawn_by(generate.load(plain, driver='landmarks'), driven),
        'fit': drawn_by(ifm.load(place, driver='landmarks'), driven),
        'lite': np.concatenate(list(lite.reenact(Clip(image=pictures[0], frames=film)))),
      }
      for row, drawn in rows.items():
        found = measured(drawn, film, track, lpips_of, recognise, person)
        line = {'person': clip.name, 'shots': len(chosen), 'row': row, 'updates': result.updates,
                'seconds': round(result.seconds)}  # fmt: skip
        add(output / 'curve.csv', line | {k: round(float(v), 4) for k, v in found.items()})
      shown = [film, *(rows[name] for name in ('nearest', 'no fit', 'fit'))]
      strip = [np.concatenate([resized(f, 128) for f in each], axis=1) for each in shown]
      path = output / f'strip_{clip.name}_{count}.png'
      cv2.imwrite(str(path), np.concatenate(strip)[..., ::-1])


def drawn_by(sampler, clip):
  """Draws the landmarks of a clip: uint8 [T, S, S, 3]."""
  return np.concatenate(list(sampler.generate(clip)))


if __name__ == '__main__':
  main()
