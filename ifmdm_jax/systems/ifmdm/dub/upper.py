"""The upper face: brows move, and eyes open or close as another frame of the shot shows them.

What a closed eye hides no warp can show, and what an open one hides neither: it comes from the
nearest frames of the shot that show it, held by the corners of the eye, in this frame's light.
Where no frame shows an eye closed, and while it closes, its lid is a smooth surface between the
skin above and below (`lids`).
"""

import cv2
import jax
import numpy as np

from ifmdm_jax.face import units
from ifmdm_jax.face.points import (
  BROWS,
  EYES,
  LEFT_IRIS,
  LEFT_LIDS,
  LIDS,
  MIRROR,
  OVAL,
  POINTS,
  RIGHT_IRIS,
)
from ifmdm_jax.systems.ifmdm.autoencoder.lite import eyes, surface
from ifmdm_jax.systems.ifmdm.dub import face, lend, lids, paint, warp

STEP = 2  # pixels of the picture for each of the mesh's
USUAL = 75  # percentile of a shot's openings that counts as open
NARROW, OPEN = 0.7, 0.9  # of the usual opening: another frame's eye, and none
LACKS = 0.25  # share of the wanted opening that is missing, from which all comes from another frame
DONOR = 0.85  # of the usual opening, that a frame has to show to lend its open eyes
SHUT = 0.4  # and at most to lend closed ones
BARELY = 0.25, 0.45  # of it, where nothing is left to close, and all
GOING, GONE = 0.5, 0.9  # of the way to closed, from which the lent eye comes, and is all
WIDER = 0.35  # by which lids are drawn apart, at most
FAR = 25.0  # degrees of the head, from which on no eye is lent
SHIFT = 0.2, 0.1  # widths of the eye by which irises are moved
# Of the left eye: what stays where it is while it blinks, and how far that is trusted.
HELD = np.array([33, 133, 70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 228, 229, 230, 231, 232, 143,
                 35, 193, 168, 122])  # fmt: skip
TRUST = np.array([6.0] * 2 + [0.5] * 10 + [1.0] * 10)
# Its outline in the mask, from the outer corner along the brow and back below.
OUTLINE = np.array([130, 247, 30, 29, 27, 28, 56, 190, 243, 112, 26, 22, 23, 24, 110, 25])
PARTS = tuple(
  lend.Part(mirror[HELD], TRUST, mirror[OUTLINE], (eye.outer, eye.inner), 0.09, 0.07)
  for mirror, eye in zip((np.arange(POINTS), MIRROR), LIDS)
)
RINGS = np.unique(np.concatenate([EYES, *[ring for each in eyes._RINGS for ring in each]]))


def _shares():
  """How far points of the upper face follow, [468]: brows and forehead, not eyes and outline."""
  brow, lid = MEAN_Y[BROWS].max(), MEAN_Y[[LEFT_LIDS.upper]].mean()
  share = face.ease((lid - MEAN_Y) / max(lid - brow, 1e-6))
  share[RINGS] = 0.0
  share[OVAL] = 0.0
  return share


MEAN_Y = face.MEAN[:, 1]
SHARES = _shares()
LOOK = jax.jit(eyes.look)


class Eyes:
  """Eyes and brows of a shot, as they are to be drawn."""

  def __init__(self, own, landmarks, times, poses, blocks):
    """Decides which frames lend their eyes, and reads those.

    Args:
      own: [T, 478, 2], pixels.
      landmarks: wanted, [T, 478, 2].
      times: [T], seconds.
      poses: `face.Poses`.
      blocks: of the shot, a function that iterates over them.
    """
    self._own, self._landmarks, self._poses = own, landmarks, poses
    self._is, self._wanted = units.opening(own), units.opening(landmarks)  # [T, 2]
    self._wanted = np.where(np.abs(self._wanted - self._is) < 1e-3, self._is, self._wanted)
    usual = np.percentile(self._is, USUAL, axis=0)
    share = self._is / np.maximum(usual, 1e-6)
    shut = face.ease((OPEN - share) / (OPEN - NARROW))
    lacks = (self._wanted - self._is) / np.maximum(LACKS * self._wanted, 1e-6)
    ratio = self._wanted / np.maximum(self._is, 1e-6)
    self._wider = (1 - shut) * np.clip(ratio - 1, 0, WIDER)
    left = face.ease((share - BARELY[0]) / (BARELY[1] - BARELY[0]))
    self._closed = left * (1 - np.clip(ratio, 0, 1))
    common = poses.angles, np.asarray(times), FAR
    self._opens = lend.Lending(
      shut * face.ease(lacks), share.min(1) >= DONOR, 4 * np.abs(share - 1).mean(1), *common
    )
    going = face.ease((self._closed - GOING) / (GONE - GOING))
    self._closes = lend.Lending(going, share.max(1) <= SHUT, 4 * share.max(1), *common)
    around = np.concatenate([HELD, MIRROR[HELD], RINGS])
    lenders = self._opens.lenders | self._closes.lenders
    self.glances = lend.glances(lenders, own, around, blocks)

  def paint(self, picture, number):
    """Paints one frame: uint8 [S, S, 3] -> the same, and what of it is new, float32 [S, S]."""
    result, mask = self._warp(picture, number)
    for which in (0, 1):
      lent = self._closes.of(number, which)
      if self._closed[number, which] > 0 and lent < 1:
        lids.lower(result, mask, self._own[number], which, self._closed[number, which])
    for lending in (self._opens, self._closes):
      sources = [(self.glances[each], part) for each, part in lending.sources(number)]
      for which in (0, 1) if sources else ():
        if share := lending.of(number, which):
          look = self._looking(number, which) if lending is self._opens else None
          lend.lay(result, mask, self._own[number], PARTS[which], share, sources, look)
    return result, mask

  def _warp(self, picture, number):
    """Moves brows, and lids apart, by the frame's own pixels."""
    mask = np.zeros(picture.shape[:2], np.float32)
    own = self._own[number, :POINTS].astype(np.float64)
    places = own + SHARES[:, None] * (self._landmarks[number, :POINTS] - own)
    for more, (upper, lower, skin, _) in zip(self._wider[number], eyes.EYES):
      way = more * eyes.ROUND[:, None] * (own[lower] - own[upper])
      places[upper] -= way
      places[skin] -= 0.6 * way
    ways = places - own
    if np.abs(ways).max() < paint.STILL:
      return picture.copy(), mask
    view, scale = self._poses.view[number], float(self._poses.scale[number])
    chosen = surface.TRIANGLES[(np.abs(ways).max(1) > 1e-3)[surface.TRIANGLES].any(1)]
    soft = max(round(paint.SEAM * scale / STEP), 1)
    side = len(picture)
    box = warp.box_around(places[chosen.ravel()], side, STEP * (2 * soft + 2), STEP)
    depth = (face.MEAN @ view)[chosen].mean(1) / scale
    inside = np.isin(chosen, EYES).all(1)  # behind the lids
    order = np.argsort(-depth - inside, kind='stable')
    flow, _ = warp.interpolated(places, ways, chosen[order], box, STEP)
    flow = np.stack([cv2.blur(part, (3, 3), borderType=cv2.BORDER_CONSTANT) for part in flow])
    share = np.clip((np.abs(flow).max(0) - paint.STILL) / (paint.FULL - paint.STILL), 0.0, 1.0)
    width = 2 * soft + 1
    share = cv2.blur(cv2.dilate(share, np.ones((width, width), np.uint8)), (width, width))
    edge = paint.border(side, box)
    enlarged = lambda part: edge * cv2.resize(part, box.shape[::-1])
    flow, share = np.stack([enlarged(part) for part in flow]), enlarged(share)
    result = picture.copy()
    lend.mix(box, result, mask, paint.warped(picture, box, flow), share)
    return result, mask

  def _looking(self, number, which):
    """Returns what leads the gaze of another frame's eye to that of a frame."""

    def look(glance, grid):
      goes = _gaze(self._landmarks[number], which) - _gaze(glance.points, which)
      goes = np.clip(goes, -np.array(SHIFT), SHIFT)
      gestures = np.array([[0.0, 0.0, *goes]], np.float32)
      points = np.float32(glance.points[None])
      irises = points[:, [LEFT_IRIS[0], RIGHT_IRIS[0]]]
      return np.asarray(LOOK(points[:, :POINTS], irises, np.float32(grid[None]), gestures))[0]

    return look


def _gaze(points, which):
  """Measures where an iris stands, [2], widths of the eye to the picture's right and down."""
  eye, iris = eyes.EYES[which][3], (RIGHT_IRIS if which else LEFT_IRIS)[0]
  left, right = (eye.inner, eye.outer) if which else (eye.outer, eye.inner)
  across = points[right] - points[left]
  down = np.array([-across[1], across[0]])
  away = points[iris] - (points[left] + points[right]) / 2
  return np.array([away @ across, away @ down]) / max(across @ across, 1e-6)
