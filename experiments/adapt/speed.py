"""Compares how fast frames are drawn before and after `adapt`, in turns, in one run.

python experiments/adapt/speed.py --learned runs/anna --image data/fixtures/portrait.jpg
"""

import time
import types

import numpy as np
from absl import app, flags

import ifmdm_jax as ifm
from ifmdm_jax import bundle, compile_cache, generator
from ifmdm_jax.systems.ifmdm.autoencoder.lite import own_mouth

LEARNED = flags.DEFINE_string('learned', None, 'Weights that know a person; default: of --image.')
IMAGE = flags.DEFINE_string('image', 'data/fixtures/portrait.jpg', 'The portrait.')
SHOTS = flags.DEFINE_integer('shots', 8, 'Copies of the portrait that stand for shots.')
ROUNDS = flags.DEFINE_integer('rounds', 30, 'Turns of each.')
FRAMES = flags.DEFINE_integer('frames', 32, 'Of a turn.')


def main(_):
  compile_cache.keep(None)
  image = ifm.read_portrait(IMAGE.value)
  plain = ifm.load()
  if LEARNED.value:
    learned = ifm.load(LEARNED.value)
  else:
    weights = bundle.read(bundle.BUNDLED)
    system = generator.system(weights.system)
    personal = system.personal(weights, np.stack([image] * SHOTS.value))
    own = personal.params['own']
    # The portrait's mouth may be closed: an inside is as costly, whatever it shows.
    own.setdefault('inside', np.zeros((SHOTS.value, *own_mouth.INSIDE, 3), np.float32))
    own.setdefault('shows', np.ones(SHOTS.value, np.float32))
    learned = system.load(personal.pack(types.SimpleNamespace(params={'own': own})))
  codes = np.asarray(plain.portrait(image).code) + np.random.default_rng(0).normal(
    0, 0.3, (FRAMES.value, 20)
  ).astype(np.float32)
  samplers, portraits = (plain, learned), [each.portrait(image) for each in (plain, learned)]
  times = np.zeros((ROUNDS.value + 1, 2))
  for turn in range(ROUNDS.value + 1):  # the first compiles
    for which in (0, 1) if turn % 2 else (1, 0):
      began = time.perf_counter()
      for _ in samplers[which].renderer.drawn(portraits[which], codes, samplers[which].block):
        pass
      times[turn, which] = time.perf_counter() - began
  before, after = FRAMES.value / np.median(times[1:], axis=0)
  ratios = times[1:, 0] / times[1:, 1]
  fastest = times[1:, 0].min() / times[1:, 1].min()
  print(f'{before:.1f} frames a second before, {after:.1f} after')
  print(f'after over before: median of turns {np.median(ratios):.3f}, of the fastest {fastest:.3f}')


if __name__ == '__main__':
  app.run(main)
