"""Blinks and gaze: a point process that is carried on from frame to frame beside the motion codes.

A blink comes after a random wait that passes faster where a phrase has just ended, may have a
second one on its heels, and closes faster than it opens. Eyes rest on one place and shift to the
next within two frames, mostly back to where the portrait looks; lids follow a look downwards.

Every random number is a function of (seed, which blink or shift), and what a frame is decided by is
the sound up to it alone. So the eyes do not depend on how sound is cut, nor on the plan, and lips
do not depend on the eyes. A voice costs some microseconds a frame and no memory.
"""

import dataclasses
import functools
import math
import statistics
from typing import NamedTuple

import numpy as np

from ifmdm_jax.rates import FPS

NAMES = 'blink_left', 'blink_right', 'gaze_x', 'gaze_y'  # in the order of face.points.LIDS
GAZES = 'camera', 'free'
FASTEST = 60.0  # blinks per minute


@dataclasses.dataclass(frozen=True)
class Blinks:
  """Holds numbers of blinks, in seconds; all but `shift_blinks` fitted in experiments/eyes."""

  rate: float = 24.0  # per minute
  spread: float = 0.7  # deviation of the logarithm of a wait
  least: float = 0.4  # open between two blinks
  double: float = 0.15  # share that have another one on their heels
  after_phrase: float = 1.7  # how much faster the wait passes there
  shift_blinks: float = 0.2  # share of large shifts of gaze that come with a blink
  closing: float = 0.08  # median; deviation of the logarithm of all three: `vary`
  closed: float = 0.05
  opening: float = 0.19
  vary: float = 0.25
  partial: float = 0.1  # share that do not close all the way, but
  depth: float = 0.7  # at least so far


@dataclasses.dataclass(frozen=True)
class Gaze:
  """Holds numbers of gaze, widths of an eye and seconds; all but `lids` fitted there too."""

  wait: float = 0.8  # median between two shifts
  spread: float = 0.8  # deviation of its logarithm
  home: float = 0.5  # share of shifts that go back
  size: tuple = (0.04, 0.018)  # deviation of places, across and down
  furthest: tuple = (0.12, 0.06)
  large: float = 0.06  # a shift that may come with a blink
  lids: float = 2.0  # closure for a look down by an eye's width


BLINKS, GAZE = Blinks(), Gaze()
SHIFT_FRAMES = 2
QUIET_BELOW, FALL, FLOOR = 22.0, 0.02, -45.0  # dB; fall of the loudest each frame
PHRASE_END = round(0.12 * FPS), round(1.0 * FPS)  # frames after the voice
USUAL = 30 * FPS  # frames over which the usual pace is averaged
NEVER = 1_000_000
BLINK_EVENT, SHIFT_EVENT = 0, 1


class State(NamedTuple):
  """Where the eyes of B voices have come to, float64 [B], places [B, 2]."""

  loudest: np.ndarray  # dB, of the voice lately
  quiet: np.ndarray  # frames since there was voice
  pace: np.ndarray  # usual speed at which waits pass
  blinks: np.ndarray  # begun so far
  waited: np.ndarray  # seconds at that speed, since the last one ended
  since: np.ndarray  # frames since the last one began
  shifts: np.ndarray  # of gaze so far
  fixed: np.ndarray  # frames since the last one began
  origin: np.ndarray  # where eyes looked before it
  target: np.ndarray  # and look now


class Controls(NamedTuple):
  """What is asked of the eyes of B voices."""

  seed: np.ndarray  # uint32 [B]
  rate: np.ndarray  # float64 [B], blinks per minute
  free: np.ndarray  # bool [B], whether gaze shifts


def start():
  """Returns the `State` of one voice that begins, eyes as in the portrait."""
  one = lambda value: np.array([value], np.float64)
  rest = np.zeros((1, 2))
  return State(one(FLOOR), one(NEVER), one(1), *[one(0)] * 2, one(NEVER), *[one(0)] * 2, rest, rest)


def controls(seed, blinks_per_minute=None, gaze='free'):
  """Returns the `Controls` of one voice; None: the learned rate."""
  rate = BLINKS.rate if blinks_per_minute is None else blinks_per_minute
  return Controls(
    np.array([seed % 2**32], np.uint32), np.array([float(rate)]), np.array([gaze == 'free'])
  )


def advance(state, controls, level):
  """Moves the eyes of B voices on by T frames.

  Args:
    state: `State`.
    controls: `Controls`.
    level: [B, T], loudness of each frame, dB.

  Returns:
    float32 [B, T, 4], see NAMES: closure of the lids from where the motion code has them, 0, to
    closed, 1; shift of the irises in widths of an eye to the right and down in the picture. And the
    next `State`.
  """
  values = np.zeros((*np.shape(level), len(NAMES)), np.float32)
  rows = []
  for who, levels in enumerate(np.asarray(level, np.float64)):
    row = State(*(field[who].tolist() for field in state))
    seed, rate, free = (field[who].item() for field in controls)
    for frame, one in enumerate(levels.tolist()):
      row = _hear(row, one)
      row = _shift(row, seed, rate) if free else row
      row = _blink(row, seed, rate)
      values[who, frame] = _values(row, seed)
    rows.append(row)
  return values, State(*(np.array(field, np.float64) for field in zip(*rows)))


def _hear(row, level):
  loudest = max(level, row.loudest - FALL, FLOOR)
  quiet = 0 if level > loudest - QUIET_BELOW else min(row.quiet + 1, NEVER)
  speed = _speed(quiet)
  return row._replace(loudest=loudest, quiet=quiet, pace=row.pace + (speed - row.pace) / USUAL)


def _speed(quiet):
  return BLINKS.after_phrase if PHRASE_END[0] <= quiet < PHRASE_END[1] else 1.0


def _blink(row, seed, rate):
  """Waits, or goes on with a blink."""
  row = row._replace(since=min(row.since + 1, NEVER))
  if row.since < _Blink.of(seed, row.blinks).frames:
    return row
  waited = row.waited + _speed(row.quiet) / row.pace / FPS
  if waited < _wait(seed, int(row.blinks), rate):
    return row._replace(waited=waited)
  return row._replace(blinks=row.blinks + 1, since=0, waited=0.0)


def _shift(row, seed, rate):
  """Rests, or begins to look elsewhere; a large shift may bring the next blink."""
  row = row._replace(fixed=min(row.fixed + 1, NEVER))
  draw = _draws(seed, SHIFT_EVENT, int(row.shifts))
  if row.fixed < _lognormal(draw[0], GAZE.wait, GAZE.spread) * FPS:
    return row
  home = draw[1] < GAZE.home
  scale = 0.2 if home else 1.0
  place = [
    min(max(scale * size * _normal(u), -furthest), furthest)
    for u, size, furthest in zip(draw[2:4], GAZE.size, GAZE.furthest)
  ]
  far = max(abs(a - b) for a, b in zip(place, row.target)) > GAZE.large
  chance = BLINKS.shift_blinks * min(rate / BLINKS.rate, 1.0)
  waited = NEVER if far and draw[4] < chance else row.waited
  return row._replace(
    shifts=row.shifts + 1, fixed=0, origin=row.target, target=place, waited=waited
  )


def _values(row, seed):
  gone = min((row.fixed + 1) / SHIFT_FRAMES, 1.0)
  gaze = [a + gone * (b - a) for a, b in zip(row.origin, row.target)]
  follow = GAZE.lids * max(gaze[1], 0.0)
  blink = _Blink.of(seed, row.blinks)
  lids = [blink.closure(row.since + late) for late in (0.0, blink.late)]
  return *(1.0 - (1.0 - lid) * (1.0 - follow) for lid in lids), *gaze


class _Blink(NamedTuple):
  """One blink; times in frames from the first frame of it."""

  closing: float
  closed: float
  opening: float
  depth: float
  late: float  # of the second eye

  @classmethod
  @functools.lru_cache(1024)
  def of(cls, seed, number):
    """The blink of this number, 1 is the first; 0 is none."""
    if not number:
      return cls(1.0, 0.0, 1.0, 0.0, 0.0)
    draw = _draws(seed, BLINK_EVENT, int(number))
    medians = BLINKS.closing, BLINKS.closed, BLINKS.opening
    times = [FPS * _lognormal(u, median, BLINKS.vary) for u, median in zip(draw[2:], medians)]
    times[1] = max(times[1], 1.0)  # one frame, at least, shows it
    depth = 1.0
    if draw[5] < BLINKS.partial:
      depth = BLINKS.depth + (1.0 - BLINKS.depth) * draw[5] / BLINKS.partial
    return cls(*times, depth, 0.3 * (draw[6] - 0.5))

  @property
  def frames(self):
    return self.closing + self.closed + self.opening

  def closure(self, since):
    """Closure when `since` frames have gone since the one before the lids moved."""
    time = since + 1.0
    rise = _ease(time / self.closing)
    fall = _ease((time - self.closing - self.closed) / self.opening)
    return self.depth * (rise - fall)


def _wait(seed, number, rate):
  """Seconds from the end of blink `number` to the next one; on average 60 / rate with the blink."""
  if rate <= 0:
    return float('inf')
  draw = _draws(seed, BLINK_EVENT, number)
  if number and draw[0] < BLINKS.double:
    return 0.3 * draw[0] / BLINKS.double  # at once, or three tenths later
  busy = BLINKS.closing + BLINKS.closed + BLINKS.opening
  room = (60.0 / rate - busy - 0.15 * BLINKS.double) / (1.0 - BLINKS.double)
  least = min(BLINKS.least, room / 2.0)
  mean = max(room - least, 0.0)
  wait = mean * _lognormal(draw[1], 1.0, BLINKS.spread) / math.exp(BLINKS.spread**2 / 2)
  return least + (wait if number else wait * draw[0])  # a voice begins anywhere between two blinks


def _ease(x):
  x = min(max(x, 0.0), 1.0)
  return x * x * (3.0 - 2.0 * x)


@functools.lru_cache(4096)
def _draws(seed, event, number):
  """Draws eight numbers from 0 to 1 for an event: the same whenever they are asked for."""
  bits = np.random.Philox(key=[int(seed), event], counter=[0, 0, 0, number])
  return tuple(np.random.Generator(bits).random(8).tolist())


def _normal(u):
  return statistics.NormalDist().inv_cdf(min(max(u, 1e-9), 1.0 - 1e-9))


def _lognormal(u, median, spread):
  return median * math.exp(spread * _normal(u))
