"""VLOGGER's motion model M: a voice -> face units, head and gaze, by name.

  python -m ifmdm_jax.prepare --output runs/cache --face_motion
  python -m ifmdm_jax.train --config vlogger_motion:lite --workdir runs/vlogger_motion

`paper` has four layers, as published; width, heads, schedule and the weights of the temporal loss
are not published. `lite` trains on two CPU cores, in ten minutes; expected of five minutes of
speech: mse 0.40 of people held out after 400 steps (experiments/vlogger_motion). `tiny` is for
tests.
"""

import ml_collections

from ifmdm_jax.systems.vlogger.sizes import MOTION
from ifmdm_jax.training import program

OPTIMS = {
  'paper': dict(peak_lr=1e-4, warmup_steps=1_000, schedule='constant'),
  'lite': dict(peak_lr=1e-3, end_lr=5e-5, warmup_steps=50),
  'tiny': dict(peak_lr=2e-3, schedule='constant'),
}
TRAIN = {
  'paper': dict(steps=400_000, batch=128, ema=0.9999),
  'lite': dict(steps=1_500, batch=16, ema=0.995, eval_every=100),  # enough after 750
  'tiny': dict(steps=30, batch=4, ema=0.9),
}


def get_config(size='lite'):
  config = ml_collections.ConfigDict()
  config.model = dict(
    module='ifmdm_jax.systems.vlogger.motion_model',
    **MOTION[size],
    drop_audio=0.1,
    temporal='published',  # or 'matched'
    lambda_expression=0.01,
    lambda_pose=0.1,
    normalizer='' if size == 'tiny' else 'runs/cache/face_motion/statistics.npz',
  )
  config.data = dict(
    module='ifmdm_jax.pipeline.sources.windows',
    cache='runs/cache',  # made by ifmdm_jax.prepare
    folder='face_motion',
    frames=config.model.frames + 1,
    licence='',  # only clips in whose licence this pattern is found
  )
  config.optim = dict(
    name='adamw', weight_decay=0.01, b1=0.9, b2=0.999, clip_norm=1.0, **OPTIMS[size]
  )
  config.train = program.defaults(seed=0, **TRAIN[size])  # all of them: each is a flag
  config.mesh = dict(data=-1, fsdp=1, model=1)  # -1: all devices that are left
  config.sharding = [(r'.*', 'fsdp')]
  return config
