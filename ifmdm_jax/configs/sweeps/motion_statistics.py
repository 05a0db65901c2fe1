"""Does stage 2 gain from mean and deviation of the motion as conditions? (The paper's statistics.)

  python -m ifmdm_jax.sweep --config sweeps/motion_statistics:lite --launch local

Sizes are those of configs/motion.py. A model that is not conditioned on a
statistic sees it in no sample, neither in training nor in validation.
"""

from ifmdm_jax.configs import motion


def get_config(size='paper'):
  config = motion.get_config(size)
  config.train.eval_every = max(config.train.steps // 10, 1)
  return config


def sweep(add):
  for statistics in ((), ('mean',), ('mean', 'std')):
    add({'model.statistics': statistics})
