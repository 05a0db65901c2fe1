"""A lid that comes down over an eye, where no frame of the shot shows one.

The eye is filled with the skin above and below it, smoothly; of that the part between the upper lid
and its new edge is seen, and lashes are a soft dark line at that edge.
"""

import cv2
import numpy as np

from ifmdm_jax.systems.ifmdm.autoencoder.lite import eyes
from ifmdm_jax.systems.ifmdm.dub import lend, warp

# Widths of the eye: room around it that lashes and their shadow take.
ABOVE, BELOW, BESIDE = 0.2, 0.12, 0.08
DEEPER = 0.05  # by which the edge of a closed lid is below the lower lid's points
SOFT, LASHES = 0.04, 0.04  # of the lid's edge, and how thick the line of lashes is
DARK = 0.65  # of that line
FILLED = 40  # pixels of an eye's width, of the small picture in which it is filled


def lower(result, mask, points, which, amount):
  """Lowers an upper lid, in place.

  Args:
    result: uint8 [S, S, 3].
    mask: what of it is new, float32 [S, S].
    points: of the face, [478, 2], pixels.
    which: 0 for the picture's left eye, 1 for its right one.
    amount: 0 as it is, 1 closed.
  """
  top, bottom, _, lids = eyes.EYES[which]
  ends = points[[lids.outer]], points[[lids.inner]]
  out = BESIDE * (ends[0] - ends[1])
  ends = ends[0] + out, ends[1] - out
  upper, below = (np.concatenate([ends[0], points[ring], ends[1]]) for ring in (top, bottom))
  width = float(np.linalg.norm(ends[0] - ends[1]))
  across = (ends[1] - ends[0])[0] / width
  down = np.array([-across[1], across[0]]) * (1 if across[0] > 0 else -1)
  arch = np.sin(np.linspace(0, np.pi, len(upper)))[:, None]
  edge = upper + amount * (below + DEEPER * width * arch * down - upper)
  whole = np.concatenate([upper - ABOVE * width * arch * down,
                          (below + BELOW * width * arch * down)[::-1]])  # fmt: skip
  box = warp.box_around(whole, len(result), round(0.35 * width) + 2)
  drawn = lambda outline: _filled(outline, box)
  colours = _skin(box.of(result), drawn(whole), width)
  lid = np.concatenate([upper - ABOVE * width * arch * down, edge[::-1]])
  share = cv2.GaussianBlur(drawn(lid), (0, 0), max(SOFT * width, 0.6))
  line = np.zeros(box.shape, np.float32)
  places = np.round((edge[1:-1] - (box.x0, box.y0) - 0.5) * 16).astype(np.int32)
  cv2.polylines(line, [places], False, 1.0, max(round(LASHES * width), 1), cv2.LINE_AA, 4)
  line = cv2.GaussianBlur(line, (0, 0), max(0.4 * SOFT * width, 0.8))
  line *= DARK * min(2 * amount, 1.0)
  colours = colours * (1 - line[..., None])
  lend.mix(box, result, mask, colours, np.maximum(share, line))


def _filled(outline, box):
  """Draws what an outline [P, 2] encloses: float32 [h, w]."""
  shape = np.zeros(box.shape, np.float32)
  places = np.round((outline - (box.x0, box.y0) - 0.5) * 16).astype(np.int32)
  cv2.fillPoly(shape, [places], 1.0, cv2.LINE_AA, 4)
  return shape


def _skin(picture, hole, width):
  """Fills a hole [h, w] of a picture uint8 [h, w, 3] from around it, smoothly: float32."""
  scale = min(FILLED / width, 1.0)
  size = tuple(max(round(side * scale), 8) for side in picture.shape[1::-1])
  small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
  unseen = (cv2.resize(hole, size, interpolation=cv2.INTER_AREA) > 0.02).astype(np.uint8)
  filled = cv2.inpaint(small, unseen, 3, cv2.INPAINT_NS).astype(np.float32)
  smooth = cv2.GaussianBlur(filled, (0, 0), 0.06 * FILLED)
  return cv2.resize(smooth, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
