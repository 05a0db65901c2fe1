"""All families of metrics, in the order of the table."""

import dataclasses
import hashlib
import inspect
import pathlib
import types as python_types

from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import (
  cost,
  diversity,
  frechet,
  geometry,
  identity,
  images,
  landmarks,
  lip_sync,
  motion,
  perceptual,
  quality,
  sync,
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
    """{name in the table: Metric}."""
    chosen = self.only or tuple(self.module.METRICS)
    return {self.video + name: self.module.METRICS[name] for name in chosen}


FAMILIES = (
  Family(images, REENACT),
  Family(perceptual, REENACT),
  Family(landmarks, REENACT),
  # What a picture is like as a whole, and next to it how much it moves: a still face is easy.
  Family(frechet),
  Family(motion),
  Family(quality),
  Family(identity),
  # Sync: never one figure alone.
  Family(sync),
  Family(lip_sync),
  Family(landmarks, only=('lmd', 'f_lmd')),
)
OTHERS = (diversity, cost)  # not of a pair of videos
USED = ('audio', 'face', 'perception')  # rooms of the package that metrics are made of


def metrics():
  """{name: Metric} of the whole table."""
  result = {name: metric for family in FAMILIES for name, metric in family.metrics.items()}
  return result | {name: metric for module in OTHERS for name, metric in module.METRICS.items()}


def load(weights=None):
  """{module's name: scorer, or Absent where its networks are missing}."""
  scorers = {}
  for family in FAMILIES:
    if family.name in scorers:
      continue
    try:
      scorers[family.name] = family.module.load(weights)
    except (InputError, OSError) as error:
      scorers[family.name] = Absent(str(error))
  return scorers


def is_set(scorer):
  """Whether a scorer compares sets of clips."""
  return hasattr(scorer, 'describe')


def fingerprint():
  """Changes when any definition of a metric does."""
  modules = [family.module for family in FAMILIES] + [*OTHERS, geometry]
  sources = [inspect.getsource(module) for module in modules]
  package = pathlib.Path(__file__).parents[1]
  sources += [path.read_text() for room in USED for path in sorted((package / room).glob('*.py'))]
  return hashlib.sha256(''.join(sources).encode()).hexdigest()
