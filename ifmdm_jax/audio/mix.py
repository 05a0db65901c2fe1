"""Mixes channels to one so that no voice is cancelled.

Of stereo the mid (L + R) / 2 is taken, or the side (L - R) / 2 where that has more energy, as in a
recording with one channel wired the wrong way round. Of more channels: each is turned the way the
loudest one runs, then those that are not silent are averaged, which for two is the same.
"""

import numpy as np

TIE = 0.01  # correlation within which two channels have nothing to do with each other
SILENT = 1e-6  # of the loudest channel's energy: such a channel does not count


class Gram:
  """Adds up how the channels of a recording go with each other."""

  def __init__(self):
    self._sums = {}  # channels -> float64 [C, C]

  def add(self, block):
    """Takes [n, C] samples."""
    block = np.asarray(block, np.float64)
    channels = block.shape[1]
    self._sums[channels] = self._sums.get(channels, 0.0) + block.T @ block

  def weights(self, channels):
    """Returns float32 [C] by which channels are weighted; their plain average if not known."""
    sums = self._sums.get(channels)
    if sums is None or not np.isfinite(sums).all() or not sums.any():
      return np.full(channels, 1 / channels, np.float32)
    energy = np.diag(sums)
    loudest = int(energy.argmax())
    counts = energy > SILENT * energy[loudest]
    against = sums[loudest] < -TIE * np.sqrt(energy * energy[loudest])
    signs = np.where(against, -1.0, 1.0)
    return (signs * counts / counts.sum()).astype(np.float32)


def mono(waveform):
  """Mixes a whole recording float [L, C] to [L]."""
  gram = Gram()
  gram.add(waveform)
  return apply(waveform, gram)


def apply(block, gram):
  """Mixes a part [n, C] of a recording, of which `gram` knows all, or all so far, to [n]."""
  if block.shape[1] == 1:
    return block[:, 0]
  return block @ gram.weights(block.shape[1])
