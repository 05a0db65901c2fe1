"""How many numbers does a face's motion need? (The paper's stage 1; 20 there.)

  python -m ifmdm_jax.sweep --config sweeps/motion_dimension --launch slurm

`tiny` is the same network at 32 px and a few channels, for trying the sweep out.
"""

from ifmdm_jax.configs import autoencoder

TINY = dict(size=32, max_width=8, refine_width=8, perceptual='')


def get_config(size='paper'):
  config = autoencoder.get_config('paper')
  config.train.eval_every = 5_000
  if size == 'tiny':
    config.model.update(TINY)
    config.train.update(steps=10, batch=4, eval_every=5, eval_batches=1)
  return config


def sweep(add):
  for numbers in (5, 10, 20, 40, 100):
    add({'model.motion_dim': numbers})
