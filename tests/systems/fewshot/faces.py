"""A face of 68 landmarks at plain places, among the points of the mesh."""

import numpy as np

from ifmdm_jax.face.points import IBUG, IBUG_PARTS


def landmarks(opening=0.03, shift=(0.0, 0.0)):
  """68 landmarks [68, 2], fractions of the side; `opening` of the inner lips."""
  points = np.zeros((68, 2), np.float32)
  put = lambda part, places: points.__setitem__(list(IBUG_PARTS[part]), places)
  ring = lambda n, x, y, a, b: [
    (x - a * np.cos(2 * np.pi * i / n), y - b * np.sin(2 * np.pi * i / n)) for i in range(n)
  ]
  put('jaw', [(0.5 - 0.3 * np.cos(a), 0.45 + 0.4 * np.sin(a)) for a in np.linspace(0, np.pi, 17)])
  put('left_brow', [(x, 0.32) for x in np.linspace(0.28, 0.44, 5)])
  put('right_brow', [(x, 0.32) for x in np.linspace(0.56, 0.72, 5)])
  put('nose_bridge', [(0.5, y) for y in np.linspace(0.4, 0.54, 4)])
  put('nose_base', [(x, 0.58) for x in np.linspace(0.45, 0.55, 5)])
  put('left_eye', ring(6, 0.37, 0.4, 0.05, 0.02))
  put('right_eye', ring(6, 0.63, 0.4, 0.05, 0.02))
  put('lips_outer', ring(12, 0.5, 0.7, 0.1, 0.03 + opening / 2))
  put('lips_inner', ring(8, 0.5, 0.7, 0.08, opening / 2))
  return points + np.float32(shift)


def mesh(opening=0.03, shift=(0.0, 0.0)):
  """The same within 468 points, the others in the middle of the face."""
  points = np.full((468, 2), 0.5, np.float32)
  points[IBUG] = landmarks(opening, shift)
  return points
