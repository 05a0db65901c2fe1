"""Sync network: do these lips belong to this voice? (SyncNet's plan, small; a metric, not a loss.)

  python -m ifmdm_jax.prepare --output runs/cache --lips
  python -m ifmdm_jax.train --config sync_network:whisper --workdir runs/sync_network

`whisper` reads Whisper-tiny and is what is bundled; `mfcc` hears as the published network does.
What they reach: experiments/sync_network/README.md.
"""

import ml_collections

AUDIO = {'whisper': 'whisper_tiny', 'mfcc': 'mfcc', 'tiny': 'whisper_tiny'}
TRAIN = {
  'whisper': dict(steps=1_000, batch=12, eval_every=100),
  'mfcc': dict(steps=400, batch=12, eval_every=100),
  'tiny': dict(steps=3, batch=2),  # tests
}


def get_config(size='whisper'):
  config = ml_collections.ConfigDict()
  config.model = dict(
    module='ifmdm_jax.perception.sync_network',
    audio=AUDIO[size],
    noise=0.3,  # deviation added to the speech features, whose own is 1
    drop=0.2,  # share of them left out of a clip
    clip_scale=3.0,  # a clip's mean similarity is surer than a window's
    others=0.5,  # weight of telling a clip's voice from other clips'
    shape=0.5,  # weight of the lip points
  )
  config.data = dict(
    module='ifmdm_jax.pipeline.sources.lips',
    cache='runs/cache',  # made by ifmdm_jax.prepare
    features=AUDIO[size],
    frames=28,  # 24 windows of five
  )
  config.optim = dict(peak_lr=2e-3, end_lr=2e-5, warmup_steps=50, weight_decay=0.02, clip_norm=1.0)
  common = dict(seed=0, ema=0.99, log_every=50, eval_batches=12, save_every_minutes=3.0, keep=1)
  config.train = {**common, **TRAIN[size]}
  config.mesh = dict(data=-1)
  config.sharding = [('.*', ())]
  return config
