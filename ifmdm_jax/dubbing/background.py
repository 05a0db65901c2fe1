"""Keeps what is heard in a film beside its voice, where a program that separates them is installed.

Such a program registers itself:

  [project.entry-points."ifmdm_jax.separators"]
  mine = "my_package:background"      # (float32 [L, C], rate in Hz) -> the same without speech
"""

import importlib.metadata

import numpy as np
import soxr

from ifmdm_jax.audio import sound
from ifmdm_jax.errors import InputError

ENTRY_POINTS = 'ifmdm_jax.separators'  # group


def separator():
  """Returns the function that is installed.

  Raises:
    InputError: none is.
  """
  for each in importlib.metadata.entry_points(group=ENTRY_POINTS):
    return each.load()
  raise InputError(
    'expected a program that separates speech from the rest for --keep_background_audio, none is '
    f'installed (entry point {ENTRY_POINTS}): leave the flag out'
  )


def mixed(blocks, rate, film):
  """Adds the background of a film to blocks float32 [n, C] of its new voice; held in memory.

  Args:
    blocks: of the voice.
    rate: Hz.
    film: path.

  Yields:
    Blocks float32 [n, C].
  """
  old, old_rate = sound.read(film)
  old = old.reshape(len(old), -1)
  rest = np.asarray(separator()(old, old_rate), np.float32)
  if rest.shape != old.shape:
    raise InputError(f'expected a background of shape {old.shape}, got {rest.shape} from it')
  rest, start = soxr.resample(rest, old_rate, rate), 0
  channels = 1
  for block in blocks:
    channels = block.shape[1]
    yield block + _fitted(rest[start : start + len(block)], channels, len(block))
    start += len(block)
  if start < len(rest):
    yield _fitted(rest[start:], channels, len(rest) - start)


def _fitted(block, channels, count):
  """Brings a block to a number of channels and samples."""
  block = block if block.shape[1] == channels else np.repeat(block.mean(1)[:, None], channels, 1)
  return np.pad(block, ((0, count - len(block)), (0, 0)))
