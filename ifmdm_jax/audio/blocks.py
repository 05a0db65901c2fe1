"""Cuts the blocks of speech features that a network reads for one video frame.

Of every frame there is a window of `steps` features, centred on it, and of its neighbours too. The
features are of the whole recording, encoded once; nothing is cut before it is encoded.
"""

import numpy as np

NEIGHBOURS, STEPS = 8, 16  # frames whose windows make a block; features of a window, 50 a second


def places(frames, count, neighbours=NEIGHBOURS, steps=STEPS):
  """Returns which features each block holds, as places in `padded` features: int [B, N, W].

  Neighbours are -3 to +4 frames away, for 8; at the ends of the recording the first and the last
  frame stand for those beyond.

  Args:
    frames: int [B], which frames.
    count: T, frames of the recording.
    neighbours: N.
    steps: W, features of a window; frame t's is centred on feature 2t.
  """
  offsets = np.arange(neighbours) - (neighbours - 1) // 2
  centres = np.clip(np.asarray(frames)[:, None] + offsets, 0, count - 1)
  return 2 * centres[..., None] + np.arange(steps)


def padded(features, steps=STEPS):
  """Puts half a window of zeros before and after features [2T, A]: [2T + W, A]."""
  half = steps // 2
  return np.pad(features, ((half, steps - half), (0, 0)))


def standardised(features):
  """Brings every number of features [T, A] to mean 0 and deviation 1 over the recording."""
  return (features - features.mean(0)) / (features.std(0) + 1e-3)


def blocks(features, frames, neighbours=NEIGHBOURS, steps=STEPS):
  """Cuts the blocks of some frames.

  Args:
    features: float32 [2T, A], two a frame.
    frames: int [B].
    neighbours, steps: see `places`.

  Returns:
    float32 [B, N, W, A].
  """
  count = len(features) // 2
  return padded(features, steps)[places(frames, count, neighbours, steps)]
