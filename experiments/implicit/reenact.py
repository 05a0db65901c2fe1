"""Measures and shows what a run of the small implicit networks does with people of val.

  python experiments/implicit/reenact.py --workdir runs/flow --cache runs/val --output out/implicit

Of each clip the first frame is the source; every STRIDE-th frame drives it. `strip.png` has a row
for each of eight people: source, three drivers, what they make of it, and what the next person's
drivers make of it. `axes.png` moves one portrait along eight axes of its code, both ways.
"""

import argparse
import functools
import pathlib

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax import bundle
from ifmdm_jax.evaluation import images
from ifmdm_jax.face.crop import resized
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.face.points import height, mouth_opening
from ifmdm_jax.pipeline import records

STRIDE, SHOWN, AXES, STEPS = 4, 3, 8, (-2.0, -1.0, 0.0, 1.0, 2.0)


def opening(frames):
  """Reads how far mouths are open, heights of the face; NaN where no face is found."""
  track = np.concatenate([FaceLandmarker().track(resized(frame, 256)[None]) for frame in frames])
  return mouth_opening(track) / np.array([height(points[None]) for points in track])


def measured(film, made):
  """Figures of one person: PSNR of drawn and of repeated frames, openings found again."""
  wanted, found = opening(film), opening(made)
  seen = np.isfinite(wanted) & np.isfinite(found)
  line = np.polyfit(wanted[seen], found[seen], 1) if seen.sum() > 2 else (np.nan, np.nan)
  return {
    'psnr': images.psnr(made, film).mean(),
    'psnr_of_still': images.psnr(np.broadcast_to(film[:1], film.shape), film).mean(),
    'found': seen.mean(),
    'opening_r': np.corrcoef(wanted[seen], found[seen])[0, 1] if seen.sum() > 2 else np.nan,
    'opening_slope': line[0],
  }


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--workdir', required=True)
  parser.add_argument('--cache', default='runs/val')
  parser.add_argument('--output', required=True)
  flags = parser.parse_args()
  output = pathlib.Path(flags.output)
  output.mkdir(parents=True, exist_ok=True)
  module, config, params = bundle.trained(flags.workdir)
  jitted = lambda function: jax.jit(functools.partial(function, config=config))
  portrait, motion, draw = (jitted(x) for x in (module.portrait, module.motion, module.draw))

  films, codes, rows = [], [], []
  for clip in records.clips(flags.cache, 'val', sound=False):
    frames = clip.frames[np.arange(0, len(clip.frames), STRIDE)]
    films.append(np.stack([resized(frame, config.size) for frame in frames]))
    codes.append(np.concatenate([motion(params, frame[None]) for frame in films[-1]]))
    source = portrait(params, films[-1][0])
    made = np.concatenate([draw(params, source, code[None]) for code in codes[-1]])
    rows.append({'person': clip.name} | measured(films[-1], made))
    print(rows[-1], flush=True)
  names = list(rows[0])
  lines = [','.join([row['person'], *(f'{row[n]:.4f}' for n in names[1:])]) for row in rows]
  means = [f'{np.nanmean([row[n] for row in rows]):.4f}' for n in names[1:]]
  text = '\n'.join([','.join(names), *lines, ','.join(['mean', *means])]) + '\n'
  (output / 'reenact.csv').write_text(text)

  strip = []
  for i, film in enumerate(films[:8]):
    source, other = portrait(params, film[0]), codes[(i + 1) % len(codes)]
    chosen = np.linspace(1, len(film) - 1, SHOWN).astype(int)
    cross = np.linspace(1, len(other) - 1, SHOWN).astype(int)
    own = [draw(params, source, codes[i][t][None])[0] for t in chosen]
    lent = [draw(params, source, source.code + (other[t] - other[0])[None])[0] for t in cross]
    strip.append(np.concatenate([film[0], *film[chosen], *own, *lent], axis=1))
  write(output / 'strip.png', np.concatenate(strip))

  source, spread = portrait(params, films[0][0]), np.concatenate(codes).std(0)
  order = np.argsort(-spread)[:AXES]
  way = lambda axis, step: source.code + jnp.zeros_like(source.code).at[:, axis].set(step)
  sheet = [[draw(params, source, way(a, s * spread[a]))[0] for s in STEPS] for a in order]
  write(output / 'axes.png', np.concatenate([np.concatenate(row, axis=1) for row in sheet]))


def write(path, picture):
  cv2.imwrite(str(path), np.asarray(picture)[..., ::-1])


if __name__ == '__main__':
  main()
