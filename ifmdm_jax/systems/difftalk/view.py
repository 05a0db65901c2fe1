"""What the networks are shown of the squares of a shot, and how what they draw comes back.

Published, a square is shown whole. Sizes with `shot` are shown the face alone, held still in its
own square (`face.steady`): the mouth has twice the pixels, and a reference lies on the frame.
"""

import cv2
import numpy as np

from ifmdm_jax.face import crop, steady

SHARP = dict(kernel=cv2.INTER_CUBIC)


class View:
  """Squares of one shot, as they are shown.

  Attributes:
    points: float32 [T, N, 2], landmarks in what is shown, fractions of its side.
    image: side of what is shown, pixels.
  """

  def __init__(self, points, size, image, still):
    """Places what is shown.

    Args:
      points: [T, N, 2], landmarks in the squares, pixels.
      size: side of the squares, pixels.
      image: side of what is shown, pixels.
      still: whether that is the face held still, or all, and then both sides are the same.
    """
    self.image, self._size, self._matrices = image, size, None
    if still:
      squares = steady.squares(points)
      points = steady.within(squares, points)
      self._matrices = [crop.indexed(matrix) for matrix in squares * image]
    else:
      points = points / size
    self.points = points.astype(np.float32)

  def show(self, pictures, start):
    """Shows the squares uint8 [t, S, S, 3] from frame `start` on: uint8 [t, image, image, 3]."""
    if self._matrices is None:
      return pictures
    matrices = self._matrices[start : start + len(pictures)]
    pairs = zip(pictures, matrices, strict=True)
    return np.stack([crop.warp(*each, self.image, **SHARP) for each in pairs])

  def back(self, pictures, masks, start):
    """Brings pictures, and masks float32 [t, image, image], into the squares they are of."""
    if self._matrices is None:
      return pictures, masks
    matrices, size = self._matrices[start : start + len(pictures)], self._size
    pairs = zip(pictures, matrices, strict=True)
    drawn = [crop.warp(*each, size, inverse=True, **SHARP) for each in pairs]
    edge = dict(inverse=True, edge=cv2.BORDER_CONSTANT)
    shares = [crop.warp(*each, size, **edge) for each in zip(masks, matrices, strict=True)]
    return np.stack(drawn), np.stack(shares)
