"""Holds a face still: the square around it, upright as its shot is, that moves as the head does.

What is left in such squares is what the face itself does. Two frames of a shot lie on each other,
so that a network that reads one beside the other need not search.
"""

import numpy as np

from ifmdm_jax.face import align
from ifmdm_jax.face.points import CHIN, OVAL, RIGID, eye_distance

MARGIN = 0.08  # beyond the jaw, in distances of the eyes
ABOVE = 0.25  # of the side: where the middle of the eyes' line lies
LOWEST = 98  # percentile of a shot's frames whose chins fit in


def squares(landmarks):
  """Places the square of every frame of a shot: float64 [T, 2, 3], from places to its fractions.

  All squares of a shot hold the same face at the same size: rigid points go where they lie in the
  shot's median frame. The jaw fits in, and the chin with `MARGIN`.

  Args:
    landmarks: [T, N, 2], places of one face in one unit of length; none is missing.
  """
  track = np.asarray(landmarks, np.float64)
  still = np.median(track[:, RIGID], axis=0)
  held = align.similarity(track[:, RIGID], np.broadcast_to(still, (len(track), *still.shape)))
  shape = held(track)
  unit = float(np.median(eye_distance(track)))
  oval = np.median(shape[:, OVAL], axis=0)
  width = np.ptp(oval[:, 0])
  eyes = np.median(shape[:, RIGID, 1])
  chin = np.percentile(shape[:, CHIN, 1].max(1), LOWEST) + MARGIN * unit
  side = max(width, (chin - eyes) / (1 - ABOVE))
  corner = np.array([(oval[:, 0].min() + oval[:, 0].max() - side) / 2, chin - side])
  matrices = held.matrix
  matrices[:, :, 2] -= corner
  return matrices / side


def within(squares, landmarks):
  """Moves landmarks [T, N, 2] into the squares of `squares`: fractions of their sides."""
  linear, shift = squares[:, None, :, :2], squares[:, None, :, 2]
  return (linear @ np.asarray(landmarks, np.float64)[..., None])[..., 0] + shift
