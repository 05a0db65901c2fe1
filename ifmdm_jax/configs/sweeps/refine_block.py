"""Is the refine block, 61 times the rest of the decoder at 512 px, worth its cost?

  python -m ifmdm_jax.sweep --config sweeps/refine_block --launch slurm

Without it, as published (512 channels), and narrower.
"""

from ifmdm_jax.configs import autoencoder
from ifmdm_jax.configs.sweeps import motion_dimension


def get_config(size='paper'):
  if size == 'tiny':
    return motion_dimension.get_config(size)
  config = autoencoder.get_config('paper')
  config.train.eval_every = 5_000
  return config


def sweep(add):
  add({'model.refine': False})
  for width in (32, 128, 512):
    add({'model.refine': True, 'model.refine_width': width})
