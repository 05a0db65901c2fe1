"""All families of metrics, in the order of the table, for each kind of protocol.

`TALK`: a picture and a voice become a video, DRIVEN; or a picture and a motion, REENACT. `DUB`: a
film gets new lips, by its OWN voice, where the film is the truth, and by ANOTHER's.
"""

import dataclasses
import types as python_types

from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import (
  best_of,
  cost,
  diversity,
  eyelids,
  eyes,
  frechet,
  identity,
  images,
  landmarks,
  lip_sync,
  lower_face,
  movement,
  perceptual,
  quality,
  seams,
  sync,
  undrawn,
)
from ifmdm_jax.evaluation.protocol import KINDS
from ifmdm_jax.evaluation.types import Absent

TALK, DUB = KINDS
# Prefixes of a metric's name: which video it is about.
DRIVEN, REENACT = '', 'reenact_'
OWN, ANOTHER = 'own_', 'another_'


@dataclasses.dataclass(frozen=True)
class Family:
  """A module of metrics and the videos that it looks at.

  Attributes:
    module: has METRICS and load; see `types`.
    video: DRIVEN or REENACT; OWN or ANOTHER.
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
DUBBING = (
  Family(lower_face, OWN),
  Family(landmarks, OWN, ('lmd', 'opening_r', 'opening_slope')),
  Family(sync, OWN),
  Family(lip_sync, OWN),
  Family(sync, ANOTHER),
  Family(lip_sync, ANOTHER),
  Family(identity, ANOTHER),
  Family(seams, ANOTHER),
)
OTHERS = {TALK: (diversity, best_of, undrawn, cost), DUB: (cost,)}  # not of a pair of videos


def families(kind=TALK):
  """Lists the families of a kind of protocol."""
  return {TALK: FAMILIES, DUB: DUBBING}[kind]


def metrics(kind=TALK):
  """Lists the metrics of the whole table, {name: Metric}."""
  result = {name: metric for family in families(kind) for name, metric in family.metrics.items()}
  others = {name: metric for module in OTHERS[kind] for name, metric in module.METRICS.items()}
  return result | others


def load(weights=None, kind=TALK):
  """Loads a scorer of each family, {module's name: scorer, or Absent: its networks are missing}."""
  scorers = {}
  for family in families(kind):
    if family.name in scorers:
      continue
    try:
      scorers[family.name] = family.module.load(weights)
    except (InputError, OSError) as error:
      scorers[family.name] = Absent(str(error))
  return scorers
