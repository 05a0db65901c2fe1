"""Few-shot adversarial heads: a person from K frames, driven by landmarks.

  python -m ifmdm_jax.train --config fewshot:lite --workdir runs/fewshot

`paper` is the published layout and training: K = 8, batches of 48 episodes, Adam with betas 0 and
0.999 at 5e-5 and, for the discriminator, 2e-4, an average of 0.999, 3,000 steps an epoch of 145,000
videos. Which loss weights, and how often the discriminator learns, `model.loss_preset` says. `lite`
is for two CPU cores. Expected: not run yet, neither of them. `tiny` is for tests.

`model.videos` has to be at least the number of clips that are trained on.
"""

import ml_collections

from ifmdm_jax.systems.fewshot import losses, person
from ifmdm_jax.systems.fewshot.sizes import SIZES
from ifmdm_jax.training import program

MODELS = {
  'paper': dict(shots=8, videos=145_000, **losses.DEFAULTS),
  'lite': dict(shots=4, videos=512, **{**losses.DEFAULTS, 'content_window': 64}),
  'tiny': dict(shots=2, videos=8, **{**losses.DEFAULTS, 'content': 'random', 'band': 1000.0}),
}
OPTIMS = {  # b1, b2 and eps as published
  'paper': dict(name='adam', peak_lr=5e-5, dis_lr=2e-4),
  'lite': dict(name='adam', peak_lr=2e-4, dis_lr=8e-4),
  'tiny': dict(name='adam', peak_lr=2e-4, dis_lr=8e-4),
}
TRAIN = {
  'paper': dict(steps=225_000, batch=48, ema=0.999, compute='bfloat16'),  # 75 epochs
  'lite': dict(steps=20_000, batch=4, ema=0.999, eval_every=500, pictures_every=500),
  'tiny': dict(steps=10, batch=4, ema=0.9),
}


def get_config(size='lite'):
  config = ml_collections.ConfigDict()
  config.model = dict(module='ifmdm_jax.systems.fewshot.model', **SIZES[size], **MODELS[size])
  config.data = dict(
    module='ifmdm_jax.pipeline.sources.episodes',
    cache='runs/cache',  # made by ifmdm_jax.prepare
    size=SIZES[size]['image'],  # side that frames are brought to, pixels
    shots=config.model.get_ref('shots'),  # K: change model.shots
    videos=config.model.get_ref('videos'),  # change model.videos
    augment=size == 'lite',
    licence='',  # only clips in whose licence this pattern is found
  )
  config.optim = OPTIMS[size]
  config.train = program.defaults(seed=0, **TRAIN[size])  # all of them: each is a flag
  config.adapt = person.ADAPT
  config.mesh = dict(data=-1, fsdp=1, model=1)  # -1: all devices that are left
  config.sharding = [(r'.*', 'fsdp')]
  return config
