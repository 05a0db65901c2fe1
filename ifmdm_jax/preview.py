"""What a run shows of a fixed validation set while it trains: videos with sound, histograms.

The trainer calls it by the name in config.preview, which says how many clips and seconds of each.
What draws is the generator that users of the trained weights get, see `generator.System.preview`.
"""

import numpy as np

from ifmdm_jax import generator
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import records
from ifmdm_jax.rates import FPS, SAMPLE_RATE


def videos(params, config):
  """Draws the first clips of split `val`, shown to the generator as far as it needs.

  Yields:
    (name, frames uint8 [T, S, S, 3], waveform float32 [L], 16000).
  """
  draws = _system(config).preview(params, config)
  for clip in records.clips(config.data.cache, 'val')[: config.preview.clips]:
    voice = _voice(clip, config.preview.seconds)
    frames = clip.frames[: len(voice) * FPS // SAMPLE_RATE]
    clip = Clip(name=clip.name, image=np.asarray(frames[0]), waveform=voice, frames=frames)
    blocks = draws.generate(clip.restricted(draws.needs))
    yield clip.name, np.concatenate(list(blocks)), voice, SAMPLE_RATE


def histograms(params, batch, config):
  """Returns {name: numbers} of a batch, see `generator.System.histograms`."""
  return _system(config).histograms(params, batch, config)


def _system(config):
  system, _ = generator.trainable(config.model.module)
  if system.preview is None:
    raise InputError(
      f'{config.model.module} is of a system without previews: leave config.preview out'
    )
  return system


def _voice(clip, seconds):
  """Returns the first seconds of a clip's voice, no longer than its frames."""
  voice = clip.waveform
  length = min(round(seconds * SAMPLE_RATE), len(clip.frames) * SAMPLE_RATE // FPS)
  if voice is None:
    print(f'note: {clip.name} has no voice: its preview is silent')
    voice = np.zeros(length, np.float32)
  return voice[:length]
