"""Changes named units of a filmed face over spans of time: where its landmarks go.

The body is fitted to the shot, its units are changed, and the face's landmarks move by what that
moves the body's: own + drawn(new) - drawn(old). Lips that are to close are then brought to where
this person's closed lips are, and lids to where the shot shows them. Pixels are not drawn here: a
`generator.Redraws` does that, and only where landmarks have moved.
"""

from typing import NamedTuple

import numpy as np
import scipy.ndimage

from ifmdm_jax.errors import InputError, note
from ifmdm_jax.face import points, unit_scores, units
from ifmdm_jax.generator import Redraws
from ifmdm_jax.shot import CLOSE_EYES, CLOSE_MOUTH, NO_BLINK, OPEN_EYES, SIMPLE
from ifmdm_jax.systems.vlogger import axes, fit

SOFT = 0.12  # seconds in which a change comes before its span, and goes after it
SCORED = 128  # frames at once
SAMPLED = 64  # frames of a shot that say who it shows, besides those that change
MOUTH = tuple(axes.AXES[number] for number in axes.indices('mouth'))
OPENS = 'jaw', 'mouthClose', 'mouthLowerDown', 'mouthUpperUp', 'mouthFunnel', 'mouthPucker'
SHUT, NEAR = 3, 0.004  # percentile of a mouth's openings that counts as closed, and eye distances
CLOSED = 0.03  # eye distances between landmarks of closed lips, at most
USUAL, EYE = 75, 0.12  # percentile of a shot's openings that counts as open; and the least of one
BLINK, LOW, BACK = 0.5, 0.6, 0.88  # score and share of the opening of a closed eye; and of none
FLANK = 6  # frames that an eye takes to close or open
LONGEST = 0.7  # seconds of a blink
# Points of either eye: what an eye that opens takes over from others.
EYES = (
  np.concatenate([points.LEFT_EYE, points.LEFT_IRIS]),
  np.concatenate([points.RIGHT_EYE, points.RIGHT_IRIS]),
)
LIDS = [(each[9:16], each[1:8]) for each in (points.LEFT_EYE, points.RIGHT_EYE)]  # upper, lower
BLINKS = 'eyeBlinkRight', 'eyeBlinkLeft'  # of the picture's left eye, and of its right one
LIPS = np.array(
  [  # lower and upper, inner and outer
    (points.LOWER_LIP_INNER, points.UPPER_LIP_INNER),
    (points.LOWER_LIP_OUTER, points.UPPER_LIP_OUTER),
  ]
)
TOUCHED = {  # units that a change takes in hand
  CLOSE_MOUTH: tuple(name for name in MOUTH if name.startswith(OPENS)),
  **dict.fromkeys((CLOSE_EYES, OPEN_EYES, NO_BLINK), tuple(
    name for name in axes.UNITS if name.startswith(('eyeBlink', 'eyeWide')))),
}  # fmt: skip


class Blink(NamedTuple):
  """Consecutive frames of a shot whose eyes are closed."""

  start: int
  stop: int
  before: int  # number of a frame with open eyes, -1: none
  after: int


class Editor:
  """Edits the faces of shots; see `dubbing.edit`.

  Attributes:
    name: in reports.
    size: side of the squares that it wants a face in, pixels.
  """

  def __init__(self, painter):
    """`painter`: a `generator.Redraws`."""
    if not isinstance(painter, Redraws):
      name = getattr(painter, 'name', type(painter).__name__)
      raise InputError(
        f'expected weights that redraw a filmed face, {name} do not: leave --checkpoint out'
      )
    self._painter, self.size = painter, painter.size
    self.name = getattr(painter, 'name', type(painter).__name__)

  def check(self, changes):
    """Raises InputError where `shot.Change`s name no unit, or contradict each other."""
    for change in changes:
      if change.name not in SIMPLE and change.name not in axes.UNITS:
        if change.name in axes.AXES or change.name in axes.GROUPS:
          raise InputError(
            f'expected a unit of the face, got {change.name}: head, gaze and trunk of a film stay'
          )
        axes.indices(change.name)  # says which ones are near
      if change.name not in SIMPLE and not 0 <= change.value <= 1:
        raise InputError(f'expected 0 to 1 for {change.name}, got {change.value:g}')
    for number, one in enumerate(changes):
      for other in changes[:number]:
        both = set(_touched(one)) & set(_touched(other))
        open_twice = {one.name, other.name} == {OPEN_EYES, NO_BLINK}
        begins, ends = max(one.begins, other.begins), min(one.ends, other.ends)
        if both and ends > begins and not open_twice:
          raise InputError(
            f'expected one change of {min(both)} at a time, from {begins:g} to {ends:g} s '
            f'{other.name} and {one.name} both make one: leave one out, or shorten its span'
          )

  def edit(self, shot, changes):
    """Yields `shot.Painted` of a shot with `shot.Change`s made."""
    yield from self._painter.redraw(shot, moved(shot, changes))


def _touched(change):
  return TOUCHED.get(change.name, (change.name,))


def weights(change, times):
  """Says how far a change is made at times [T], seconds: 1 in its span, 0 beyond SOFT, [T]."""
  x = np.minimum(times - change.begins, change.ends - times) / SOFT + 1
  x = np.clip(x, 0.0, 1.0)
  return x * x * (3 - 2 * x)


def moved(shot, changes):
  """Moves the landmarks of a shot: float64 [T, 478, 2], pixels; bit for bit its own elsewhere.

  Args:
    shot: `ifmdm_jax.shot.Shot`.
    changes: of `ifmdm_jax.shot.Change`.
  """
  own = np.asarray(shot.landmarks)[..., :2].astype(np.float64)
  scores, by_name = scored(np.float32(own)), {}
  for change in changes:
    weight = weights(change, shot.times)
    by_name[change.name] = np.maximum(by_name.get(change.name, 0.0), weight)
  nothing = np.zeros(len(own))
  blinks = _blinks(own, scores, shot.times, by_name)
  lent = np.zeros(len(own))
  for blink in blinks:
    opens = np.maximum(by_name.get(OPEN_EYES, nothing), by_name.get(NO_BLINK, nothing))
    lent[blink.start : blink.stop] = opens[blink.start : blink.stop]
  closed, shut_eyes = by_name.get(CLOSE_MOUTH, nothing), by_name.get(CLOSE_EYES, nothing)
  target = own + _by_body(shot, own, scores, changes, closed)
  if closed.any():
    _touch(target, own, closed)
  if shut_eyes.any():
    _shut(target, own, shut_eyes)
  for blink in blinks:
    _open(target, own, lent, blink)
  units_changed = sum((by_name[each] for each in by_name if each not in SIMPLE), nothing)
  untouched = units_changed + closed + shut_eyes + lent == 0
  target[untouched] = own[untouched]
  return target


# ------------------------------------------------------------------------------- by the body


def scored(own):
  """Scores the units of a shot, a block at a time: [T, 478, 2] -> [T, 52]."""
  starts = range(0, len(own), SCORED)
  blocks = (own[np.minimum(np.arange(start, start + SCORED), len(own) - 1)] for start in starts)
  return np.concatenate([unit_scores.scores(block) for block in blocks])[: len(own)]


def _by_body(shot, own, scores, changes, closed):
  """Fits the body, changes its units, and says how far that moves landmarks: [T, 478, 2]."""
  named = [(change, weights(change, shot.times)) for change in changes if change.name not in SIMPLE]
  needed = closed > 0
  for _, weight in named:
    needed |= weight > 0
  if not needed.any():
    return np.zeros_like(own)
  fitted = needed.copy()
  fitted[np.linspace(0, len(own) - 1, min(SAMPLED, len(own))).round().astype(int)] = True
  places = np.where(fitted[:, None, None], own, np.nan)
  found = fit.fit(places, scores, (shot.size, shot.size))
  motion = found.motion.copy()
  if closed.any():
    rest = _rest(found.motion, own)
    which = [axes.INDEX[name] for name in MOUTH]
    motion[:, which] += closed[:, None] * (rest[which] - motion[:, which])
  for change, weight in named:
    which = axes.INDEX[change.name]
    motion[:, which] += weight * (change.value - motion[:, which])
  way, needed = np.zeros_like(own), np.flatnonzero(needed)
  for start in range(0, len(needed), fit.BLOCK):
    some = needed[np.minimum(np.arange(start, start + fit.BLOCK), len(needed) - 1)]
    drawn = [fit.drawn(found._replace(motion=each[some])) for each in (motion, found.motion)]
    way[some] = drawn[0] - drawn[1]
  return np.nan_to_num(way)


def _rest(motion, own):
  """Finds the motion of this person's mouth when it is closed, [A]."""
  gaps = _gaps(own)[:, len(points.UPPER_LIP_INNER) // 2 - 1]
  known = np.isfinite(motion).all(1)
  some = known & (gaps <= np.percentile(gaps[known], SHUT) + NEAR)
  rest = np.median(motion[some], 0)
  for name in MOUTH:
    if name.startswith(('jawOpen', 'mouthClose', 'mouthLowerDown', 'mouthUpperUp')):
      rest[axes.INDEX[name]] = min(rest[axes.INDEX[name]], 0.05)
  return rest


# -------------------------------------------------------------------------------------- lips


def _down(own):
  """Finds which way is down in faces [T, 478, 2]: unit vectors [T, 2]."""
  across = own[:, points.RIGHT_LIDS.outer] - own[:, points.LEFT_LIDS.outer]
  across = across / np.linalg.norm(across, axis=1, keepdims=True)
  return np.stack([-across[:, 1], across[:, 0]], 1)


def _gaps(own, down=None):
  """Measures between inner lips, corners left out, in eye distances: [T, 9]."""
  apart = own[:, points.LOWER_LIP_INNER[1:-1]] - own[:, points.UPPER_LIP_INNER[1:-1]]
  gap = np.einsum('tpi,ti->tp', apart, _down(own) if down is None else down)
  return gap / points.eye_distance(own)[:, None]


def _touch(target, own, closed):
  """Brings lips to where those of a closed mouth are, in place: [T, 478, 2], by weights [T]."""
  down, gaps = _down(own), _gaps(own)
  count = gaps.shape[1]
  middle = gaps[:, count // 2]
  shut = middle[middle <= np.percentile(middle, SHUT) + NEAR].mean()
  arch = np.sin(np.pi * np.arange(1, count + 1) / (count + 1))
  rest = np.clip(shut, 0.0, CLOSED) * arch
  wanted = gaps + closed[:, None] * (np.minimum(gaps, rest) - gaps)
  away = (wanted - _gaps(target, down)) * points.eye_distance(own)[:, None]
  way = np.where(closed[:, None] > 0, 0.5 * away, 0.0)[..., None] * down[:, None]
  for lower, upper in LIPS:
    target[:, lower[1:-1]] += way
    target[:, upper[1:-1]] -= way
  _curve(target, own, closed, down, middle <= min(shut + NEAR, CLOSED))


def _curve(target, own, closed, down, shut):
  """Gives lips the curve that they have in frames `shut`, bool [T], in place."""
  if not shut.any():
    return
  apart = points.eye_distance(own)[:, None]
  way = closed[:, None] * (np.median(_bend(own, down)[shut], 0) - _bend(target, down)) * apart
  half = 0.5 * way[:, [way.shape[1] // 2]]  # lips go one half of the way, corners the other
  for lip in LIPS.reshape(-1, LIPS.shape[-1]):
    target[:, lip[1:-1]] += (way - half)[..., None] * down[:, None]
  for corner in (points.UPPER_LIP_INNER, points.UPPER_LIP_OUTER):
    target[:, corner[[0, -1]]] -= half[..., None] * down[:, None]


def _bend(face, down):
  """Measures how far below their corners lips meet, in eye distances: [T, 9]."""
  upper, lower = face[:, points.UPPER_LIP_INNER], face[:, points.LOWER_LIP_INNER]
  height = np.einsum('tpi,ti->tp', (upper + lower) / 2, down)
  share = np.linspace(0, 1, height.shape[1])
  line = height[:, :1] + share * (height[:, -1:] - height[:, :1])
  return (height - line)[:, 1:-1] / points.eye_distance(face)[:, None]


# -------------------------------------------------------------------------------------- eyes


def _shut(target, own, weight):
  """Lowers upper lids to the lower ones, in place: [T, 478, 2], by weights [T]."""
  for upper, lower in LIDS:
    target[:, upper] = own[:, upper] + weight[:, None, None] * (own[:, lower] - own[:, upper])
    target[:, lower] = own[:, lower]


def _blinks(own, scores, times, by_name):
  """Lists the `Blink`s that are to be opened."""
  everywhere, blinks_only = by_name.get(OPEN_EYES), by_name.get(NO_BLINK)
  if everywhere is None and blinks_only is None:
    return []
  opening = units.opening(own).mean(1)
  score = scores[:, [units.NAMES.index(name) for name in BLINKS]].mean(1)
  usual = np.percentile(opening, USUAL)
  is_open = (opening >= BACK * usual) & (score < BLINK) & (opening > EYE)
  shut = (score >= BLINK) | (opening < max(LOW * usual, EYE))
  found, failed = [], []
  numbers, count = scipy.ndimage.label(shut)
  for number in range(1, count + 1):
    which = np.flatnonzero(numbers == number)
    start, stop = int(which[0]), int(which[-1]) + 1
    if found and start < found[-1].stop:
      continue  # within the flank of the last one
    spacing = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
    short = times[stop - 1] - times[start] + spacing <= LONGEST
    weight = np.zeros(len(own)) if everywhere is None else everywhere
    if blinks_only is not None and short:
      weight = np.maximum(weight, blinks_only)
    if not weight[start:stop].any():
      continue
    before = np.flatnonzero(is_open[:start])
    after = np.flatnonzero(is_open[stop:]) + stop
    before, after = int(before[-1]) if len(before) else -1, int(after[0]) if len(after) else -1
    if max(before, after) < 0:
      failed.append(times[start])
      continue
    # Lids that are on their way go along, as far as that takes no longer than it does.
    start = max(before + 1, start - FLANK) if before >= 0 else max(0, start - FLANK)
    stop = min(after, stop + FLANK) if after >= 0 else min(len(own), stop + FLANK)
    found.append(Blink(start, stop, before, after))
  if failed:
    note(
      f'no frame of this take shows the eyes open, {len(failed)} '
      f'{"place stays" if len(failed) == 1 else "places stay"} as in the film, the first '
      f'{failed[0]:.2f} s after its start'
    )
  return found


def _open(target, own, weight, blink):
  """Opens the eyes of a blink as those before and after it are, in place, by weights [T]."""
  sides = [side for side in (blink.before, blink.after) if side >= 0]
  for number in range(blink.start, blink.stop):
    if not weight[number]:
      continue
    share = 0.0
    if len(sides) == 2:
      share = (number - blink.before) / (blink.after - blink.before)
      share = share * share * (3 - 2 * share)
    for which, eye in zip(EYES, points.LIDS):
      corners = [eye.outer, eye.inner]
      shapes = [_laid(own[side], own[number], corners, which) for side in sides]
      shape = shapes[0] if len(shapes) == 1 else shapes[0] + share * (shapes[1] - shapes[0])
      target[number, which] = own[number, which] + weight[number] * (shape - own[number, which])


def _laid(start, end, corners, which):
  """Lays points of one face over another by two of them: [N, 2]."""
  line = lambda face: complex(*(face[corners[1]] - face[corners[0]]))
  turn = line(end) / line(start)
  away = start[which] - start[corners[0]]
  away = (away[:, 0] + 1j * away[:, 1]) * turn
  return end[corners[0]] + np.stack([away.real, away.imag], -1)
