"""Parts of few-shot bundles: what they hold, how they are checked, written and read.

`networks`: {'params', 'states'} of embedder, projector, generator and discriminator, without the
table of videos. `person`: {'params', 'states'} of the generator alone; `style`, the vector of that
person; `landmarks` [K, 468, 2] of their pictures, fractions of the side, the most usual one first.
"""

import dataclasses
import json

import flax.traverse_util
import jax
import numpy as np

from ifmdm_jax import bundle
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import POINTS
from ifmdm_jax.systems.fewshot import losses, networks

GENERAL, PERSON = 'networks', 'person'
SAMPLED = ('embedder', 'projector', 'generator')
KEPT = (*SAMPLED, 'discriminator')


@dataclasses.dataclass(frozen=True)
class Settings:
  """Settings of either part, see `sizes` and `losses.DEFAULTS`."""

  image: int
  down: tuple
  encode: tuple
  bottleneck: int
  decode: tuple
  attention: tuple
  inner_lips: bool
  loss_preset: str = losses.DEFAULTS['loss_preset']
  content: str = losses.DEFAULTS['content']
  content_scale: float = losses.DEFAULTS['content_scale']
  content_window: int = losses.DEFAULTS['content_window']


def settings_of(name, config):
  """Returns what a part keeps of config.model, as JSON can say it."""
  whole = json.loads(config.to_json())
  settings = {field.name: whole[field.name] for field in dataclasses.fields(Settings)}
  checked(name, settings)
  return settings


def checked(name, settings):
  """Returns the settings of a part as `config.model` of its networks.

  Raises:
    InputError: one is unknown, missing, of another type, or of a size that no network has had.
  """
  config = bundle.settings(settings, Settings, f'part {name}')
  bundle.check_sizes(config, f'part {name}', zero=('attention', 'content_window'))
  losses.preset(config)
  config.videos = 1  # no row of the table is kept
  networks.build(config)  # says what does not fit
  return config


def read(weights, name, wanted):
  """Returns (config.model, params, states) of a part.

  Args:
    weights: a `bundle.Bundle`.
    name: of the part.
    wanted: names of networks.

  Raises:
    InputError: a network is missing, or not of the size that the settings say.
  """
  part = weights.parts[name]
  config = checked(name, part.settings)
  trees = [part.params.get(kind, {}) for kind in ('params', 'states')]
  where = f'part {name} of {weights.name}'
  require([each for each in wanted if not all(each in tree for tree in trees)], where)
  taken = [{each: tree[each] for each in wanted} for tree in trees]
  _check_shapes(config, taken, where)
  return config, *taken


def read_person(weights):
  """Returns (config.model, params, states, style, landmarks) of the part `person`.

  Raises:
    InputError: see `read`.
  """
  config, params, states = read(weights, PERSON, ('generator',))
  held, where = weights.parts[PERSON].params, f'part {PERSON} of {weights.name}'
  style, landmarks = (held.get(name) for name in ('style', 'landmarks'))
  width = networks.build(config).generator.style
  if np.shape(style) != (width,):
    require(['style'], where)
  if np.shape(landmarks)[1:] != (POINTS, 2) or not np.isfinite(landmarks).all():
    require(['landmarks'], f'{where}; adapt that person again')
  return config, params, states, style, landmarks


def require(missing, where):
  """Raises InputError where something is missing."""
  if missing:
    raise InputError(f'expected {", ".join(missing)} in {where}, got none')


def packed(config, params, states):
  """Returns the `bundle.Bundle` of trained networks, in half precision.

  The table of videos stays behind: of a new person nothing in it is asked for.
  """
  trees = {'params': params, 'states': states}
  trees = {kind: {name: tree[name] for name in KEPT} for kind, tree in trees.items()}
  part = bundle.Part(settings_of(GENERAL, config), bundle.half(trees))
  return bundle.Bundle('fewshot', {GENERAL: part})


def packed_person(config, fit, landmarks):
  """Returns the `bundle.Bundle` of a person, in half precision but for the landmarks.

  Args:
    config: config.model of the fit.
    fit: `training.adapt.Adapted` of `model`.
    landmarks: [K, 468, 2] of the pictures, fractions of the side, the most usual one first.
  """
  gen = fit.params['gen']
  trees = {
    'params': {'generator': gen['generator']},
    'states': {'generator': fit.extra['generator']},
    'style': gen['style'],
  }
  trees = {**bundle.half(trees), 'landmarks': np.asarray(landmarks, np.float32)}
  return bundle.Bundle('fewshot', {PERSON: bundle.Part(settings_of(PERSON, config), trees)})


def _check_shapes(config, taken, where):
  """Raises InputError unless (params, states) are as large as the networks of config.model."""
  shapes = jax.eval_shape(lambda key: networks.init(key, config), jax.random.key(0))
  for found, wanted in zip(taken, shapes):
    expected = {name: wanted[name] for name in found}
    expected, found = (flax.traverse_util.flatten_dict(tree) for tree in (expected, found))
    for path in sorted({*expected, *found}, key=str):
      sizes = [np.shape(tree[path]) if path in tree else None for tree in (expected, found)]
      if sizes[0] != sizes[1]:
        raise InputError(
          f'expected {"/".join(path)} of shape {sizes[0]} in {where}, got {sizes[1]}: its settings '
          'are of other networks'
        )
