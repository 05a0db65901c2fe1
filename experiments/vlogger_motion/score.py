"""Measures the motion model M on people held out: by their own voice, and by another's.

  python -m ifmdm_jax.prepare --output runs/val --face_motion
  python experiments/vlogger_motion/score.py --cache runs/val --run runs/vlogger_motion

Of each clip the whole motion is sampled, `--takes` times; the reference is its first frame. Rows of
the table: the real motion, the model by the clip's own voice, by the voice of the next clip.

  jaw r       jawOpen against the real one's; of shuffled voices it should be near 0
  units       mean over the units that move of their deviation over the real one's
  lips, head  the same of jawOpen and mouth units, and of the head's three angles
  jitter      mean third difference of angles and units over the real one's
  takes       deviation between takes over that in time, of lips and of the head
"""

import argparse
import csv
import pathlib
import time

import numpy as np

from ifmdm_jax import bundle
from ifmdm_jax.pipeline import codes, face_motion
from ifmdm_jax.rates import FPS
from ifmdm_jax.systems.vlogger import generate, motion_model, motion_sampler
from ifmdm_jax.training import checkpoints

JAW = face_motion.index('jawOpen')
LIPS = np.array([i for i, name in enumerate(face_motion.NAMES) if name[:3] in ('jaw', 'mou')])
UNITS = np.arange(len(face_motion.UNITS))
HEAD = np.array([face_motion.index(name) for name in ('headPitch', 'headYaw', 'headRoll')])
MOVES = 0.01  # deviation of a unit that counts


def loaded(folder):
  """Reads (config.model, parameters, normalizer) of a run, or of a bundle."""
  if not (folder / 'config.json').is_file():
    config, params = checkpoints.load(folder)
    return config.model, params, motion_model.frozen(config.model)
  parts = bundle.read(folder).parts
  normalizer = motion_model.normalizer(parts['statistics'].params)
  return generate.checked(parts['motion'].settings), parts['motion'].params, normalizer


def jitter(x):
  return np.abs(np.diff(x, n=3, axis=0)).mean()


def figures(made, real):
  """Measures takes [K, T, M] against the real motion [T, M]."""
  moving = UNITS[real[:, UNITS].std(0) > MOVES]
  ratio = lambda axes: np.mean(made[..., axes].std(1).mean(0) / real[:, axes].std(0))
  r = lambda take: np.corrcoef(take[:, JAW], real[:, JAW])[0, 1]
  within = lambda axes: made[..., axes].std(1).mean()
  between = lambda axes: made[..., axes].std(0).mean() if len(made) > 1 else np.nan
  angles = np.concatenate([moving, HEAD])
  return {
    'jaw_r': np.mean([r(take) for take in made]),
    'units': ratio(moving),
    'lips': ratio(np.intersect1d(moving, LIPS)),
    'head': ratio(HEAD),
    'jitter': np.mean([jitter(take[:, angles]) for take in made]) / jitter(real[:, angles]),
    'takes_lips': between(LIPS) / within(LIPS),
    'takes_head': between(HEAD) / within(HEAD),
  }


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--cache', required=True)
  parser.add_argument('--run', required=True)
  parser.add_argument('--output')
  parser.add_argument('--split', default='val')
  parser.add_argument('--steps', default='20')
  parser.add_argument('--guidance', type=float, default=1.0)
  parser.add_argument('--takes', type=int, default=3)
  flags = parser.parse_args()
  options = dict(steps=flags.steps, guidance=flags.guidance)
  sampler = motion_sampler.MotionSampler(*loaded(pathlib.Path(flags.run)), **options)
  sample = lambda *inputs, seed: np.concatenate(list(sampler.sample(*inputs, seed=seed)))
  clips = codes.read(flags.cache, flags.split, folder=face_motion.FOLDER)
  rows, seconds, frames = [], 0.0, 0
  for number, clip in enumerate(clips):
    real, other = clip.codes, clips[(number + 1) % len(clips)].features
    other = np.resize(other, clip.features.shape)
    for row, features in (('own voice', clip.features), ("another's", other)):
      began = time.perf_counter()
      takes = np.stack([sample(features, real[0], seed=seed) for seed in range(flags.takes)])
      if number:  # compiled by then
        seconds, frames = (
          seconds + time.perf_counter() - began,
          frames + takes.shape[1] * len(takes),
        )
      rows.append(
        {'clip': clips.entries[number].name, 'row': row, **figures(takes, real[: len(takes[0])])}
      )
  names = list(rows[0])[2:]
  print(f'{"":<12}', *(f'{name:>11}' for name in names))
  for row in ('own voice', "another's"):
    means = [np.nanmean([each[name] for each in rows if each['row'] == row]) for name in names]
    print(f'{row:<12}', *(f'{mean:11.3f}' for mean in means))
  print(f'{frames / FPS / seconds:.1f} times real time')
  if flags.output:
    path = pathlib.Path(flags.output)
    path.mkdir(parents=True, exist_ok=True)
    with (path / 'scores.csv').open('w', newline='') as file:
      table = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
      table.writeheader()
      table.writerows(
        {k: f'{v:.4f}' if isinstance(v, float) else v for k, v in r.items()} for r in rows
      )


if __name__ == '__main__':
  main()
