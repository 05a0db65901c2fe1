"""Motion autoencoder (the paper's first stage).

  python -m ifmdm_jax.train --config configs/autoencoder.py:lite --workdir runs/autoencoder

`paper` is the published network and its adversarial objective: 512 px, 20 motion numbers on 512
orthogonal directions; VGG-16 stands in for VGG-19 in the perceptual term. `lite` is what is
bundled: it draws 512 px frames in real time on a CPU, taught by landmarks. Two phases train `lite`
faster than one, since the motion encoder alone sees six times as many frames in the same time, and
since stage 2 can begin after the first:

  ... --config.model.phase=codes --config.train.batch=8 --workdir runs/codes
  ... --config.model.phase=picture --init_from runs/codes --workdir runs/autoencoder
"""

import ml_collections

PAPER = 'ifmdm_jax.autoencoder.paper'
LITE = 'ifmdm_jax.autoencoder.lite.model'

SIZES = {
  'paper': dict(module=PAPER, size=512, motion_dim=20, style_dim=512, max_width=512,
                refine=True, refine_width=512),
  'lite':  dict(module=LITE, side=128, sizes=dict(
      motion_dim=20, source_widths=(32, 64, 128, 160), motion_widths=(24, 48, 96, 128, 128),
      fine=24, coarse=64, decoder_width=64, decoder_inner=96, decoder_fine=32)),
  'tiny':  dict(module=LITE, side=32, sizes=dict(
      motion_dim=20, source_widths=(8, 8, 16, 16), motion_widths=(8, 8, 8, 16, 16),
      fine=8, coarse=8, decoder_width=8, decoder_inner=8, decoder_fine=8)),
}  # fmt: skip

ADVERSARIAL = dict(gan_weight=1.0, perceptual='ifmdm_jax.perception.vgg', perceptual_weight=10.0)
TAUGHT = dict(
  phase='all',  # 'codes': the motion encoder alone; 'picture': all but it; 'all': both
  code_weights=(1,) * 6 + (2,) * 8 + (1,) * 6,  # pose, lips, lids and brows
  teach=(1_000, 1_600),  # steps: landmark codes drive the decoder until, its own codes from
  taught_targets=1,  # so many targets of each source are driven by landmark codes for ever
  loss=dict(code=0.5, flow=1.0, photo=4.0, bare=1.0, paint=2.0, opening=0.3, haze=2.0, rough=1.0,
            static=1.0, folds=0.2, shape=4.0, perceptual=0.0, face=1.0, mouth=6.0, eyes=3.0),
)  # fmt: skip

OPTIMS = {
  'paper': dict(peak_lr=2e-3, trainable='all'),
  'lite':  dict(name='adam', peak_lr=1e-3, end_lr=1e-4, warmup_steps=200, clip_norm=0.0,
                b2=0.99),
  'tiny':  dict(name='adam', peak_lr=1e-3, schedule='constant', clip_norm=1.0),
}  # fmt: skip
TRAIN = {
  'paper': dict(steps=1_500_000, batch=64, ema=0.0, seed=0),
  'lite':  dict(steps=3_000, batch=4, ema=0.998, seed=0, eval_every=300, pictures_every=300),
  'tiny':  dict(steps=10, batch=2, ema=0.9, seed=0),
}  # fmt: skip


def get_config(size='lite'):
  config = ml_collections.ConfigDict()
  config.model = dict(**SIZES[size], **(ADVERSARIAL if size == 'paper' else TAUGHT))
  config.data = dict(
    module='ifmdm_jax.pipeline.pairs',
    cache='runs/cache',  # made by ifmdm_jax.prepare
    targets=1 if size == 'paper' else 3,  # per source
    stills=0.0 if size == 'paper' else 0.25,  # share of made pairs
  )
  config.optim = OPTIMS[size]
  common = dict(log_every=50, eval_every=0, pictures_every=0, save_every_minutes=5.0, keep=2)
  config.train = {**common, **TRAIN[size]}
  config.mesh = dict(data=-1)  # -1: all devices
  config.sharding = [('.*', ())]  # (path, axes), first match: everything on every device
  return config


def sweep(add):
  for mouth in (3.0, 6.0, 12.0):
    add({'model.loss.mouth': mouth})
