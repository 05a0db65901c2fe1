"""What is between new lips: the film's own mouth, as this frame or another of the shot shows it.

Teeth stay with the skull and lips close over them. Where a mouth is to open wider than its frame
shows, the inside comes from a frame of like pose that does, in the light of this one; where no
frame does, it is the prior of `autoencoder.lite.mouth`.
"""

import functools
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face.points import (
  LOWER_LIP_INNER,
  POINTS,
  UPPER_LIP_INNER,
)
from ifmdm_jax.systems.ifmdm.autoencoder.lite import mouth, surface
from ifmdm_jax.systems.ifmdm.dub import face, warp

MOST = 32  # frames of a shot whose mouths are kept
LOOKED_AT = 3000  # first frames of a shot, that they are chosen from
OPEN = 0.015  # heights of the face: a mouth that shows what is inside
UNITS = np.array(
  [0.012, 8.0, 8.0, 0.04]
)  # of opening, yaw, pitch and width: as unlike as each other
FAST = 0.015  # heights of the face a frame: a mouth that opens so fast is half as welcome
OWN = 2.5  # by so much a frame's own mouth is preferred
STAY = 2.5  # by so much another one has to be better than the last one
PRIOR = 9.0  # how unlike a mouth has to be before none is taken
CHANGE = 0.65  # share of a new source in the first frame that takes it
SOFT, REACH = 2.0, 5.0  # pixels of 512: of a lip's edge, and that its movement reaches into it
LINE = 0.006  # heights of the face: width of the line where lips touch
LIT, DARKEST = 0.035, 0.4  # heights of the face between lips that let all light in; and at none
BITE = np.array([0.0, face.MEAN[13, 1], face.MEAN[13, 2] + 0.02])  # a place of the skull
ROWS = 5  # of the mesh between the lips
SKIN = np.array([205, 425, 50, 280, 152, 164, 187, 411])  # points of bare skin around a mouth


class Glimpse(NamedTuple):
  """A mouth in a frame of the shot."""

  picture: np.ndarray  # uint8 [h, w, 3]
  corner: np.ndarray  # [2], its place in the frame
  upper: np.ndarray  # [11, 2], inner lips in the frame
  lower: np.ndarray
  turn: np.ndarray  # [2, 3], of the head
  bite: np.ndarray  # [2], where that is in the frame
  skin: np.ndarray  # [3], colour around it


def features(gaps, widths, angles):
  """Describes mouths by opening, yaw, pitch and width: [T, 4], in UNITS."""
  return in_units(np.stack([gaps, angles[:, 0], angles[:, 1], widths], -1))


def in_units(described):
  """Divides openings, yaws, pitches and widths [..., 4] by UNITS."""
  return described / UNITS


def skin_of(frame, landmarks):
  """Reads the colour of the skin around a mouth: [3]."""
  side = len(frame)
  places = np.clip(np.round(landmarks[SKIN] - 0.5).astype(int), 2, side - 3)
  patches = [frame[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(0) for x, y in places]
  return np.median(patches, axis=0) + 1.0


def choose(described, gaps):
  """Chooses frames whose mouths are open and as unlike as can be: numbers, at most MOST."""
  candidates = np.flatnonzero(gaps[:LOOKED_AT] > OPEN)
  if not len(candidates):
    return []
  # Rare readings are often wrong ones: of the openings, the last few are left out.
  most = np.percentile(gaps[candidates], 99)
  candidates = candidates[gaps[candidates] <= most]
  chosen = [int(candidates[gaps[candidates].argmax()])]
  # A mouth that moves fast is blurred.
  calm = 1.0 / (1.0 + np.abs(np.gradient(gaps) / FAST)) if len(gaps) > 1 else np.ones(1)
  nearest = np.full(len(candidates), np.inf)
  while len(chosen) < min(MOST, len(candidates)):
    last = described[chosen[-1]]
    nearest = np.minimum(nearest, np.square(described[candidates] - last).sum(1))
    if nearest.max() < 0.25:
      break
    chosen.append(int(candidates[(nearest * calm[candidates]).argmax()]))
  return chosen


class Bank:
  """Mouths of a shot, and which of them each frame takes.

  Attributes:
    glimpses: by number of the frame.
  """

  def __init__(self, film, landmarks, blocks):
    """Reads the frames that are needed, and none after the last of them.

    Args:
      film: `speech.Film`.
      landmarks: [T, 468, 2].
      blocks: of the shot.
    """
    self._described = features(film.gaps, film.widths, film.poses.angles)
    wanted = choose(self._described, film.gaps)
    frontal = np.square(film.poses.angles[:LOOKED_AT]).sum(1) / 100
    self._calmest = int((frontal + film.gaps[:LOOKED_AT] / 0.01).argmin())
    self.glimpses, self._prior = {}, None
    last, start = max([*wanted, self._calmest]), 0
    for block in blocks:
      for number in range(start, start + len(block)):
        frame = block[number - start]
        if number in wanted:
          self.glimpses[number] = glimpse(frame, landmarks[number], film.poses, number)
        if number == self._calmest:
          self._prior = Prior(frame.copy(), landmarks[number])
      start += len(block)
      if start > last:
        break
    self._numbers = np.array(sorted(self.glimpses), int)
    self._shares = {}

  def shares(self, number, wanted):
    """Decides what the next frame takes of which source; to be called frame by frame.

    Args:
      number: of the frame.
      wanted: [4], see `features`.

    Returns:
      {source: share}: 'own', 'prior', or a number of `glimpses`; shares sum to 1.
    """

    def unlike(described):
      lacks = np.maximum(wanted[0] - described[..., 0], 0.0)
      away = np.square(described - wanted) * np.array([0.1, 1.0, 1.0, 0.5])
      return away.sum(-1) + np.square(lacks)

    cost = {'own': unlike(self._described[number]) - OWN, 'prior': PRIOR}
    cost.update(zip(self._numbers.tolist(), unlike(self._described[self._numbers]).tolist()))
    for source, share in self._shares.items():
      cost[source] -= STAY * share
    best = min(cost, key=cost.get)
    if not self._shares:
      self._shares = {best: 1.0}
    shares = {source: (1 - CHANGE) * share for source, share in self._shares.items()}
    shares[best] = shares.get(best, 0.0) + CHANGE
    shares = {source: share for source, share in shares.items() if share > 0.06}
    total = sum(shares.values())
    self._shares = {source: share / total for source, share in shares.items()}
    return self._shares

  @property
  def prior(self):
    """The `Prior` of this person."""
    return self._prior


def glimpse(frame, landmarks, poses, number, copy=True):
  """Cuts the `Glimpse` of a frame [S, S, 3]."""
  upper, lower = landmarks[UPPER_LIP_INNER], landmarks[LOWER_LIP_INNER]
  pose = face.Poses(poses.turn[number][None], poses.end[number][None])
  bite = pose.place(BITE)[0]
  skin = skin_of(frame, landmarks)
  corner = np.zeros(2)
  if copy:
    room = int(0.06 * pose.scale[0]) + 4
    box = warp.box_around(np.concatenate([upper, lower]), len(frame), room)
    frame, corner = box.of(frame).copy(), np.array([box.x0, box.y0], float)
  return Glimpse(frame, corner, upper, lower, poses.turn[number], bite, skin)


def _along(lip, across, corner):
  """Sees a lip [11, 2] from the mouth: how far along and below the line between its corners."""
  way = lip - corner
  u, v = way @ across, across[0] * way[:, 1] - across[1] * way[:, 0]
  return np.maximum.accumulate(u), v


class Frame(NamedTuple):
  """The mouth of a frame as it is to be drawn."""

  box: warp.Box
  cover: np.ndarray  # [h, w], 1 between the lips
  contact: np.ndarray  # [h, w], 1 on the line where lips touch
  near: np.ndarray  # [h, w], 1 on and between the edges of the lips, fading away from them
  u: np.ndarray  # [h, w], pixels along the mouth,
  knots: tuple  # and those of the points of either lip
  is_upper: np.ndarray  # bool [h, w], nearer to the upper lip

  def on_lips(self, values):
    """Reads values of points [V] at the edge of the nearer lip: float32 [h, w]."""
    lips = zip((UPPER_LIP_INNER, LOWER_LIP_INNER), self.knots)
    upper, lower = (np.interp(self.u, knots, values[lip]) for lip, knots in lips)
    return np.where(self.is_upper, upper, lower).astype(np.float32)


def frame_of(landmarks, side, scale, within):
  """Measures a mouth.

  Args:
    landmarks: [468, 2].
    side: of the picture.
    scale: pixels of a height of the face.
    within: `warp.Box` that the mouth's is cut to.

  Returns:
    `Frame`.
  """
  upper, lower = landmarks[UPPER_LIP_INNER], landmarks[LOWER_LIP_INNER]
  reach = max(REACH * side / 512, 1.0)
  box = warp.box_around(np.concatenate([upper, lower]), side, int(reach) + 2).within(within)
  corner = upper[0]
  width = max(np.linalg.norm(upper[-1] - corner), 1e-6)
  across = (upper[-1] - corner) / width
  x = np.arange(box.x0, box.x1) + 0.5 - corner[0]
  y = (np.arange(box.y0, box.y1) + 0.5 - corner[1])[:, None]
  u, v = across[0] * x + across[1] * y, across[0] * y - across[1] * x
  lips = [_along(lip, across, corner) for lip in (upper, lower)]
  lines = [np.interp(u, *lip) for lip in lips]
  soft = max(SOFT * side / 512, 0.5)
  gap, middle = np.maximum(lines[1] - lines[0], 0.0), (lines[0] + lines[1]) / 2
  cover = np.clip(np.minimum(v - lines[0], lines[1] - v) / soft + 0.5, 0.0, 1.0)
  cover *= np.clip(gap / soft, 0.0, 1.0)
  ends = np.clip(np.minimum(u, width - u) / (0.03 * scale), 0.0, 1.0)
  contact = np.exp(-np.square((v - middle) / (LINE * scale)))
  contact *= ends * np.clip(1.5 - gap / (LINE * scale), 0.0, 1.0)
  near = np.clip(1.0 - np.maximum(lines[0] - v, v - lines[1]) / reach, 0.0, 1.0) * ends
  as_float = lambda *arrays: [a.astype(np.float32) for a in arrays]
  return Frame(box, *as_float(cover, contact, near), u, tuple(lip[0] for lip in lips), v < middle)


def _shade(gaps, shown):
  """Darkens what a wide mouth shows where it is seen through a narrower gap.

  Args:
    gaps, shown: [11], between new lips and the source's, heights of the face.
  """
  light = lambda gap: DARKEST + (1 - DARKEST) * np.clip(gap / LIT, 0.0, 1.0)
  return np.minimum(light(gaps) / light(shown), 1.0)


def seen(source, landmarks, turn, bite, inner):
  """Draws what of a source is between new lips.

  Args:
    source: `Glimpse`.
    landmarks: with new lips, [468, 2], pixels of the frame.
    turn, bite: of the frame.
    inner: `Frame`, of these landmarks.

  Returns:
    float32 [h, w, 3], 0 to 255.
  """
  upper, lower = landmarks[UPPER_LIP_INNER], landmarks[LOWER_LIP_INNER]
  there = source.turn[:, :2] @ np.linalg.inv(turn[:, :2])
  moved = lambda points: (points - bite) @ there.T + source.bite
  top, bottom = moved(upper), moved(lower)
  corner = source.upper[0]
  across = source.upper[-1] - corner
  width = max(np.linalg.norm(across), 1e-6)
  across = across / width
  below = np.array([-across[1], across[0]])
  u_top, v_top = (top - corner) @ across, (top - corner) @ below
  length = np.maximum((bottom - corner) @ below - v_top, 0.0)
  u = np.clip(u_top, 0.06 * width, 0.94 * width)
  lips = [np.interp(u, *_along(lip, across, corner)) for lip in (source.upper, source.lower)]
  room = np.maximum(lips[1] - lips[0], 0.0)
  first = np.clip(v_top, lips[0], np.maximum(lips[0], lips[1] - np.minimum(length, room)))
  shrink = np.minimum(1.0, (lips[1] - first) / np.maximum(length, 1e-6))
  rows = np.linspace(-0.2, 1.2, ROWS)[:, None]  # a little beyond the lips
  spare = 3.0  # pixels, where they touch
  ways = lower - upper
  ways = ways + spare * below * (np.linalg.norm(ways, axis=1, keepdims=True) < spare)
  places = upper[None] + rows[..., None] * ways[None]
  v = first + rows * np.maximum(shrink * length, 0.0)
  looks = corner + u[None, :, None] * across + v[..., None] * below - source.corner
  values, _ = warp.interpolated(places.reshape(-1, 2), looks.reshape(-1, 2) - 0.5, _GRID, inner.box)
  drawn = cv2.remap(source.picture, *values, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
  scale = lambda turn: np.linalg.norm(turn, axis=-1).mean()
  gaps = np.linalg.norm(lower - upper, axis=1) / scale(turn)
  light = np.interp(inner.u, inner.knots[0], _shade(gaps, room / scale(source.turn)))
  return drawn * light[..., None].astype(np.float32)


def _grid():
  columns = len(UPPER_LIP_INNER)
  number = np.arange(ROWS * columns).reshape(ROWS, columns)
  a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
  return np.concatenate([np.stack([a, b, c], -1), np.stack([b, d, c], -1)]).reshape(-1, 3)


_GRID = _grid()


class Prior:
  """The inside of a mouth that no frame shows; compiled when it is first needed."""

  def __init__(self, frame, landmarks):
    """`frame`: uint8 [S, S, 3] with closed lips; `landmarks`: [468, 2] of it."""
    self._frame, self._landmarks = frame, landmarks

  @functools.cached_property
  def _inside(self):
    side = len(self._frame)
    pixels = jnp.asarray(self._frame, jnp.float32)[None] / 127.5 - 1.0
    points = surface.with_depth(jnp.asarray(self._landmarks / side, jnp.float32))
    inside = jax.jit(mouth.interior)(pixels, points[None])
    return jax.tree.map(lambda x: x[0], inside)._replace(closed=jnp.ones(()))

  def seen(self, landmarks, box):
    """Draws the inside of a mouth: float32 [h, w, 3], 0 to 255; see the function `seen`."""
    side = len(self._frame)
    rows, columns = (max(length, 8) for length in (round(side * share) for share in mouth.ROOM))
    y, x = np.arange(rows) + box.y0 + 0.5, np.arange(columns) + box.x0 + 0.5
    place = np.stack(np.broadcast_arrays(x[None], y[:, None]), -1) / side
    colours, _ = _between(
      self._inside, jnp.asarray(landmarks[:POINTS] / side, jnp.float32),
      jnp.asarray(place, jnp.float32),
    )  # fmt: skip
    drawn = 127.5 * (np.asarray(colours) + 1.0)
    height, width = box.shape
    if height > rows or width > columns:
      drawn = cv2.copyMakeBorder(
        drawn, 0, max(0, height - rows), 0, max(0, width - columns), cv2.BORDER_REPLICATE
      )
    return drawn[:height, :width]


_between = jax.jit(mouth.between_lips)
