"""Ours beside theirs: one array compared, and the difference that is accepted."""

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


def compare(array, ours, theirs, limit):
  """A Row; text and whole numbers have to be equal, and an array we cannot make is a miss."""
  if ours is None:
    return Row(array, np.nan, np.nan, 'is not computed', False)
  theirs = np.asarray(theirs)
  if theirs.dtype.kind in 'iUS':
    passed = np.array_equal(np.asarray(ours), theirs)
    return Row(array, 0.0 if passed else np.nan, 0.0 if passed else np.nan, 'equal', passed)
  ours, theirs = np.asarray(ours, np.float64), theirs.astype(np.float64)
  if ours.shape != theirs.shape:
    return Row(array, np.nan, np.nan, f'shape {theirs.shape}, ours {ours.shape}', False)
  error = np.abs(ours - theirs)
  if limit.relative:  # zeros are exact: what nothing depends on has no gradient
    error = np.where(theirs == 0, error, error / np.where(theirs == 0, 1, np.abs(theirs)))
  passed = error.max() < limit.max and (limit.mean is None or error.mean() < limit.mean)
  passed = passed and (limit.moments is None or error[:2].max() < limit.moments)
  return Row(array, error.max(), error.mean(), str(limit), bool(passed))
