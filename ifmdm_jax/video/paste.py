"""The generated square back into the picture it was cut from."""

import cv2
import numpy as np


class Paster:
  """`paster(frame)` puts a frame [S, S, 3] where the square was; the edge fades over `feather`.

  Where the square ends at the picture's own border nothing fades: there is nothing to meet.
  """

  def __init__(self, picture, square, feather=0.06):
    """`picture`: uint8 [H, W, 3]; `square`: (x0, y0, side); `feather`: share of the side."""
    self.picture = picture
    self.x0, self.y0, self.side = square
    height, width = picture.shape[:2]
    self.inside = (
      slice(max(0, self.y0), min(height, self.y0 + self.side)),
      slice(max(0, self.x0), min(width, self.x0 + self.side)),
    )
    rows, columns = (np.arange(part.start, part.stop) for part in self.inside)
    ramp_y = self._ramp(rows - self.y0, self.y0 > 0, self.y0 + self.side < height, feather)
    ramp_x = self._ramp(columns - self.x0, self.x0 > 0, self.x0 + self.side < width, feather)
    self.mask = (ramp_y[:, None] * ramp_x[None, :])[..., None]  # [h, w, 1]
    self.behind = picture[self.inside] * (1 - self.mask)

  def _ramp(self, place, fade_low, fade_high, feather):
    """0 at a fading end, 1 inside, a smooth step between."""
    reach = max(1.0, feather * self.side)
    low = np.clip((place + 0.5) / reach, 0, 1) if fade_low else np.ones(len(place))
    high = np.clip((self.side - place - 0.5) / reach, 0, 1) if fade_high else np.ones(len(place))
    ramp = np.minimum(low, high)
    return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)

  def __call__(self, frame):
    """uint8 [H, W, 3], a new array."""
    method = cv2.INTER_AREA if self.side < frame.shape[0] else cv2.INTER_CUBIC
    patch = cv2.resize(frame, (self.side, self.side), interpolation=method)
    rows, columns = self.inside
    patch = patch[
      rows.start - self.y0 : rows.stop - self.y0, columns.start - self.x0 : columns.stop - self.x0
    ]
    result = self.picture.copy()
    result[self.inside] = np.round(patch * self.mask + self.behind).astype(np.uint8)
    return result
