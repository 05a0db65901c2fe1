"""Decides for every frame of a film whether its lips are made anew, and if not, why."""

import numpy as np
import scipy.ndimage

from ifmdm_jax.face import points

DUBBED, NO_FACE, OTHER, SMALL, PROFILE, COVERED, BORDER, SHORT, LEFT_ALONE = range(9)
NAMES = (
  'dubbed', 'no face', 'another person', 'face too small', 'profile', 'mouth covered',
  'mouth beyond the border', 'too short', 'nothing to change',
)  # fmt: skip
SMALLEST = 40  # pixels from forehead to chin
TURNED = 50.0  # degrees to the side, from which half of the mouth is hidden
# What a mouth looks like is learned from its take: a mean and MODES of change.
MODES, TYPICAL, FEW = 6, 300, 25  # frames that are learned from, and fewer say nothing
ODD = 0.1  # share of its frames, the least like the median, that is not learned
LEFT, FALL = 0.65, 0.3  # how much of a mouth is not explained: a cover, this much more than usual
BRIDGED = 3  # frames: a shorter profile or cover is none
SHORTEST = 8  # frames: fewer are left as they are
PIECE = 1000  # records that are read at a time


def decide(reading, people, chosen):
  """Decides the fate of each frame.

  Args:
    reading: `faces.Reading`.
    people: of `people.tell_apart`.
    chosen: number of the one whose lips are new; None: nobody.

  Returns:
    Fates, numbers of NAMES, int8 [T]; and rows, the record of the chosen face in each frame, int
    [T], -1 where there is none.
  """
  count = len(reading.takes)
  fates, rows = np.full(count, NO_FACE, np.int8), np.full(count, -1, np.int64)
  for track in reading.tracks:
    fates[track.start : track.stop] = OTHER
  for track in [] if chosen is None else people[chosen].tracks:
    rows[track.start : track.stop] = track.rows
  for start in range(0, count, PIECE):
    part = np.flatnonzero(rows[start : start + PIECE] >= 0) + start
    if len(part):
      fates[part] = _judged(reading, rows[part])
  for take in range(int(reading.takes.max(initial=0)) + 1):
    low, high = np.searchsorted(reading.takes, [take, take + 1])
    _cover(fates[low:high], rows[low:high], reading)
    _steady(fates[low:high])
  return fates, rows


def turn(landmarks):
  """Measures how far heads are turned to the side, degrees. [T, 478, 3] -> [T]."""
  across = landmarks[:, points.RIGHT_CHEEK] - landmarks[:, points.LEFT_CHEEK]
  return np.degrees(np.arctan2(across[:, 2], np.hypot(across[:, 0], across[:, 1])))


def _judged(reading, rows):
  """Judges each face by itself; the picture's border is where the film's is."""
  landmarks = reading.landmarks(rows)
  fates = np.full(len(rows), DUBBED, np.int8)
  fates[np.abs(turn(landmarks)) > TURNED] = PROFILE
  lips = landmarks[:, points.LIPS_OUTER, :2]
  beyond = (lips < 0) | (lips > np.array(reading.shown))
  fates[beyond.any((1, 2))] = BORDER
  tall = np.linalg.norm(
    landmarks[:, points.FOREHEAD] - landmarks[:, points.CHIN_TIP], axis=-1
  )  # fmt: skip
  fates[tall < SMALLEST] = SMALL
  return fates


def _cover(fates, rows, reading):
  """Marks frames of one take whose mouth is unlike all that it does in the others."""
  part = np.flatnonzero(fates == DUBBED)
  if len(part) < FEW:
    return
  mouths = lambda some: _centred(reading.records[rows[some]]['mouth'].astype(np.float32))
  mean, modes = _learned(
    mouths(part[np.linspace(0, len(part) - 1, min(len(part), TYPICAL)).astype(int)])
  )
  left = np.concatenate([
    unexplained(mouths(part[start : start + PIECE]), mean, modes)
    for start in range(0, len(part), PIECE)
  ])  # fmt: skip
  left = scipy.ndimage.median_filter(left, 5, mode='nearest')
  fates[part[left > max(LEFT, np.median(left) + FALL)]] = COVERED


def _learned(mouths):
  """Learns what a mouth does from vectors [n, 768]: mean [768] and modes [k, 768].

  The least alike are left out, in case they are covered.
  """
  usual = np.median(mouths, axis=0)
  alike = mouths @ (usual / max(float(np.linalg.norm(usual)), 1e-6))
  known = mouths[alike >= np.quantile(alike, ODD)]
  mean = known.mean(0)
  modes = np.linalg.svd(known - mean, full_matrices=False)[2]
  return mean, modes[: min(MODES, len(known) // 4)]


def unexplained(mouths, mean, modes):
  """Measures how much of each vector [n, 768] a mean and modes leave, [n]: 0 nothing, 1 all."""
  rest = mouths - mean
  return np.linalg.norm(rest - (rest @ modes.T) @ modes, axis=1)


def _centred(mouths):
  """Brings small pictures [n, 16, 16, 3] to vectors [n, 768] of length 1 and colours of mean 0."""
  mouths = (mouths - mouths.mean((1, 2), keepdims=True)).reshape(len(mouths), -1)
  return mouths / np.maximum(np.linalg.norm(mouths, axis=1, keepdims=True), 1e-6)


def _steady(fates):
  """Bridges what is too short to be true, and leaves alone what is too short to be worth it."""
  for start, stop in runs(fates):
    short = stop - start < BRIDGED and fates[start] in (PROFILE, COVERED)
    if short and 0 < start and stop < len(fates) and fates[start - 1] == fates[stop] == DUBBED:
      fates[start:stop] = DUBBED
  for start, stop in runs(fates):
    if fates[start] == DUBBED and stop - start < SHORTEST:
      fates[start:stop] = SHORT


def runs(*series):
  """Lists (start, stop) of the parts in which no series [T] changes."""
  count = len(series[0])
  if not count:
    return []
  changes = np.any([each[1:] != each[:-1] for each in series], axis=0)
  edges = [0, *(np.flatnonzero(changes) + 1).tolist(), count]
  return list(zip(edges[:-1], edges[1:]))
