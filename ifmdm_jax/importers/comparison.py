"""Ours beside golden: one array compared, and the difference that is accepted."""

from typing import NamedTuple

import numpy as np


class Limit(NamedTuple):
  """The difference that is accepted.

  Attributes:
    max, mean: of all entries; None: whatever the mean is.
    relative: to the original's entries.
    moments: of the first two entries of a summary, its mean and deviation; `max` is for the rest,
      which are single values.
  """

  max: float
  mean: float | None = None
  relative: bool = False
  moments: float | None = None

  def __str__(self):
    text = f'{"rel " if self.relative else ""}{self.max:.0e}'
    text += '' if self.mean is None else f' / {self.mean:.0e}'
    return text + ('' if self.moments is None else f', {self.moments:.0e}')


class Row(NamedTuple):
  """One array compared: largest and mean difference, what is accepted, whether it passes."""

  array: str
  max: float
  mean: float
  limit: str
  passed: bool


def compare(array, computed, golden, limit):
  """Compares as a Row; text and whole numbers have to be equal, an array not made is a miss."""
  if computed is None:
    return Row(array, np.nan, np.nan, 'is not computed', False)
  golden = np.asarray(golden)
  if golden.dtype.kind in 'iUS':
    passed = np.array_equal(np.asarray(computed), golden)
    return Row(array, 0.0 if passed else np.nan, 0.0 if passed else np.nan, 'equal', passed)
  computed, golden = np.asarray(computed, np.float64), golden.astype(np.float64)
  if computed.shape != golden.shape:
    return Row(array, np.nan, np.nan, f'shape {golden.shape}, computed {computed.shape}', False)
  error = np.abs(computed - golden)
  if limit.relative:  # zeros are exact: what nothing depends on has no gradient
    error = np.where(golden == 0, error, error / np.where(golden == 0, 1, np.abs(golden)))
  passed = error.max() < limit.max and (limit.mean is None or error.mean() < limit.mean)
  passed = passed and (limit.moments is None or error[:2].max() < limit.moments)
  return Row(array, error.max(), error.mean(), str(limit), bool(passed))
