"""All families of metrics, in the order of the table."""

import dataclasses
import types as python_types

from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import (
  cost,
  diversity,
  eyelids,
  eyes,
  frechet,
  identity,
  images,
  landmarks,
  lip_sync,
  movement,
  perceptual,
  quality,
  sync,
  undrawn,
)
from ifmdm_jax.evaluation.types import Absent

DRIVEN, REENACT = '', 'reenact_'  # prefixes of a metric's name: which video it is about


@dataclasses.dataclass(frozen=True)
class Family:
  """A module of metrics and the videos that it looks at.

  Attributes:
    module: has METRICS and load; see `types`.
    video: DRIVEN or REENACT.
    only: names of its metrics; all of them if empty.
  """

  module: python_types.ModuleType
  video: str = DRIVEN
  only: tuple[str, ...] = ()

  @property
  def name(self):
    return self.module.__name__.rsplit('.', 1)[-1]

  @property
  def metrics(self):
    """Names its metrics as the table does, {name: Metric}."""
    chosen = self.only or tuple(self.module.METRICS)
    return {self.video + name: self.module.METRICS[name] for name in chosen}


FAMILIES = (
  Family(images, REENACT),
  Family(perceptual, REENACT),
  Family(landmarks, REENACT),
  Family(eyelids, REENACT),
  # What a picture is like as a whole, and next to it how much it moves: a still face is easy.
  Family(frechet),
  Family(movement),
  Family(eyes),
  Family(quality),
  Family(identity),
  # Sync: never one figure alone.
  Family(sync),
  Family(lip_sync),
  Family(landmarks, only=('lmd', 'f_lmd')),
)
OTHERS = (diversity, undrawn, cost)  # not of a pair of videos


def metrics():
  """Lists the metrics of the whole table, {name: Metric}."""
  result = {name: metric for family in FAMILIES for name, metric in family.metrics.items()}
  return result | {name: metric for module in OTHERS for name, metric in module.METRICS.items()}


def load(weights=None):
  """Loads a scorer of each family, {module's name: scorer, or Absent: its networks are missing}."""
  scorers = {}
  for family in FAMILIES:
    if family.name in scorers:
      continue
    try:
      scorers[family.name] = family.module.load(weights)
    except (InputError, OSError) as error:
      scorers[family.name] = Absent(str(error))
  return scorers
