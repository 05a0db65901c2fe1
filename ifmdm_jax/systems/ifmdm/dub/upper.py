"""The upper face: brows move, and eyes open or close as another frame of the shot shows them.

What a closed eye hides no warp can show, and what an open one hides neither: it comes from the
nearest frames of the shot that show it, held by the corners of the eye, in this frame's light.
Where no frame shows an eye closed, and while it closes, its lid is a smooth surface between the
skin above and below (`lids`).
"""

from typing import NamedTuple

import cv2
import jax
import numpy as np

from ifmdm_jax.face import units
from ifmdm_jax.face.points import (
  BROWS,
  EYES,
  LEFT_LIDS,
  MIRROR,
  OVAL,
  POINTS,
)
from ifmdm_jax.systems.ifmdm.autoencoder.lite import eyes, surface
from ifmdm_jax.systems.ifmdm.dub import face, lids, paint, warp

STEP = 2  # pixels of the picture for each of the mesh's
USUAL = 75  # percentile of a shot's openings that counts as open
NARROW, OPEN = 0.7, 0.9  # of the usual opening: another frame's eye, and none
LACKS = 0.25  # share of the wanted opening that is missing, from which all comes from another frame
DONOR = 0.85  # of the usual opening, that a frame has to show to lend its open eyes
SHUT = 0.4  # and at most to lend closed ones
GOING, GONE = 0.5, 0.9  # of the way to closed, from which the lent eye comes, and is all
WIDER = 0.35  # by which lids are drawn apart, at most
NEAR_TIME, NEAR_TURN, FAR_TURN = 0.4, 6.0, 25.0  # seconds and degrees of frames as unlike, and none
BRIDGED = 2  # frames between two runs that are one
CHANGE = 10  # frames in which the eye before becomes the eye after, at most
SHIFT = 0.2, 0.1  # widths of the eye by which irises are moved
BOX = 64  # pixels, of which boxes are multiples: few programs are compiled
# Of the left eye: what stays where it is while it blinks, and how far that is trusted.
HELD = np.array([33, 133, 70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 228, 229, 230, 231, 232, 143,
                 35, 193, 168, 122])  # fmt: skip
TRUST = np.array([6.0] * 2 + [0.5] * 10 + [1.0] * 10)
# Its outline in the mask, from the outer corner along the brow and back below.
OUTLINE = np.array([130, 247, 30, 29, 27, 28, 56, 190, 243, 112, 26, 22, 23, 24, 110, 25])
ROOM, BLUR = 0.09, 0.07  # widths of the eye: the mask goes so far beyond, and is so soft
LIGHT = 0.8, 1.25  # by which another frame's colours are brought to this one's
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


class Glance(NamedTuple):
  """The eyes of a frame of the shot."""

  picture: np.ndarray  # uint8 [h, w, 3]
  corner: np.ndarray  # [2], its place in the frame
  points: np.ndarray  # [478, 2], in the frame


class Run(NamedTuple):
  """Consecutive frames whose eyes come from others."""

  start: int
  stop: int
  before: int  # number of the frame, -1: none
  after: int

  def sources(self, number):
    """Lists (frame that lends, share) for one of them."""
    if min(self.before, self.after) < 0:
      return [(max(self.before, self.after), 1.0)]
    count = self.stop - self.start
    place = (number - self.start + 0.5 - count / 2) / min(count, CHANGE) + 0.5
    share = float(face.ease(place))
    both = (self.before, 1.0 - share), (self.after, share)
    return [(each, part) for each, part in both if part > 0.01]


class Lending:
  """Which frames of a shot need the eyes of others.

  Attributes:
    shares: [T, 2], how far, of either eye.
    runs: list of `Run`.
  """

  def __init__(self, shares):
    self.shares, self.runs = shares, []

  def run(self, number):
    """Returns the `Run` of a frame, where another one lends it its eyes; else None."""
    runs = (run for run in self.runs if run.start <= number < run.stop)
    return next((run for run in runs if max(run.before, run.after) >= 0), None)

  def of(self, number, which):
    """Says how far one eye of a frame comes from others, 0 to 1."""
    return float(self.shares[number, which]) if self.run(number) else 0.0


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
    self._closed = face.ease((share - SHUT) / SHUT) * (1 - np.clip(ratio, 0, 1))
    self._turns, times = poses.angles, np.asarray(times)
    both = share.min(1), share.max(1)
    self._opens = Lending(shut * face.ease(lacks))
    self._opens.runs = self._runs(self._opens, both[0] >= DONOR, np.abs(share - 1).mean(1), times)
    self._closes = Lending(face.ease((self._closed - GOING) / (GONE - GOING)))
    self._closes.runs = self._runs(self._closes, both[1] <= SHUT, both[1], times)
    self.glances = self._read(blocks)

  def _runs(self, lending, lends, cost, times):
    """Lists `Run`s of frames that need eyes of those that lend them, bool [T], at a cost [T]."""
    needed = np.flatnonzero(lending.shares.max(1) > 0)
    if not len(needed):
      return []
    breaks = np.flatnonzero(np.diff(needed) > BRIDGED + 1)
    starts, stops = needed[np.append(0, breaks + 1)], needed[np.append(breaks, -1)] + 1
    lends = lends.copy()
    lends[needed] = False
    lends = np.flatnonzero(lends)
    return [self._run(int(a), int(b), lends, 4 * cost[lends], times) for a, b in zip(starts, stops)]

  def _run(self, start, stop, lends, cost, times):
    turn = np.linalg.norm(self._turns[lends] - self._turns[start:stop].mean(0), axis=1)
    cost = np.where(turn > FAR_TURN, np.inf, cost + turn / NEAR_TURN)

    def best(side, edge):
      apart = cost[side] + np.abs(times[lends[side]] - times[edge]) / NEAR_TIME
      if not len(apart) or not np.isfinite(apart.min()):
        return -1
      return int(lends[side][apart.argmin()])

    return Run(start, stop, best(lends < start, start), best(lends >= stop, stop - 1))

  def _read(self, blocks):
    runs = [*self._opens.runs, *self._closes.runs]
    wanted = {each for run in runs for each in (run.before, run.after) if each >= 0}
    glances, start = {}, 0
    for block in blocks() if wanted else ():
      for number in wanted & set(range(start, start + len(block))):
        picture, points = block[number - start], self._own[number]
        box = warp.box_around(points[np.concatenate([HELD, MIRROR[HELD], RINGS])], len(picture), 8)
        corner = np.array([box.x0, box.y0], float)
        glances[number] = Glance(box.of(picture).copy(), corner, points)
      start += len(block)
      if start > max(wanted):
        break
    return glances

  def paint(self, picture, number):
    """Paints one frame: uint8 [S, S, 3] -> the same, and what of it is new, float32 [S, S]."""
    result, mask = self._warp(picture, number)
    for which in (0, 1):
      lent = self._closes.of(number, which)
      if self._closed[number, which] > 0 and lent < 1:
        lids.lower(result, mask, self._own[number], which, self._closed[number, which])
    for lending in (self._opens, self._closes):
      for which in (0, 1):
        if share := lending.of(number, which):
          sources = lending.run(number).sources(number)
          self._lend(result, mask, number, which, share, sources, lending is self._opens)
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
    lids.mixed(box, result, mask, paint.warped(picture, box, flow), share)
    return result, mask

  def _lend(self, result, mask, number, which, share, sources, look):
    """Paints an eye of other frames over a picture and its mask, in place."""
    own, side = self._own[number].astype(np.float64), len(result)
    mirror = MIRROR if which else np.arange(POINTS)
    fits = [_fit(own, self.glances[source].points, mirror[HELD]) for source, _ in sources]
    eye = eyes.EYES[which][3]
    width = float(np.linalg.norm(own[eye.outer] - own[eye.inner]))
    # Where the eye is in this frame, and where it will be.
    outline = mirror[OUTLINE]
    outlines = [own[outline]]
    outlines += [_back(fit, self.glances[s].points[outline]) for fit, (s, _) in zip(fits, sources)]
    box = warp.box_around(np.concatenate(outlines), side, round(0.4 * width) + 2)
    box = _multiple(box, side)
    shape = np.zeros(box.shape, np.float32)
    for each in outlines:
      hull = cv2.convexHull(np.float32(each - (box.x0, box.y0) - 0.5))
      cv2.fillConvexPoly(shape, np.round(hull * 16).astype(np.int32), 1.0, cv2.LINE_AA, 4)
    room = max(round(ROOM * width), 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * room + 1,) * 2)
    shape = cv2.GaussianBlur(cv2.dilate(shape, kernel), (0, 0), max(BLUR * width, 0.7))
    around = (shape > 0.02) & (shape < 0.5)
    before = box.of(result).astype(np.float32)
    colours = np.zeros_like(before)
    for (source, part), fit in zip(sources, fits):
      drawn = self._seen(self.glances[source], fit, box, number, which, look)
      light = before[around].mean(0) / np.maximum(drawn[around].mean(0), 1.0)
      colours += part * drawn * np.clip(light, *LIGHT)
    share = np.float32(share) * shape * paint.border(side, box)
    share[share < 0.004] = 0.0
    lids.mixed(box, result, mask, colours, share)

  def _seen(self, glance, fit, box, number, which, look):
    """Draws the eyes of another frame in a box of this one: float32 [h, w, 3]."""
    x, y = np.arange(box.x0, box.x1) + 0.5, np.arange(box.y0, box.y1) + 0.5
    grid = np.stack(np.broadcast_arrays(x[None], y[:, None]), -1) @ fit[:, :2].T + fit[:, 2]
    if look:
      goes = _gaze(self._landmarks[number], which) - _gaze(glance.points, which)
      goes = np.clip(goes, -np.array(SHIFT), SHIFT)
      gestures = np.array([[0.0, 0.0, *goes]], np.float32)
      points = np.float32(glance.points[None, :POINTS])
      grid = np.asarray(LOOK(points, np.float32(grid[None]), gestures))[0]
    columns, rows = np.float32(grid - glance.corner - 0.5).transpose(2, 0, 1)
    drawn = cv2.remap(
      glance.picture, np.ascontiguousarray(columns), np.ascontiguousarray(rows), cv2.INTER_CUBIC,
      borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return drawn.astype(np.float32)


def _fit(start, end, which):
  """Fits the affine map [2, 3] of points, each as far as it is trusted."""
  weight = np.sqrt(TRUST)[:, None]
  inputs = np.column_stack([start[which], np.ones(len(which))])
  return np.linalg.lstsq(weight * inputs, weight * end[which], rcond=None)[0].T


def _back(fit, places):
  """Inverts an affine map [2, 3] of places [P, 2]."""
  return (places - fit[:, 2]) @ np.linalg.inv(fit[:, :2]).T


def _gaze(points, which):
  """Measures where an iris stands, [2], widths of the eye to the picture's right and down."""
  eye, iris = eyes.EYES[which][3], 473 if which else 468
  left, right = (eye.inner, eye.outer) if which else (eye.outer, eye.inner)
  across = points[right] - points[left]
  down = np.array([-across[1], across[0]])
  away = points[iris] - (points[left] + points[right]) / 2
  return np.array([away @ across, away @ down]) / max(across @ across, 1e-6)


def _multiple(box, side):
  """Enlarges a box within a picture to sides that are multiples of BOX, where there is room."""

  def enlarged(low, high):
    length = min(-(-(high - low) // BOX) * BOX, side)
    low = min(max(low - (length - (high - low)) // 2, 0), side - length)
    return low, low + length

  (x0, x1), (y0, y1) = enlarged(box.x0, box.x1), enlarged(box.y0, box.y1)
  return warp.Box(x0, y0, x1, y1)
