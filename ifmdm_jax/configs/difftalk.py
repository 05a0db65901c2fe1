"""DiffTalk's second stage: latent diffusion of a frame from its upper part, a reference, the voice.

  python -m ifmdm_jax.prepare --output runs/cache --features --audio whisper_base
  python -m ifmdm_jax.train --config difftalk_voice:lite --workdir runs/voice
  python -m ifmdm_jax.train --config difftalk:lite --init_from runs/voice --workdir runs/difftalk

`paper` and `paper512` are the published layout and objective: the noise, T = 1000, AdamW at 1e-6 a
row of 8 x 8, gradients clipped at 0.1, and an average of 0.9999, here over all trained parts. The
voice is read by Whisper-base in place of DeepSpeech. Neither has been trained here. `lite` trains
on two CPU cores and departs from them, see docs/difftalk.md; `config.model.autoencoder` is the run
of stage 1, and `--init_from` that of the voice, which stays as it is. Expected of `lite`: l1 0.069
and lpips 0.068 of lower faces of people held out (experiments/difftalk).
"""

import ml_collections

from ifmdm_jax.systems.difftalk import masks
from ifmdm_jax.systems.difftalk.sizes import SIZES
from ifmdm_jax.training import program

WHISPER = dict(audio='whisper_base', width=512)
MEL = dict(audio='mel', width=160)
OPTIMS = {  # clip_norm: of the whole gradient, 0: none
  'paper': dict(peak_lr=6.4e-5, schedule='constant', clip_norm=0.1),
  'lite': dict(peak_lr=1e-3, end_lr=5e-5, warmup_steps=50, clip_norm=1.0, frozen_paths=('audio/',)),
  'tiny': dict(peak_lr=1e-3, schedule='constant', clip_norm=1.0),
}
TRAIN = {
  'paper': dict(steps=100_000, batch=64, ema=0.9999),
  'lite': dict(steps=3_000, batch=4, ema=0.995, eval_every=250),
  'tiny': dict(steps=10, batch=4, ema=0.9),
}
SAMPLERS = {'paper': 'ddim200', 'lite': '1', 'tiny': '3'}  # steps, see diffusion.schedule.spacing
KIND = {'paper': 'paper', 'paper512': 'paper', 'lite': 'lite', 'tiny': 'tiny', 'tiny128': 'tiny'}


def get_config(size='lite'):
  kind = KIND[size]
  voice = MEL if kind == 'tiny' else WHISPER
  config = ml_collections.ConfigDict()
  config.model = dict(module='ifmdm_jax.systems.difftalk.model', **SIZES[size])
  config.model.update(
    autoencoder='' if kind == 'tiny' else 'runs/vq',  # run of stage 1; '': drawn at random
    speech_width=voice['width'],
    speech=voice['audio'],  # encoder of the voice
    standardise=kind != 'paper',  # its features, over each recording
    draws={'paper': 1, 'lite': 1, 'tiny': 2}[kind],  # noises and steps of each frame of a batch
    predicts='change' if kind == 'lite' else 'noise',
    weight_shown={'paper': 1.0, 'lite': 0.1, 'tiny': 1.0}[kind],
    noisiest=2 if kind == 'lite' else 1,
    picture_weight=6.0 if kind == 'lite' else 0.0,
    margin=-0.06 if kind == 'lite' else masks.MARGIN,  # of the polygon, see masks
    soft=0.04 if kind == 'lite' else masks.SOFT,
    black_from=masks.TRAINING if kind == 'lite' else masks.SAMPLING,  # landmark, in sampling
    detail=1.5 if kind == 'lite' else 0.0,  # see sampler.detailed
    timesteps=1000,
    first_beta=0.0015,  # the root of beta grows linearly
    last_beta=0.0195,
  )
  config.data = dict(
    module='ifmdm_jax.pipeline.sources.dub_frames',
    cache='runs/cache',  # made by ifmdm_jax.prepare
    size=SIZES[size].get('shot', SIZES[size]['image']),  # side that records are read at, pixels
    face=SIZES[size]['image'] if 'shot' in SIZES[size] else 0,  # side of the face, cut out of that
    gap=60,  # frames between a frame and its reference, at least
    audio=voice['audio'],
    standardise=config.model.standardise,
    augment=kind != 'paper',
    stills=0.0,
    licence='',  # only clips in whose licence this pattern is found
  )
  config.optim = dict(name='adamw', weight_decay=0.01, b1=0.9, b2=0.999, **OPTIMS[kind])
  config.train = program.defaults(seed=0, **TRAIN[kind])  # all of them: each is a flag
  config.sampler = dict(steps=SAMPLERS[kind], reference='fixed')
  config.mesh = dict(data=-1, fsdp=1, model=1)  # -1: all devices that are left
  config.sharding = [(r'.*', 'fsdp')]
  return config
