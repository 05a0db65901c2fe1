"""Whether a minute of motion is as good as the first: figures of motion codes, nothing is drawn.

The motion of one portrait is cut into pieces of equal length. What a piece does is held against the
first one; a walk away from the portrait shows in all of them, however slow it is. In silence lips
have to rest, and all else to stay where people are.
"""

import numpy as np

from ifmdm_jax.evaluation.types import Metric
from ifmdm_jax.face.lag import correlation
from ifmdm_jax.face.points import smooth
from ifmdm_jax.rates import FPS

METRICS = {
  'drift_r': Metric(
    'up', '', 'lowest r of opening and voice in a piece, less that of the first', 2
  ),
  'drift_spread': Metric('up', '', 'least deviation of the opening in a piece over the first', 2),
  'drift_mean': Metric('down', '', 'furthest mean opening of a piece from that of the first', 3),
  'code_range': Metric('up', '', 'codes in the range of 99.9 % of those of people, share', 4),
  'silence_rest': Metric('down', '', 'furthest opening in silence from that of its start', 3),
}
CLOSED_AFTER = 1.0  # seconds after which lips have to be at rest


def opening(codes, statistics):
  """Reads how far a mouth is open beyond what may be closed from codes [..., M], linearly."""
  return codes @ statistics['opening_weight'] + statistics['opening_bias'][0]


def pieces(length, seconds):
  """Lists slices of `seconds` in so many frames; a rest of less than half a piece is left out."""
  size = round(seconds * FPS)
  found = [slice(start, start + size) for start in range(0, length, size)]
  return [piece for piece in found if length - piece.start >= size / 2 or piece.start == 0]


def in_range(codes, rest, statistics, slack=1e-4):
  """Returns the share of codes [T, M] that are as far from the rest [M] as those of people."""
  away = codes - rest
  inside = (away >= statistics['lowest'] - slack) & (away <= statistics['highest'] + slack)
  return float(inside.mean())


def table(codes, rest, statistics, predicted=None, seconds=60.0):
  """Measures every piece of a motion.

  Args:
    codes: [T, M].
    rest: [M], the code that they are counted from.
    statistics: of `pipeline.statistics`.
    predicted: [T], the opening that the voice predicts; None for silence.
    seconds: of a piece.

  Returns:
    {'r' (0 without a voice), 'spread', 'mean': [pieces], of the mouth opening; 'range': share of
    codes in the range of people}.
  """
  shown = opening(codes, statistics)
  found = pieces(len(codes), seconds)
  asked = np.full(len(codes), np.nan) if predicted is None else predicted
  r = [correlation(asked[piece], smooth(shown[piece])) for piece in found]
  return {
    'r': np.array(r),
    'spread': np.array([shown[piece].std() for piece in found]),
    'mean': np.array([shown[piece].mean() for piece in found]),
    'range': np.array([in_range(codes[piece], rest, statistics) for piece in found]),
  }


def score(measured):
  """Returns the drift figures of METRICS of a `table` of a voice."""
  return {
    'drift_r': float((measured['r'] - measured['r'][0]).min()),
    'drift_spread': float((measured['spread'] / max(measured['spread'][0], 1e-9)).min()),
    'drift_mean': float(np.abs(measured['mean'] - measured['mean'][0]).max()),
    'code_range': float(measured['range'].mean()),
  }


def silence_rest(codes, statistics):
  """Returns how far lips get from where they are after `CLOSED_AFTER` seconds of silence."""
  shown = opening(codes, statistics)[round(CLOSED_AFTER * FPS) :]
  return float(np.abs(shown - shown[:FPS].mean()).max())
