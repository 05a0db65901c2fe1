"""Measures what an open mouth shows, on a picture: teeth, a tongue, dark; or nothing, a void.

A renderer that has never seen the inside of a mouth tends to fill it with a grey or skin-like
smear. That is no cavity, which is dark, no tongue or gum, which is red, and no tooth, which is
bright and has edges.
"""

import cv2
import numpy as np

from ifmdm_jax.evaluation.types import Metric
from ifmdm_jax.face import points

METRICS = {
  'interior_void': Metric(
    'down', '', 'pixels between the lips that are no teeth, no tongue and not dark', 3
  )
}
SKIN = [205, 425, 50, 280]  # points of the cheeks
# Lightness is in that of the cheeks, chroma in units of CIE Lab.
DARK = 0.3  # a cavity, below
BRIGHT = 0.85  # a tooth, above, where it is less coloured than skin: by the share PALE
PALE = 0.75
RED = 5.0  # more a* than the cheeks: tongue and gum, and lips
EDGE = 0.06  # deviation of lightness around a pixel, above: there is something to see
NEAR = 0.025  # heights of the face: what is around a pixel; within RIM of a lip its edge counts
RIM = 0.012
LEAST = (
  0.0025  # of the squared height of the face: an interior; a mouth that is hardly open has none
)


def interior(landmarks, shape):
  """Marks what lies between the inner lips, RIM away from them: bool of a picture's shape.

  Args:
    landmarks: [468, 2] in pixels of the picture.
    shape: (H, W).
  """
  ring = [*points.UPPER_LIP_INNER, *points.LOWER_LIP_INNER[-2:0:-1]]
  mask = np.zeros(shape, np.uint8)
  cv2.fillPoly(mask, [np.round(landmarks[ring] * 16 - 8).astype(np.int32)], 1, shift=4)
  radius = round(RIM * _height(landmarks))
  return cv2.erode(mask, np.ones((2 * radius + 1, 1), np.uint8)) > 0


def interior_void(picture, landmarks):
  """Measures how much of an open mouth is void, from 0 to 1.

  Void are pixels between the inner lips that are neither dark nor red nor bright and pale, nor at
  an edge: CIE Lab, held against the median of the cheeks in the same picture. Of 33 filmed people
  of split train, most open of 25 frames each, the mean is 0.10 and the median 0.04: blurred films
  and bright tongues. A grey picture has no red: there a tongue in full light would count.

  Args:
    picture: uint8 RGB [H, W, 3].
    landmarks: [468, 2], its face mesh in pixels.

  Returns:
    The share; 0 for a closed mouth.
  """
  inside = interior(landmarks, picture.shape[:2])
  if inside.sum() < LEAST * _height(landmarks) ** 2:
    return 0.0
  lightness, red, chroma, skin = _seen(picture, landmarks)
  size = 2 * round(NEAR * _height(landmarks) / 2) + 1
  mean = lambda x: cv2.blur(x, (size, size), borderType=cv2.BORDER_REPLICATE)
  around = np.maximum(mean(inside.astype(np.float32)), 1e-6)  # lips are no part of what is around
  middle = mean(lightness * inside) / around
  deviation = np.sqrt(np.maximum(mean(lightness**2 * inside) / around - middle**2, 0.0))
  tooth = (lightness > BRIGHT) & (chroma < PALE * max(skin, 1e-6))
  void = (lightness > DARK) & ~((red > RED) & (chroma > PALE * skin)) & ~tooth & (deviation < EDGE)
  return float((void & inside).sum() / inside.sum())


def _height(landmarks):
  return float(np.linalg.norm(landmarks[points.FOREHEAD] - landmarks[points.CHIN_TIP]))


def _seen(picture, landmarks):
  """Returns lightness over the cheeks', a* beyond theirs, chroma [H, W] each, and their chroma."""
  lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
  columns, rows = np.round(landmarks[SKIN]).astype(int).T
  height, width = picture.shape[:2]
  radius = max(1, round(0.03 * _height(landmarks)))
  patches = [
    lab[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1].reshape(-1, 3)
    for x, y in zip(np.clip(columns, 0, width - 1), np.clip(rows, 0, height - 1))
  ]
  skin = np.median(np.concatenate(patches), axis=0)
  chroma = np.hypot(lab[..., 1], lab[..., 2])
  return lab[..., 0] / max(skin[0], 1.0), lab[..., 1] - skin[1], chroma, np.hypot(*skin[1:])
