"""What the denoiser reads of a frame besides pictures: 39 landmarks, and the voice around it.

Deviations from the published code, which are deliberate: landmarks are counted from the middle of
the picture in half sides, not in pixels; the voice is read by a multilingual encoder, 50 features a
second as DeepSpeech's, and AudioNet's first layer is as wide as that.
"""

import numpy as np

from ifmdm_jax.audio.blocks import NEIGHBOURS, STEPS, blocks
from ifmdm_jax.face.points import IBUG

# Of the 68: ends of the jaw, brows, nose, eyes. Chin and mouth would tell what is to be made.
KEPT = np.array([*range(4), *range(13, 48)])
LANDMARKS = IBUG[KEPT]


def landmarks(points):
  """Picks the 39 landmarks, counted from the middle in half sides: [..., N, 2] -> [..., 39, 2].

  Args:
    points: fractions of the side, in the order of the face mesh.
  """
  return (points[..., LANDMARKS, :] - 0.5) * 2


def voice(features, frames):
  """Cuts the voice of some frames: float32 [2T, A] -> [B, 8, 16, A]; see `audio.blocks`."""
  return blocks(features, frames, NEIGHBOURS, STEPS)
