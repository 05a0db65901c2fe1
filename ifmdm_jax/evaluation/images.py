"""Paired picture metrics on uint8 frames."""

import numpy as np

from ifmdm_jax import face_mesh


def psnr(a, b):
  """Peak signal-to-noise ratio of uint8 pictures [..., H, W, 3]: dB [...], at most 100."""
  error = np.square(a.astype(np.float64) - b.astype(np.float64)).mean((-3, -2, -1))
  with np.errstate(divide='ignore'):
    return np.minimum(100.0, 10 * np.log10(255.0**2 / error))


def mouth_box(points, side, margin=0.3):
  """Rows and columns of the lips' box, widened by a share of its longer side.

  Args:
    points: landmarks [468, 2] as fractions of the side.
    side: of the picture, pixels.

  Returns:
    (slice, slice).
  """
  low, high = points[face_mesh.LIPS].min(0), points[face_mesh.LIPS].max(0)
  room = margin * (high - low).max()
  (x_0, y_0), (x_1, y_1) = np.clip([low - room, high + room], 0, 1)
  pixel = lambda f: int(round(f * side))
  return slice(pixel(y_0), max(pixel(y_1), pixel(y_0) + 1)), slice(
    pixel(x_0), max(pixel(x_1), pixel(x_0) + 1)
  )
