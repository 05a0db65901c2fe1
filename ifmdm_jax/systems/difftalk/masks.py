"""Masks of the lower face: what the networks are not shown, and what is generated.

  training    black at and below the tip of the nose (landmark 30 of 68), the whole width
  sampling    black at and below the base of the nose (landmark 33); generated is a polygon through
              the jaw, 2 to 14, and 33, drawn at full resolution and resized to the latent

The black half says nothing of the lips. A polygon that followed the jaw would: see `outlines`.

Landmarks are fractions of the side, [..., 468 or 478, 2] in the order of the face mesh; its points
nearest to the 68 of iBUG stand for them.
"""

import cv2
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from ifmdm_jax.face import align
from ifmdm_jax.face.points import IBUG, LOWER_FACE, RIGID, eye_distance

TRAINING, SAMPLING = 30, 33  # landmarks at whose height the black begins
MARGIN, SOFT = 0.12, 0.08  # in distances of the eyes, where a config says nothing else
REACHES = {'margin': MARGIN, 'soft': SOFT}
WINDOW = 51  # frames, two seconds
BLACK = -1.0  # of pictures in [-1, 1]
FINE = 4  # fractions of a pixel that the polygon's corners are rounded to, as a power of two


def visible(points, side, landmark):
  """Returns which rows are shown, those above a landmark of the 68: bool [B, side, 1, 1].

  Args:
    points: [B, N, 2], fractions of the side.
    side: pixels.
    landmark: TRAINING or SAMPLING.
  """
  row = jnp.floor(points[:, IBUG[landmark], 1] * side).astype(jnp.int32)
  return jnp.arange(side)[None, :, None, None] < row[:, None, None, None]


def black_out(image, points, landmark):
  """Blackens a picture [B, S, S, 3] in [-1, 1] at and below a landmark, the whole width."""
  shown = visible(points, image.shape[1], landmark)
  return jnp.where(shown, image, jnp.asarray(BLACK, image.dtype))


def outlines(points, window=WINDOW):
  """Places the polygon's corners in every frame of a shot: float64 [T, 14, 2], fractions.

  The published polygon follows the jaw from frame to frame, and so its outline, and the skin that
  it leaves, say how far the mouth is open. Here the head is held still, every corner is taken as
  far from the base of the nose as it is anywhere in the window, and moves with the head alone.

  Args:
    points: [T, N, 2], fractions of the side.
    window: frames; 1: the published polygon of each frame by itself.
  """
  rigid, corners = (np.asarray(points[:, each], np.float64) for each in (RIGID, LOWER_FACE))
  still = np.broadcast_to(np.median(rigid, axis=0), rigid.shape)
  held = align.similarity(rigid, still)(corners)
  away = held - held[:, -1:]
  mean = ndimage.uniform_filter1d(away, window, axis=0, mode='nearest')
  length = np.linalg.norm(mean, axis=-1, keepdims=True)
  along = mean / np.maximum(length, 1e-9)
  reach = (away * along).sum(-1, keepdims=True)
  reach = ndimage.maximum_filter1d(reach, window, axis=0, mode='nearest')
  reach = ndimage.uniform_filter1d(reach, window, axis=0, mode='nearest')
  base = ndimage.uniform_filter1d(held[:, -1:], window, axis=0, mode='nearest')
  return align.similarity(still, rigid)(base + along * reach)


def polygon(corners, side, reach):
  """Fills a polygon: float32 [side, side], 1 inside.

  Args:
    corners: [P, 2], fractions of the side.
    side: pixels.
    reach: pixels by which it is widened, or, below 0, narrowed.
  """
  corners = np.asarray(corners, np.float64) * side - 0.5
  mask = np.zeros((side, side), np.uint8)
  cv2.fillPoly(mask, [np.round(corners * 2**FINE).astype(np.int32)], 1, shift=FINE)
  radius = abs(round(reach))
  if radius:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    mask = cv2.dilate(mask, disc) if reach > 0 else cv2.erode(mask, disc)
  return mask.astype(np.float32)


def unit(points, side):
  """Measures the median distance of the outer corners of the eyes of [T, N, 2], pixels."""
  return float(np.median(eye_distance(np.asarray(points, np.float64)))) * side


def soften(mask, reach):
  """Fades a mask [S, S] outwards: 1 where it was, 0 from `reach` pixels on, smooth between."""
  if reach <= 0:
    return mask
  away = cv2.distanceTransform((mask < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
  share = np.clip(1 - away / reach, 0, 1)
  return np.float32(share * share * (3 - 2 * share))


def keep(mask, side):
  """Resizes a polygon [S, S] to the latent: float32 [side, side, 1], 1 keep, 0 generate.

  What the polygon touches is generated, so that no cell of the latent that knows the old mouth is
  kept.
  """
  factor = len(mask) // side
  cells = mask[: side * factor, : side * factor].reshape(side, factor, side, factor)
  return np.float32(cells.max((1, 3)) == 0)[..., None]
