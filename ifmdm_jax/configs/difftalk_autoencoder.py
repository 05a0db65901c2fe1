"""DiffTalk's first stage: an autoencoder with a codebook, 4 or 8 times smaller latents.

  python -m ifmdm_jax.train --config difftalk_autoencoder:lite --workdir runs/vq

`paper` and `paper512` are latent diffusion's training: L1, LPIPS of VGG, commitment, and a patch
discriminator whose weight follows the decoder's last layer; rate 4.5e-6 a row of the batch. Neither
has been trained here. `lite` trains on two CPU cores: squares of 64 px, LPIPS of AlexNet, a smaller
discriminator without batch norm, entries that nothing chooses start anew, and a rate that falls.
Expected of `lite`: 24 dB on people held out after 1,000 steps (experiments/difftalk). There the
discriminator needs 400 steps before it says anything, and until then its weight is noise.
"""

import ml_collections

from ifmdm_jax.systems.difftalk.sizes import SIZES
from ifmdm_jax.training import program

PUBLISHED = dict(
  lpips='vgg',  # or 'alex', ''
  lpips_weight=1.0,
  commitment_weight=1.0,
  gan_weight=1.0,  # times the adaptive weight
  gan_start=50_000,  # step from which the discriminator learns and counts
  dis=dict(layers=3, width=64, norm='batch'),
  crop=0,  # side of the squares at random that are trained on, pixels; 0: whole pictures
  restart=0.0,  # uses a batch below which an entry of the codebook moves; 0: never
)
LITE = dict(
  PUBLISHED, lpips='alex', gan_weight=0.5, gan_start=1_000, restart=0.03, crop=64,
  dis=dict(layers=3, width=32, norm='none'),
)  # fmt: skip
LOSSES = {
  'paper': PUBLISHED,
  'paper512': PUBLISHED,
  'lite': LITE,
  'tiny': dict(LITE, lpips='', gan_start=2, crop=32, dis=dict(layers=2, width=8, norm='batch')),
}
LOSSES['tiny128'] = LOSSES['tiny']

SLOW = dict(peak_lr=3.6e-5, schedule='constant', clip_norm=0.0, b1=0.5, b2=0.9)
OPTIMS = {
  'paper': SLOW,
  'paper512': SLOW,
  'lite': dict(peak_lr=1e-3, end_lr=1e-4, warmup_steps=50, clip_norm=1.0, b1=0.5, b2=0.9),
  'tiny': dict(peak_lr=2e-3, schedule='constant', clip_norm=1.0, b1=0.5, b2=0.9),
}
OPTIMS['tiny128'] = OPTIMS['tiny']
TRAIN = {
  'paper': dict(steps=500_000, batch=8, ema=0.0, seed=0),
  'paper512': dict(steps=500_000, batch=8, ema=0.0, seed=0),
  'lite': dict(steps=2_000, batch=4, ema=0.99, seed=0, eval_every=250, pictures_every=250),
  'tiny': dict(steps=10, batch=4, ema=0.9, seed=0),
}
TRAIN['tiny128'] = TRAIN['tiny']


def get_config(size='lite'):
  config = ml_collections.ConfigDict()
  config.model = dict(
    module='ifmdm_jax.systems.difftalk.autoencoder', **SIZES[size], **LOSSES[size]
  )
  published = size.startswith('paper')
  config.data = dict(
    module='ifmdm_jax.pipeline.sources.dub_frames',
    cache='runs/cache',  # made by ifmdm_jax.prepare
    size=SIZES[size].get('shot', SIZES[size]['image']),  # side that records are read at, pixels
    face=SIZES[size]['image'] if 'shot' in SIZES[size] else 0,  # side of the face, cut out of that
    gap=60,  # of stage 2; this one reads no reference
    audio='',
    augment=not published,
    stills=0.0 if published else 0.3,  # share of single pictures
    licence='',  # only clips and stills in whose licence this pattern is found
  )
  config.optim = OPTIMS[size]
  config.train = program.defaults(**TRAIN[size])  # all of them: each is a flag
  config.mesh = dict(data=-1, fsdp=1, model=1)  # -1: all devices that are left
  config.sharding = [(r'.*', 'fsdp')]
  return config
