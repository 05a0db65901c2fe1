"""Frozen networks of metrics: those that can be had, run in batches of one shape."""

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation.types import Absent


def available(load, weights):
  """Loads every network that can be had.

  Args:
    load: {name: weights -> network}; one that cannot be had raises InputError.
    weights: folder of imported networks, or None; see `perception.weights.read`.

  Returns:
    ({name: network}, {name: Absent}).

  Raises:
    InputError: not one of them can be had.
  """
  networks, absent = {}, {}
  for name, make in load.items():
    try:
      networks[name] = make(weights)
    except InputError as error:
      absent[name] = Absent(str(error))
  if not networks:
    raise InputError('; '.join(reason.reason for reason in absent.values()))
  return networks, absent


class PairedFeatures:
  """Features of a pair's two videos; those of the reference, which all rows share, are kept."""

  def __init__(self, features):
    self.features = features  # (frames, landmarks) -> {name: array}
    self._references = {}

  def __call__(self, pair):
    """Returns {name: of the predicted video, name_reference: of the real one}."""
    if pair.name not in self._references:
      self._references[pair.name] = self.features(pair.reference, pair.reference_landmarks)
    reference = self._references[pair.name]
    same = pair.predicted is pair.reference
    predicted = reference if same else self.features(pair.predicted, pair.landmarks)
    return {**predicted, **{f'{name}_reference': value for name, value in reference.items()}}


def in_batches(run, x, batch):
  """Returns run(x), in batches of one size, the last one filled up: each network compiles once."""
  results = []
  for i in range(0, len(x), batch):
    part = x[i : i + batch]
    filled = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
    results.append(np.asarray(run(filled))[: len(part)])
  return np.concatenate(results)
