"""Motion diffusion: speech features to motion codes, the paper's second stage.

  python -m ifmdm_jax.train --config motion:lite --workdir runs/motion_lite

`paper` is the published network and objective: noise prediction, learned variance, statistics of
the codes as controls. `lite` is for real time on a laptop and for hours, not days, of speech: it
predicts the codes themselves, counted from the rest of the person, reads multilingual Whisper-base
and weighs the change between frames.
Expected of `lite`: mse 0.35 on held-out windows after 1,500 steps, 20 minutes on two shared CPU
cores, with Whisper-tiny features of 108 clips. `paper` has not been trained here.
"""

import ml_collections

from ifmdm_jax.pipeline.landmark_code import LIPS, per_number
from ifmdm_jax.training import program

SIZES = {
  'paper': dict(width=512, depth=6, heads=8, audio_width=768),
  'lite': dict(width=160, depth=4, heads=4, audio_width=512),
  'tiny': dict(width=32, depth=2, heads=2, audio_width=12),  # tests
}
FAITHFUL = dict(
  prediction='eps',
  learn_sigma=True,
  clean_drop=False,
  drop_audio=0.3,
  drop_hint=0.3,
  drop_stats=0.3,
  velocity_weight=0.0,
)
SMALL_DATA = dict(
  prediction='x_0',
  learn_sigma=False,
  clean_drop=True,
  drop_audio=0.15,
  drop_hint=0.1,
  drop_stats=0.3,
  velocity_weight=1.0,
)
OBJECTIVES = {'paper': FAITHFUL, 'lite': SMALL_DATA, 'tiny': FAITHFUL}

OPTIMS = {  # clip_norm 0: no clipping
  'paper': dict(peak_lr=1e-4, schedule='constant', clip_norm=0.0),
  'lite': dict(peak_lr=1e-3, schedule='cosine', warmup_steps=200, clip_norm=1.0),
  'tiny': dict(peak_lr=1e-3, schedule='constant', clip_norm=0.0),
}
TRAIN = {
  'paper': dict(steps=400_000, batch=128, ema=0.9999, ema_ramp=False, eval_every=5_000),
  'lite': dict(steps=1_500, batch=32, ema=0.999, eval_every=500),
  'tiny': dict(steps=10, batch=4, ema=0.9, eval_every=0),
}

SAMPLERS = {
  'paper': dict(steps=25, guidance=2.0),
  'lite': dict(steps=10, guidance=2.0),
  'tiny': dict(steps=3, guidance=1.5),
}
SHARDING = [  # (path, axes), first match; with fsdp and model at 1 everything is on every device
  (r'(qkv|up|modulation)/kernel', ('fsdp', 'model')),
  (r'(out|down)/kernel', ('model', 'fsdp')),
  (r'.*', 'fsdp'),
]


def get_config(size='paper'):
  config = ml_collections.ConfigDict()
  config.model = dict(
    module='ifmdm_jax.systems.ifmdm.motion.model',
    **SIZES[size],
    **OBJECTIVES[size],
    motion_dim=20,
    frames=8 if size == 'tiny' else 64,
    timesteps=1000,
    statistics=('mean', 'std'),  # of a window, that the model sees
    # One number per motion direction, the lips count more; (): all the same.
    dim_weights=per_number(1, lips=2) if size == 'lite' else (),
    normalizer='runs/cache/motion/statistics.npz'
    if size == 'lite'
    else '',  # '': codes as they are
    relative=20,  # with it: as many leading directions are counted from an origin
    # The origin: the rest of the person, or the last code made, from where motion walks at random.
    fixed=size == 'lite',
    unconditioned_dims=(LIPS.start, LIPS.stop),  # with it: lips have no mean and deviation
    # What is sampled, one share per direction, see `motion.sample.smooth`; (): as it comes.
    smoothing=per_number(0.5, lips=0.0) if size == 'lite' else (),
    # Share of the noise that sampling starts from, one per direction; (): all of it.
    chance=per_number(0.8, lips=0.3) if size == 'lite' else (),
    audio={'paper': 'wav2vec2', 'lite': 'whisper_base', 'tiny': 'whisper_tiny'}[size],
  )
  config.data = dict(
    module='ifmdm_jax.pipeline.sources.windows',
    cache='runs/cache',
    licence='',  # only clips in whose licence this pattern is found
    frames=config.model.frames + 1,  # frame 0 is the hint
    autoencoder='runs/autoencoder',  # the stage 1 that made the codes and draws them
  )
  config.optim = dict(name='adamw', weight_decay=0.0, b1=0.9, b2=0.999, **OPTIMS[size])
  config.train = program.defaults(seed=903, **TRAIN[size])  # all of them: each is a flag
  config.sampler = SAMPLERS[size]
  config.mesh = dict(data=-1, fsdp=1, model=1)  # -1: all devices that are left
  config.sharding = SHARDING
  config.preview = dict(module='ifmdm_jax.preview', clips=2, seconds=4.0)  # see videos_every
  return config


def sweep(add):
  for guidance in (1.0, 1.5, 2.0, 3.0):
    for steps in (5, 10, 25):
      add({'sampler.guidance': guidance, 'sampler.steps': steps})
