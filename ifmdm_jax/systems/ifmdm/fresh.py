"""Samplers with random weights in the sizes of configs/, to be timed where none are trained."""

import functools

import jax
import numpy as np

from ifmdm_jax import generator
from ifmdm_jax.systems.ifmdm import parts
from ifmdm_jax.systems.ifmdm.motion.sample import Solver
from ifmdm_jax.systems.ifmdm.sampler import Stage
from ifmdm_jax.training import program

LITE = dict(kind='lite', side=128, sizes=dict(
  motion_dim=20, source_widths=(32, 64, 128, 160), fine=24, coarse=64,
  decoder_width=64, decoder_inner=96, decoder_fine=48, paint=False))  # fmt: skip
TINY = dict(kind='lite', side=32, sizes=dict(
  motion_dim=20, source_widths=(8, 8, 16, 16), fine=8, coarse=8,
  decoder_width=8, decoder_inner=8, decoder_fine=8))  # fmt: skip
PAPER = dict(kind='paper', size=512, motion_dim=20, style_dim=512, max_width=512, refine_width=512)
MOTION = dict(kind='motion', motion_dim=20, timesteps=1000, steps=10, guidance=1.5)
FAITHFUL = dict(prediction='eps', learn_sigma=True)
WHISPER = dict(audio='whisper_tiny', audio_width=384)  # whose weights are at hand
AUTOENCODERS = {
  'tiny': TINY,
  'lite': LITE,
  'paper': dict(PAPER, refine=False),
  'paper_refine': dict(PAPER, refine=True),
}
MOTIONS = {
  'tiny': dict(MOTION, width=32, depth=2, heads=2, frames=8, **FAITHFUL, **WHISPER),
  'lite': dict(MOTION, width=160, depth=4, heads=4, frames=64, prediction='x_0', learn_sigma=False,
               **WHISPER),
  'paper': dict(MOTION, width=512, depth=6, heads=8, frames=64, **FAITHFUL, **WHISPER),
}  # fmt: skip
MOTIONS['paper_refine'] = MOTIONS['paper']
SIZES = tuple(AUTOENCODERS)


def fresh(size, make, dtype='float32'):
  """Returns a `Sampler` with random weights.

  Args:
    size: of SIZES.
    make: `generate.sampler`.
    dtype: in which `paper` draws.
  """
  settings = dict(AUTOENCODERS[size])
  if settings['kind'] == 'paper':
    settings['draw_dtype'] = dtype
  first = parts.config_of('autoencoder', settings)
  second = parts.config_of('motion', MOTIONS[size])
  second.normalizer = ''
  stages = _stage(first, constants=settings['kind'] == 'lite'), _stage(second)
  side = 64 if size == 'tiny' else 512
  return make(*stages, Solver(second.steps, second.guidance), name=size, size=side)


def _stage(config, constants=False):
  """Makes a `Stage` of random numbers; of its own initialisation if it holds `constants`."""
  module = generator.trainable(parts.KINDS[config.kind])[1]
  init = functools.partial(module.init, config=config)
  if constants:
    return Stage(module, config, jax.jit(init)(program.fresh_key(0)))
  shapes = jax.eval_shape(init, jax.random.key(0))
  rng = np.random.default_rng(0)
  draw = lambda leaf: 0.02 * rng.standard_normal(leaf.shape).astype(leaf.dtype)
  wanted = {name: leaf for name, leaf in shapes.items() if name != 'dis'}
  return Stage(module, config, jax.tree.map(draw, wanted))
