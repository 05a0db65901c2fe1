"""Talking heads in JAX: one portrait and one voice in, a talking video out.

  import ifmdm_jax as ifm

  image = ifm.read_portrait('me.jpg')                 # a square around the face
  voice, rate = ifm.read_voice('hello.wav')
  frames = ifm.load()(image, voice, rate)             # uint8 [T, 512, 512, 3], 25 per second
  ifm.video.write('talk.mp4', frames, voice, rate)    # H.264 and AAC, plays in a browser

`ifm.load()('me.jpg', 'hello.wav')` gives the same frames.
"""

import importlib

__version__ = '0.2.0'
_PUBLIC = {  # name -> module that has it; None: the name is a module
  'load': 'ifmdm_jax.bundle',
  'read_portrait': 'ifmdm_jax.read',
  'read_voice': 'ifmdm_jax.read',
  'Sampler': 'ifmdm_jax.systems.ifmdm.sampler',
  'video': None,
}
__all__ = list(_PUBLIC)


def __getattr__(name):
  # On demand: importing the package costs nothing and needs no video library.
  if name not in _PUBLIC:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  if _PUBLIC[name] is None:
    return importlib.import_module(f'{__name__}.{name}')
  return getattr(importlib.import_module(_PUBLIC[name]), name)
