"""Motion autoencoder (the paper's first stage).

  python -m ifmdm_jax.train --config autoencoder:lite --workdir runs/autoencoder

`paper` is the published network and its adversarial objective: 512 px, 20 motion numbers on 512
orthogonal directions; VGG-16 stands in for VGG-19 in the perceptual term. `lite` is what is
bundled: it draws 512 px frames in real time on a CPU; its motion code is linear in the landmarks of
a face mesh, so that stage 2 needs the data alone and can be trained beside it.
"""

import ml_collections

from ifmdm_jax.training import program

PAPER = 'ifmdm_jax.systems.ifmdm.autoencoder.paper'
LITE = 'ifmdm_jax.systems.ifmdm.autoencoder.lite.model'

SIZES = {
  'paper': dict(module=PAPER, size=512, motion_dim=20, style_dim=512, max_width=512,
                refine=True, refine_width=512, remat=()),
  'lite':  dict(module=LITE, side=128, sizes=dict(
      motion_dim=20, source_widths=(32, 64, 128, 160), fine=24, coarse=64,
      decoder_width=64, decoder_inner=96, decoder_fine=48, paint=False)),
  'tiny':  dict(module=LITE, side=32, sizes=dict(
      motion_dim=20, source_widths=(8, 8, 16, 16), fine=8, coarse=8,
      decoder_width=8, decoder_inner=8, decoder_fine=8)),
}  # fmt: skip

ADVERSARIAL = dict(gan_weight=1.0, perceptual='ifmdm_jax.perception.vgg', perceptual_weight=10.0)
GUIDED = dict(
  loss=dict(photo=4.0, bare=1.0, squared=20.0, paint=2.0, inner=2.0, haze=1.0, visible_teeth=0.3,
            missing=0.5, static=0.2, folds=0.02,
            perceptual=1.0, lpips=1.0, lips=0.0, face=1.0, mouth=6.0, eyes=3.0, inside=12.0),
)  # fmt: skip

OPTIMS = {
  'paper': dict(peak_lr=2e-3, trainable='all'),
  'lite':  dict(name='adam', peak_lr=1e-3, end_lr=1e-4, warmup_steps=200, clip_norm=0.0,
                b2=0.99, lr_multipliers=()),
  'tiny':  dict(name='adam', peak_lr=1e-3, schedule='constant', clip_norm=1.0),
}  # fmt: skip
TRAIN = {
  'paper': dict(steps=1_500_000, batch=64, ema=0.0, seed=0),
  'lite':  dict(steps=3_000, batch=4, ema=0.998, seed=0, eval_every=300, pictures_every=300),
  'tiny':  dict(steps=10, batch=2, ema=0.9, seed=0),
}  # fmt: skip
SHARDING = [  # (path, axes), first match; with fsdp and model at 1 everything is on every device
  (r'refine_block/conv_[12]/kernel', (None, None, 'fsdp', 'model')),
  (r'.*', 'fsdp'),
]


def get_config(size='lite'):
  config = ml_collections.ConfigDict()
  config.model = dict(**SIZES[size], **(ADVERSARIAL if size == 'paper' else GUIDED))
  if size == 'tiny':
    config.model.loss.update(perceptual=0.0, lpips=0.0)  # no VGG, no AlexNet in tests
  config.data = dict(
    module='ifmdm_jax.pipeline.sources.pairs',
    cache='runs/cache',  # made by ifmdm_jax.prepare
    licence='',  # only clips and stills in whose licence this pattern is found
    gap=0,  # frames between source and target at most; 0: any
    size=0,  # side that records are read at, pixels; 0: as they are
    blur=0.0,  # share of pairs whose background is blurred, 1 as published; needs prepare --matte
    targets=1 if size == 'paper' else 3,  # per source
    stills=0.0 if size == 'paper' else 0.1,  # share of made pairs
  )
  config.optim = OPTIMS[size]
  config.train = program.defaults(**TRAIN[size])  # all of them: each is a flag
  config.mesh = dict(data=-1, fsdp=1, model=1)  # -1: all devices that are left
  config.sharding = SHARDING
  config.preview = dict(module='ifmdm_jax.preview', clips=2, seconds=4.0)  # see videos_every
  return config


def sweep(add):
  for mouth in (3.0, 6.0, 12.0):
    add({'model.loss.mouth': mouth})
