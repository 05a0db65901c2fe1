"""IF-MDM in JAX: one portrait and one voice in, a talking video out.

import ifmdm_jax as ifm

sampler = ifm.load()                              # the bundled weights, or ifm.load('runs/motion')
frames = sampler(image, waveform, seed=0)         # uint8 [T, 512, 512, 3], T = round(seconds * 25)
ifm.video.write('out.mp4', frames, waveform)      # H.264 and AAC, plays in a browser
"""

import importlib

__version__ = '0.1.0'
__all__ = ['Sampler', 'load', 'video']


def __getattr__(name):
  # On demand: importing the package costs nothing and needs no video library.
  if name == 'load':
    return importlib.import_module('ifmdm_jax.bundle').load
  if name == 'Sampler':
    return importlib.import_module('ifmdm_jax.systems.ifmdm.sampler').Sampler
  if name == 'video':
    return importlib.import_module('ifmdm_jax.video')
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
