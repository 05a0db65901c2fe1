"""Blinks of a video, as lids show them: how often, and how far they close.

The 468 points of the mesh that other figures use hardly see a blink; the 478 of `face.units` do.
A clip of seconds holds a blink or none: rates mean something over many clips.
"""

from typing import NamedTuple

import cv2
import numpy as np
import scipy.ndimage

from ifmdm_jax.evaluation import warps
from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.face import units
from ifmdm_jax.face.points import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from ifmdm_jax.rates import FPS

METRICS = {
  'blinks': Metric('truth', '/min', 'lids that close by half or more, for 0.6 s at most', 1),
  'lid_closure': Metric('truth', '', 'how far they close, median over blinks; 1 is shut', 2),
}
BLINK, CLOSED = 0.5, 0.8  # closure that counts as a blink; that counts as closed
LONGEST = round(0.6 * FPS)  # frames of a blink; beyond that somebody looks down, or sleeps
AROUND = 4 * FPS + 1  # frames that say how far eyes are usually open
LEAST_SEEN = 20  # pixels of an iris: of fewer its shape cannot be told
NARROW = 0.12  # of the width of an eye: an opening at which blinks cannot be told from rest


def load(weights=None):
  return Scorer(units.FaceUnits())


class Scorer:
  """See METRICS."""

  def __init__(self, reader):
    self._reader = reader

  def score(self, pair):
    opening = self.opening(pair.predicted)
    opening = opening[np.isfinite(opening)]
    if len(opening) < LONGEST:
      reason = f'a face in {len(opening)} of {len(pair.predicted)} frames of the video'
    elif np.median(opening) < NARROW:
      reason = 'eyes too narrow to tell a blink'
    else:
      found = blinks_of(closure(opening))
      depth = float(np.median([blink.depth for blink in found])) if found else Absent('no blink')
      return {'blinks': len(found) / len(opening) * pair.fps * 60, 'lid_closure': depth}
    return {name: Absent(reason) for name in METRICS}

  def opening(self, frames):
    """Measures the gap of the lids over the width of an eye, mean of both; NaN without a face."""
    return units.opening(self._reader.track(frames)[0]).mean(1)


def drawn_closure(reader, open_eyes, closed_eyes):
  """Measures how far drawn lids close: `lid_closure` of two pictures instead of a film.

  Args:
    reader: `face.units.FaceUnits`.
    open_eyes: uint8 RGB [H, W, 3], eyes as in the portrait.
    closed_eyes: the same of a face that does nothing but blink.

  Returns:
    Closure from 0 to 1, of the mean of both eyes, or `Absent`: no face was found.
  """
  points, _ = reader.track([open_eyes, closed_eyes])
  before, after = units.opening(points).mean(1)
  if not np.isfinite([before, after]).all():
    return Absent('no face was found')
  return float(np.clip(1.0 - after / max(before, 1e-6), 0.0, 1.0))


def covered(open_eyes, closed_eyes, points):
  """Measures how much of the eyes drawn lids hide, of the eye that they hide less, from 0 to 1.

  Args:
    open_eyes: `warps.Layer`s of a frame that does not blink.
    closed_eyes: the same of one that does.
    points: of `face.units.FaceUnits` in the portrait [478, 2], fractions of its side.
  """
  side, shares = len(open_eyes[0].grid), []
  seen = lambda layers, eye: sum((warps.shows(each, eye) & each.shown).sum() for each in layers)
  for ring in (LEFT_EYE, RIGHT_EYE):
    eye = _within(points[ring], side)
    shares.append(1.0 - seen(closed_eyes, eye) / max(seen(open_eyes, eye), 1))
  return float(np.clip(min(shares), 0.0, 1.0))


def roundness(layers, points):
  """Measures how round irises stay: the shorter over the longer axis of what a circle becomes.

  Of the affine map that comes nearest to the look-ups of all pixels that show what the portrait's
  lids leave of an iris.

  Args:
    layers: `warps.Layer`s of a frame.
    points: of `face.units.FaceUnits` in the portrait [478, 2], fractions of its side.

  Returns:
    From 0 to 1, of the less round iris; or `Absent`: none is seen.
  """
  side, found = len(layers[0].grid), []
  for ring, lids in ((LEFT_IRIS, LEFT_EYE), (RIGHT_IRIS, RIGHT_EYE)):
    iris = _within(points[ring], side) & _within(points[lids], side)
    shown = [warps.shows(layer, iris) & layer.shown for layer in layers]
    place = np.concatenate([np.argwhere(seen)[:, ::-1] for seen in shown])
    source = np.concatenate([layer.grid[seen] for layer, seen in zip(layers, shown)])
    if len(place) < LEAST_SEEN:
      continue
    affine = np.linalg.lstsq(place - place.mean(0), source - source.mean(0), rcond=None)[0]
    long, short = np.linalg.svd(affine, compute_uv=False)
    found.append(float(short / max(long, 1e-9)))
  return min(found) if found else Absent('no iris is seen')


def _within(ring, side):
  """Marks what lies within points [N, 2], fractions of a picture's side: bool [side, side]."""
  corners = cv2.convexHull(np.round(ring * side).astype(np.int32))
  return cv2.fillConvexPoly(np.zeros((side, side), np.uint8), corners, 1) > 0


class Blink(NamedTuple):
  """One blink: frame at which it begins, largest closure, frames to close, closed and to open."""

  start: int
  depth: float
  closing: float
  closed: float
  opening: float


def closure(opening):
  """Says how far lids are closed, from their gap over the width of the eye. [T] -> [T], 0 to 1.

  Open is the upper quartile of the 4 s around; closed is no gap.
  """
  usual = scipy.ndimage.percentile_filter(opening, 75, AROUND, mode='nearest')
  return np.clip(1.0 - opening / np.maximum(usual, 1e-6), 0.0, 1.0)


def blinks_of(closure):
  """Lists the blinks of a closure [T]: at least BLINK, for at most LONGEST frames."""
  below = np.concatenate([[True], closure < BLINK, [True]])
  edges = np.flatnonzero(np.diff(below.astype(int)))
  found = []
  for start, end in zip(edges[::2], edges[1::2]):
    if end - start > LONGEST or start == 0 or end == len(closure):
      continue
    peak = start + int(np.argmax(closure[start:end]))
    depth = float(closure[peak])
    full = closure >= 0.85 * depth
    first, last = peak, peak
    while full[first - 1]:
      first -= 1
    while last + 1 < len(full) and full[last + 1]:
      last += 1
    begin, finish = first, last
    while begin > 0 and closure[begin - 1] < closure[begin] and closure[begin] > 0.1 * depth:
      begin -= 1
    while (
      finish + 1 < len(closure)
      and closure[finish + 1] < closure[finish]
      and closure[finish] > 0.1 * depth
    ):
      finish += 1
    found.append(
      Blink(begin, depth, float(first - begin), float(last - first + 1), float(finish - last))
    )
  return found
