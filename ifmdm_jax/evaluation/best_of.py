"""Scores K samples of one clip: what one of them scores on average, and the best of the K.

The best is chosen by the figure itself and for each clip anew (Corona et al., arXiv 2403.08764):
choosing alone makes it better with every further seed. It says how far the samples reach, not what
a user gets, and compares with another best of the same K only.
"""

import numpy as np

from ifmdm_jax.evaluation.types import Absent, Metric

# Figures that are better the lower they are, {name: (family, what it is)}.
CHOSEN_BY = {
  'lmd': ('landmarks', 'distance of the mouth'),
  'f_lmd': ('landmarks', 'distance of the face'),
  'lse_d': ('lip_sync', 'LSE-D'),
  'lse_d_own': ('lip_sync', 'LSE-D of the network trained here'),
}
UNITS = {'landmarks': ('%', 2), 'lip_sync': ('', 3)}
METRICS = {
  f'{kind}_{name}': Metric('down', UNITS[family][0], f'{about}, {rule}', UNITS[family][1])
  for name, (family, about) in CHOSEN_BY.items()
  for kind, rule in (
    ('take', 'first 4 s, mean over seeds'),
    ('best', 'first 4 s, of each clip the seed where it is lowest'),
  )
}


def score(pairs, scorers):
  """Measures METRICS of one clip.

  Args:
    pairs: a `types.Pair` for each sample.
    scorers: {family: scorer or Absent}.
  """
  result = {}
  scores = {family: _each(scorers[family], pairs) for family in UNITS}
  for name, (family, _) in CHOSEN_BY.items():
    values = scores[family]
    if not isinstance(values, Absent):
      values = [each[name] for each in values]
      values = next((value for value in values if isinstance(value, Absent)), values)
    absent = isinstance(values, Absent)
    result[f'take_{name}'] = values if absent else float(np.mean(values))
    result[f'best_{name}'] = values if absent else float(np.min(values))
  return result


def _each(scorer, pairs):
  """Scores all samples, or says why not."""
  return scorer if isinstance(scorer, Absent) else [scorer.score(pair) for pair in pairs]
