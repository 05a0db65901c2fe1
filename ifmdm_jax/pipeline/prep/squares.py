"""The square that is cut out of every frame, and where landmarks are in it."""

import numpy as np

from ifmdm_jax.face.crop import crop_square
from ifmdm_jax.face.points import smooth
from ifmdm_jax.rates import FPS


def squares_of(track, settings):
  """Places the square of every frame by `crop_square`, still or following the head slowly.

  A square that follows keeps its side, and moves by the head's path smoothed over time.

  Args:
    track: a `tracks.Track`.
    settings: `results.Settings`.

  Returns:
    int32 [T, 3]: x0, y0, side in pixels of the source.
  """
  x0, y0, side = crop_square(track.landmarks, track.shape, settings.face_fraction)
  squares = np.tile(np.array([x0, y0, side], np.int32), (len(track.landmarks), 1))
  if settings.smoothing:
    import scipy.ndimage  # most of the time that a worker takes to start

    centre = (track.landmarks.min(1) + track.landmarks.max(1)) / 2
    path = scipy.ndimage.gaussian_filter1d(smooth(centre), settings.smoothing * FPS, axis=0)
    squares[:, :2] += np.round(path - np.median(centre, axis=0)).astype(np.int32)
    room = np.array(track.shape[::-1]) - side
    squares[:, :2] = np.clip(squares[:, :2], np.minimum(0, room), np.maximum(0, room))
  return squares


def in_square(landmarks, squares):
  """Turns pixels of the source into fractions of the square, [T, 468, 2]."""
  return (landmarks - squares[:, None, :2]) / squares[:, None, 2:].astype(np.float32)
