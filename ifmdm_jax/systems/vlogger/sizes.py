"""The sizes of the video model, as `config.model` holds them: numbers and names alone.

  paper     128 px, clips of 16 frames
  paper256  128 -> 256 px, the second stage of the cascade
  paper512  256 -> 512 px, the third
  lite      64 px, clips of 8 frames
  tiny      16 px, for tests; tiny32 is to tiny what paper256 is to paper

What is published of `paper` is how its parts join; widths and frames of a clip are our choice.
`image` is the side of the frames, `low` that of the stage before (0: there is none), `clip` the
frames of a clip, `masks` the number of regions of the body, `prediction` what the network says, of
`diffusion.gaussian.PREDICTIONS`, where the noise is published; `frozen` whether the base stays as
its own stage left it; `residual` see `video`.
"""

_ALL = dict(masks=12, timesteps=1000, prediction='eps', frozen=True, residual=False)
_TINY = dict(
  _ALL,
  image=16,
  low=0,
  clip=4,
  unet=dict(width=16, multipliers=(1, 2), blocks=1, attention=(2,), head_width=16),
)
SIZES = {
  'paper': dict(
    _ALL,
    image=128,
    low=0,
    clip=16,
    unet=dict(width=128, multipliers=(1, 2, 4, 4), blocks=2, attention=(4, 8, 16), head_width=64),
  ),
  'paper256': dict(
    _ALL,
    image=256,
    low=128,
    clip=16,
    unet=dict(width=96, multipliers=(1, 2, 4, 4), blocks=2, attention=(16,), head_width=64),
  ),
  'paper512': dict(
    _ALL,
    image=512,
    low=256,
    clip=16,
    unet=dict(width=64, multipliers=(1, 2, 4, 4), blocks=2, attention=(), head_width=64),
  ),
  'lite': dict(
    _ALL | {'prediction': 'v', 'frozen': False, 'residual': True},
    image=64,
    low=0,
    clip=8,
    unet=dict(width=32, multipliers=(1, 2, 3), blocks=1, attention=(4,), head_width=32),
  ),
  'tiny': _TINY,
  'tiny32': dict(_TINY, image=32, low=16),
}

_ENCODER = dict(audio='whisper_base', audio_width=512)
_MOTION = dict(reach=2, timesteps=1_000)  # frames of the voice before and after each; of diffusion
MOTION = {  # of the motion model, as `config.model` of configs/vlogger_motion.py holds them
  'paper': dict(width=512, depth=4, heads=8, window=250, frames=250, **_ENCODER, **_MOTION),
  'lite': dict(width=192, depth=4, heads=6, window=250, frames=100, **_ENCODER, **_MOTION),
  'tiny': dict(
    width=32, depth=2, heads=2, window=12, frames=16, audio='mel', audio_width=160, **_MOTION
  ),
}
