"""The voice of a file at 16 kHz, on disk: an hour of it costs no memory."""

import pathlib

import numpy as np

from ifmdm_jax import media
from ifmdm_jax.errors import InputError
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.video import read

PER_FRAME = SAMPLE_RATE // FPS


class Sound:
  """int16 [L] at 16 kHz in a file; slices are read when asked for, not mapped: maps count as
  memory, page by page."""

  def __init__(self, path):
    self.path = pathlib.Path(path)

  def __len__(self):
    return self.path.stat().st_size // 2

  def __getitem__(self, part):
    start, stop, _ = part.indices(len(self))
    return np.fromfile(self.path, np.int16, max(0, stop - start), offset=2 * start)


def extract(video, path, flaws=None):
  """Writes the sound of a video to `path`, time zero that of the pictures.

  What a broken sound track has said until it breaks counts; `flaws` (`media.Flaws`) tells of it.

  Returns:
    `Sound`, or None: there is none.
  """
  flaws = media.Flaws() if flaws is None else flaws
  try:
    with open(path, 'wb') as file:
      for block in read.mono_blocks(video, SAMPLE_RATE, flaws=flaws):
        file.write(np.clip(np.round(block * 32767), -32768, 32767).astype(np.int16).tobytes())
  except media.MissingStream:
    pass
  except InputError as error:
    flaws.broken = str(error).replace(str(video), 'it')
  return Sound(path) if path.stat().st_size else None
