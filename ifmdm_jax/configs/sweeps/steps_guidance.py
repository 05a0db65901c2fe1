"""How many steps, and how strict a guidance, does the sampler need? Trains nothing.

  python -m ifmdm_jax.sweep --config sweeps/steps_guidance:lite --launch local

`trained` is the run of stage 2 to draw from.
"""

from ifmdm_jax.configs import motion
from ifmdm_jax.systems.ifmdm import preview


def get_config(size='paper'):
  config = motion.get_config(size)
  config.trained = 'runs/motion'
  return config


def sweep(add):
  for guidance in (1.0, 1.5, 2.0, 3.0):
    for steps in (5, 10, 25, 50):
      add({'sampler.guidance': guidance, 'sampler.steps': steps})


def run(config, workdir):
  del workdir
  return preview.code_errors(config.trained, config)
