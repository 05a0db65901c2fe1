"""Whether a minute of motion is as good as the first: figures of motion alone, nothing is drawn.

The motion of one portrait is cut into pieces of equal length, and each is held against the motion
of the same sound begun anew from the portrait: what somebody says differs from minute to minute,
and so do correlation and spread of anybody's lips; what is left is what the time before has done.
A walk away from the portrait shows in all figures, however slow it is. In silence lips have to
rest, and all else to stay where people are.
"""

import numpy as np

from ifmdm_jax.evaluation.types import Metric
from ifmdm_jax.face.lag import correlation
from ifmdm_jax.face.points import smooth
from ifmdm_jax.rates import FPS

METRICS = {
  'drift_r': Metric(
    'up', '', 'r of opening and voice in a piece less that of it begun anew; the lowest', 2
  ),
  'drift_spread': Metric(
    'up', '', 'deviation of the opening in a piece over that of it begun anew; the least', 2
  ),
  'drift_mean': Metric(
    'down', '', 'mean opening of a piece from that of it begun anew; the furthest', 3
  ),
  'code_range': Metric('up', '', 'codes inside the range of 99.9 % of those of people, share', 4),
  'silence_rest': Metric('down', '', 'furthest opening in silence from that of its start', 3),
}
CLOSED_AFTER = 1.0  # seconds after which lips have to be at rest


def pieces(length, seconds):
  """Lists slices of `seconds` in so many frames; a rest of less than half a piece is left out."""
  size = round(seconds * FPS)
  found = [slice(start, start + size) for start in range(0, length, size)]
  return [piece for piece in found if length - piece.start >= size / 2 or piece.start == 0]


def table(motion, predicted=None, seconds=60.0):
  """Measures every piece of a motion.

  Args:
    motion: `generator.Motion`.
    predicted: [T], the opening that the voice predicts; None for silence.
    seconds: of a piece.

  Returns:
    {'r' (0 without a voice), 'spread', 'mean': [pieces], of the mouth opening; 'range': share of
    codes inside the range of people}.
  """
  opening, found = motion.opening, pieces(len(motion.opening), seconds)
  predicted = np.full(len(opening), np.nan) if predicted is None else predicted
  return {
    'r': np.array([correlation(predicted[piece], smooth(opening[piece])) for piece in found]),
    'spread': np.array([opening[piece].std() for piece in found]),
    'mean': np.array([opening[piece].mean() for piece in found]),
    'range': np.array([motion.inside[piece].mean() for piece in found]),
  }


def joined(tables):
  """Puts tables one behind the other."""
  return {name: np.concatenate([each[name] for each in tables]) for name in tables[0]}


def score(measured, anew):
  """Returns the drift figures of METRICS.

  Args:
    measured: `table` of a voice.
    anew: of the same pieces, each begun from the portrait.
  """
  return {
    'drift_r': float((measured['r'] - anew['r']).min()),
    'drift_spread': float((measured['spread'] / np.maximum(anew['spread'], 1e-9)).min()),
    'drift_mean': float(np.abs(measured['mean'] - anew['mean']).max()),
    'code_range': float(measured['range'].mean()),
  }


def silence_rest(opening):
  """Measures how far lips [T] get from where they are after `CLOSED_AFTER` seconds of silence."""
  opening = opening[round(CLOSED_AFTER * FPS) :]
  return float(np.abs(opening - opening[:FPS].mean()).max())
