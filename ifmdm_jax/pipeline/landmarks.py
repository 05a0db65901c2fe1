"""Landmarks of a square as they are stored: whole numbers, 1/64 pixel of 512."""

import numpy as np

UNIT = 32768  # 0 is -1/2 side, 32768 is +1/2


def pack(fractions):
  """Rounds float [T, 468, 2], fractions of the side, to uint16; from -1/2 to 3/2 of the side."""
  return np.clip(np.round((fractions + 0.5) * UNIT), 0, 65535).astype(np.uint16)


def unpack(stored):
  """Returns the fractions that `pack` was given, float32."""
  return stored.astype(np.float32) / UNIT - 0.5
