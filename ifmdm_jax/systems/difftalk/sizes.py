"""The sizes of the networks, as `config.model` holds them: numbers and names alone.

  paper     the published layout at 256 px: autoencoder f = 4, U-Net of 530 million parameters
  paper512  the same U-Net over the same 64 x 64 x 3 latents, of 512 px by an autoencoder f = 8,
            whose layout is not published: latent diffusion's vq-f8 without attention in the levels
  lite      128 px of the face alone; 10.2 MB in half precision; trains on two CPU cores
  tiny      64 px, for tests; tiny128 is to tiny what paper512 is to paper

`shot`, where a size has it, is the side of the squares of a film out of which the face is cut, held
still (`view`); all others are shown squares whole. `image` is the picture's side in pixels,
`latent` that of its latents, `speech_width` that of one speech feature (29 of DeepSpeech's
characters, as published; 160, 512 of `audio.features`'s 'mel', 'whisper_base'). Nothing is scaled
between the two stages: the latents' factor is 1.
"""

_PAPER = dict(
  image=256,
  latent=64,
  vq=dict(width=128, multipliers=(1, 2, 4), blocks=2, entries=8192, channels=3),
  unet=dict(width=256, multipliers=(1, 2, 3, 4), blocks=2, attention=(2, 4, 8), head_width=32),
  audio=dict(channels=(32, 32, 64, 64), features=64),
  landmarks=dict(hidden=128, features=64, units='normalised', tokens=13),
  speech_width=29,
  context='single',
)
_TINY = dict(
  image=64,
  latent=16,
  vq=dict(width=16, multipliers=(1, 2, 4), blocks=1, entries=256, channels=3),
  unet=dict(width=32, multipliers=(1, 2, 2), blocks=1, attention=(2, 4), head_width=16),
  audio=dict(channels=(16, 16, 32, 32), features=16),
  landmarks=dict(hidden=32, features=16, units='normalised', tokens=13),
  speech_width=160,
  context='single',
)


def _doubled(size):
  """Doubles the picture's side by one more level of the autoencoder; the rest stays."""
  first, *others = size['vq']['multipliers'][:-1]
  vq = dict(size['vq'], multipliers=(first, *others, others[-1], size['vq']['multipliers'][-1]))
  return dict(size, image=2 * size['image'], vq=vq)


SIZES = {
  'paper': _PAPER,
  'paper512': _doubled(_PAPER),
  'lite': dict(
    shot=256,
    image=128,
    latent=32,
    vq=dict(width=24, multipliers=(1, 2, 3), blocks=1, entries=1024, channels=3),
    unet=dict(width=48, multipliers=(1, 2, 2), blocks=1, attention=(2, 4), head_width=32),
    audio=dict(channels=(32, 32, 64, 64), features=64),
    landmarks=dict(hidden=128, features=64, units='normalised', tokens=13),
    speech_width=512,
    context='tokens',
  ),
  'tiny': _TINY,
  'tiny128': _doubled(_TINY),
}
