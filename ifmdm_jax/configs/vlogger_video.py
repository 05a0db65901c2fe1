"""VLOGGER's video model, in three stages: base, pictures, clips.

  python -m ifmdm_jax.prepare --output runs/cache --face_motion
  python -m ifmdm_jax.train --config vlogger_video:lite --workdir runs/base
  python -m ifmdm_jax.train --config vlogger_video:lite --workdir runs/pictures \\
      --config.model.stage=pictures --init_from runs/base
  python -m ifmdm_jax.train --config vlogger_video:lite --workdir runs/clips \\
      --config.model.stage=clips --init_from runs/pictures

`paper`, and `paper256` and `paper512` of the cascade, have our widths: what is published is how
parts join, 400,000 steps of 128 at 5e-5. `lite` is 64 px, for two CPU cores; its base goes on
with the copy, so it may begin with `pictures`, for which --config.data.frames=1 is enough. Expected
there: mse 0.043 of people held out after 6,000 steps, 2.5 hours. No other was run; `tiny` and
`tiny32` are for tests.
"""

import ml_collections

from ifmdm_jax.systems.vlogger.sizes import SIZES
from ifmdm_jax.training import program

OPTIMS = {
  'paper': dict(peak_lr=5e-5, warmup_steps=1_000, schedule='constant'),
  'lite': dict(peak_lr=4e-4, warmup_steps=100, schedule='constant'),
  'tiny': dict(peak_lr=1e-3, schedule='constant'),
}
TRAIN = {
  'paper': dict(steps=400_000, batch=128, ema=0.9999, compute='bfloat16'),
  'lite': dict(steps=20_000, batch=8, ema=0.999, eval_every=500, pictures_every=500),
  'tiny': dict(steps=10, batch=2, ema=0.9),
}


def get_config(size='lite'):
  kind = size.rstrip('0123456789')  # of a stage of the cascade, the size that it belongs to
  config = ml_collections.ConfigDict()
  config.model = dict(
    module='ifmdm_jax.systems.vlogger.video_model',
    stage='base',  # or 'pictures', 'clips'
    **SIZES[size],
  )
  config.data = dict(
    module='ifmdm_jax.systems.vlogger.clips',
    cache='runs/cache',  # made by ifmdm_jax.prepare
    size=SIZES[size]['image'],
    frames=SIZES[size]['clip'],
    licence='',  # only clips in whose licence this pattern is found
  )
  config.optim = dict(
    name='adamw', weight_decay=0.01, b1=0.9, b2=0.999, clip_norm=1.0, **OPTIMS[kind]
  )
  config.train = program.defaults(seed=0, **TRAIN[kind])  # all of them: each is a flag
  config.mesh = dict(data=-1, fsdp=1, model=1)  # -1: all devices that are left
  config.sharding = [(r'.*', 'fsdp')]
  return config
