"""Parts of a face that other frames of the shot lend: held by points, in the light of a frame."""

from typing import NamedTuple

import cv2
import numpy as np

from ifmdm_jax.systems.ifmdm.dub import face, paint, warp

NEAR_TIME, NEAR_TURN = 0.4, 6.0  # seconds, and degrees of the head, as unlike as each other
BRIDGED = 2  # frames between two runs that are one
CHANGE = 10  # frames in which what is lent before becomes what is lent after, at most
LIGHT = 0.8, 1.25  # by which another frame's colours are brought to this one's
BENT = 4  # pixels of a picture for each in which a part is bent
BOX = 64  # pixels, of which boxes are multiples: few programs are compiled


class Glance(NamedTuple):
  """A part of a frame of the shot."""

  picture: np.ndarray  # uint8 [h, w, 3]
  corner: np.ndarray  # [2], its place in the frame
  points: np.ndarray  # [478, 2], in the frame


class Run(NamedTuple):
  """Consecutive frames that need what others lend."""

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
  """What frames of a shot need of others, and which of those lend it.

  Attributes:
    shares: [T, N], how much each of N parts needs.
    runs: list of `Run`, those that nobody lends to left out.
  """

  def __init__(self, shares, lends, cost, turns, times, far):
    """Decides.

    Args:
      shares: see above.
      lends: bool [T], frames that show what is needed.
      cost: [T], how unwelcome each of them is.
      turns: [T, 2], of the head, degrees.
      times: [T], seconds.
      far: degrees from which on nobody lends.
    """
    self.shares, self.runs = shares, []
    needed = np.flatnonzero(shares.max(1) > 0)
    if not len(needed):
      return
    breaks = np.flatnonzero(np.diff(needed) > BRIDGED + 1)
    starts, stops = needed[np.append(0, breaks + 1)], needed[np.append(breaks, -1)] + 1
    lends = lends.copy()
    lends[needed] = False
    lends = np.flatnonzero(lends)
    for start, stop in zip(starts.tolist(), stops.tolist()):
      turn = np.linalg.norm(turns[lends] - turns[start:stop].mean(0), axis=1)
      unlike = np.where(turn > far, np.inf, cost[lends] + turn / NEAR_TURN)

      def best(side, edge):
        apart = unlike[side] + np.abs(times[lends[side]] - times[edge]) / NEAR_TIME  # noqa: B023
        return int(lends[side][apart.argmin()]) if np.isfinite(apart).any() else -1

      run = Run(start, stop, best(lends < start, start), best(lends >= stop, stop - 1))
      if max(run.before, run.after) >= 0:
        self.runs.append(run)

  @property
  def lenders(self):
    """Numbers of the frames that lend, a set."""
    return {each for run in self.runs for each in (run.before, run.after) if each >= 0}

  def sources(self, number):
    """Lists (frame that lends, share) for a frame, nothing where nobody does."""
    runs = (run for run in self.runs if run.start <= number < run.stop)
    return next((run.sources(number) for run in runs), [])

  def of(self, number, part):
    """Says how much of a part of a frame comes from others, 0 to 1."""
    return float(self.shares[number, part]) if self.sources(number) else 0.0


def glances(wanted, own, around, blocks):
  """Cuts parts out of frames: {number: `Glance`}.

  Args:
    wanted: set of their numbers.
    own: [T, P, 2], pixels.
    around: numbers of the points that the part is around.
    blocks: of the shot, a function that iterates over them.
  """
  found, start = {}, 0
  for block in blocks() if wanted else ():
    for number in wanted & set(range(start, start + len(block))):
      picture, points = block[number - start], own[number]
      box = warp.box_around(points[around], len(picture), 8)
      corner = np.array([box.x0, box.y0], float)
      found[number] = Glance(box.of(picture).copy(), corner, points)
    start += len(block)
    if start > max(wanted):
      break
  return found


class Part(NamedTuple):
  """A part of a face that is lent.

  Attributes:
    held: numbers of the points that hold it in place,
    trust: and how far each of them is trusted.
    outline: of the points around it.
    width: of the two points that are as far apart as it is wide.
    room, blur: its mask goes so far beyond the outline, and is so soft, in its widths.
    bends: how far, in its widths, points that hold it move it beside them; 0: it stays flat.
  """

  held: np.ndarray
  trust: np.ndarray
  outline: np.ndarray
  width: tuple[int, int]
  room: float
  blur: float
  bends: float = 0.0


def lay(result, mask, points, part, share, sources, look=None):
  """Lays a part of other frames over a picture and its mask, in place.

  Args:
    result: uint8 [S, S, 3].
    mask: float32 [S, S].
    points: of the picture, [P, 2], pixels.
    part: `Part`.
    share: 0 to 1, of all of it.
    sources: list of (`Glance`, share).
    look: changes places [h, w, 2] in the frame of a `Glance` by that; None: they stay.
  """
  fits = [_fit(points, source.points, part) for source, _ in sources]
  width = float(np.linalg.norm(points[part.width[0]] - points[part.width[1]]))
  # Where it is in this frame, and where it will be.
  outlines = [points[part.outline]]
  outlines += [_back(fit, source.points[part.outline]) for fit, (source, _) in zip(fits, sources)]
  box = warp.box_around(np.concatenate(outlines), len(result), round(0.4 * width) + 2)
  box = _multiple(box, len(result))
  shape = np.zeros(box.shape, np.float32)
  for each in outlines:
    hull = cv2.convexHull(np.float32(each - (box.x0, box.y0) - 0.5))
    cv2.fillConvexPoly(shape, np.round(hull * 16).astype(np.int32), 1.0, cv2.LINE_AA, 4)
  room = max(round(part.room * width), 1)
  kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * room + 1,) * 2)
  shape = cv2.GaussianBlur(cv2.dilate(shape, kernel), (0, 0), max(part.blur * width, 0.7))
  around = (shape > 0.02) & (shape < 0.5)
  before = box.of(result).astype(np.float32)
  colours = np.zeros_like(before)
  for (source, weight), fit in zip(sources, fits):
    near = part.bends * width
    grid = _places(box, fit) + (_bent(box, points, source.points, fit, part, near) if near else 0.0)
    drawn = _seen(source, grid if look is None else look(source, grid))
    light = before[around].mean(0) / np.maximum(drawn[around].mean(0), 1.0)
    colours += weight * drawn * np.clip(light, *LIGHT)
  share = np.float32(share) * shape * paint.border(len(result), box)
  share[share < 0.004] = 0.0
  mix(box, result, mask, colours, share)


def mix(box, result, mask, colours, share):
  """Mixes colours [h, w, 3] into the box of a picture and of its mask, in place."""
  part, new = box.of(result), box.of(mask)
  before = part.astype(np.float32)
  drawn = before + share[..., None] * (colours - before)
  part[...] = np.clip(np.round(drawn), 0, 255).astype(np.uint8)
  new[...] = np.maximum(new, share)


def _places(box, fit):
  """Maps the pixels of a box: [h, w, 2]."""
  x, y = np.arange(box.x0, box.x1) + 0.5, np.arange(box.y0, box.y1) + 0.5
  return np.stack(np.broadcast_arrays(x[None], y[:, None]), -1) @ fit[:, :2].T + fit[:, 2]


def _bent(box, start, end, fit, part, near):
  """Spreads what a map leaves of the way of points over a box, each as far as `near` pixels.

  [h, w, 2], computed at every BENT-th pixel.
  """
  start, left = start[part.held], end[part.held] - start[part.held] @ fit[:, :2].T - fit[:, 2]
  x, y = np.arange(box.x0, box.x1, BENT) + BENT / 2, np.arange(box.y0, box.y1, BENT) + BENT / 2
  away = np.square(x[None, :, None] - start[:, 0]) + np.square(y[:, None, None] - start[:, 1])
  share = part.trust / np.square(away + near * near)  # [h, w, P]
  moved = np.float32((share / share.sum(-1, keepdims=True)) @ left)
  return cv2.resize(moved, box.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _seen(glance, grid):
  """Draws what a frame shows at places [h, w, 2]: float32 [h, w, 3]."""
  columns, rows = np.float32(grid - glance.corner - 0.5).transpose(2, 0, 1)
  drawn = cv2.remap(
    glance.picture, np.ascontiguousarray(columns), np.ascontiguousarray(rows), cv2.INTER_CUBIC,
    borderMode=cv2.BORDER_REPLICATE,
  )  # fmt: skip
  return drawn.astype(np.float32)


def _fit(start, end, part):
  """Fits the affine map [2, 3] of points, each as far as it is trusted."""
  weight = np.sqrt(part.trust)[:, None]
  inputs = np.column_stack([start[part.held], np.ones(len(part.held))])
  return np.linalg.lstsq(weight * inputs, weight * end[part.held], rcond=None)[0].T


def _back(fit, places):
  """Inverts an affine map [2, 3] of places [P, 2]."""
  return (places - fit[:, 2]) @ np.linalg.inv(fit[:, :2]).T


def _multiple(box, side):
  """Enlarges a box within a picture to sides that are multiples of BOX, where there is room."""

  def enlarged(low, high):
    length = min(-(-(high - low) // BOX) * BOX, side)
    low = min(max(low - (length - (high - low)) // 2, 0), side - length)
    return low, low + length

  (x0, x1), (y0, y1) = enlarged(box.x0, box.x1), enlarged(box.y0, box.y1)
  return warp.Box(x0, y0, x1, y1)
