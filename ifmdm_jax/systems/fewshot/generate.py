"""Few-shot heads as a system: samplers of bundles and of training runs, and their bundles.

A bundle has one part, `networks`: {'params', 'states'} of embedder, projector, generator and
discriminator, without the table of videos; or those of a person, `person`: {'params', 'states'} of
the generator alone, and the style vector.
"""

import dataclasses
import json
import pathlib

import flax.traverse_util
import jax
import ml_collections
import numpy as np

from ifmdm_jax import bundle, generator, testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.nn import spectral
from ifmdm_jax.systems.fewshot import networks
from ifmdm_jax.systems.fewshot.sampler import Sampler
from ifmdm_jax.systems.fewshot.sizes import SIZES

MODULE = 'ifmdm_jax.systems.fewshot.model'
GENERAL, PERSON = 'networks', 'person'
KEPT = ('embedder', 'projector', 'generator', 'discriminator')
SAMPLED = ('embedder', 'projector', 'generator')


@dataclasses.dataclass(frozen=True)
class Settings:
  """Settings of either part, see `sizes`."""

  image: int
  down: tuple
  encode: tuple
  bottleneck: int
  decode: tuple
  attention: tuple
  inner_lips: bool


def load(weights, *, shots=0):
  """Returns the `Sampler` of a `bundle.Bundle`.

  Args:
    weights: the bundle.
    shots: further pictures of the person that it is to be shown.

  Raises:
    InputError: a part is missing, or is not as it should be.
  """
  names = set(weights.parts)
  if names not in ({GENERAL}, {PERSON}):
    raise InputError(
      f'expected a bundle with {GENERAL} or {PERSON}, {weights.name} has {", ".join(sorted(names))}'
    )
  (name,) = names
  part = weights.parts[name]
  config, trees = checked(name, part.settings), part.params
  wanted = SAMPLED if name == GENERAL else ('generator',)
  trees = {kind: trees.get(kind, {}) for kind in ('params', 'states', 'style')}
  missing = [each for each in wanted if not all(each in trees[k] for k in ('params', 'states'))]
  if name == PERSON and np.shape(trees['style']) != (networks.build(config).generator.style,):
    missing.append('style')
  if missing:
    raise InputError(f'expected {", ".join(missing)} in part {name} of {weights.name}, got none')
  taken = [{each: trees[kind][each] for each in wanted} for kind in ('params', 'states')]
  _check_shapes(config, taken, f'part {name} of {weights.name}')
  style = trees['style'] if name == PERSON else None
  return Sampler(config, *taken, style=style, name=weights.name, shots=shots)


def load_run(workdir, config, params, *, shots=0):
  """Returns the `Sampler` of a training run, by its averaged parameters."""
  from ifmdm_jax.training import checkpoints  # Orbax: bundles are sampled without

  states = checkpoints.load_extra(workdir)
  taken = [{name: tree[name] for name in SAMPLED} for tree in (params['gen'], states)]
  name = pathlib.Path(workdir).resolve().name
  return Sampler(config.model, *taken, name=name, shots=shots)


def pack(runs):
  """Returns the `bundle.Bundle` of a workdir {'networks'}, in half precision.

  The table of videos stays behind: of a new person nothing in it is asked for.

  Raises:
    InputError: it is no run of this system.
  """
  from ifmdm_jax.training import checkpoints  # Orbax: sampling does without

  if set(runs) != {GENERAL}:
    raise InputError(f'expected --parts {GENERAL}=RUN, got {", ".join(runs)}')
  config, params = checkpoints.load(runs[GENERAL])
  if config.model.module != MODULE:
    raise InputError(f'expected a run of configs/fewshot.py, got one of {config.model.module}')
  params = {**params['gen'], **params['dis']}
  states = checkpoints.load_extra(runs[GENERAL])
  trees = {'params': params, 'states': states}
  trees = {kind: {name: tree[name] for name in KEPT} for kind, tree in trees.items()}
  part = bundle.Part(_settings(GENERAL, config.model), bundle.half(trees))
  return bundle.Bundle('fewshot', {GENERAL: part})


def pack_person(config, fit):
  """Returns the `bundle.Bundle` of a person, in half precision.

  Args:
    config: config.model of the fit.
    fit: `training.adapt.Adapted` of `model`.
  """
  gen = fit.params['gen']
  trees = {
    'params': {'generator': gen['generator']},
    'states': {'generator': fit.extra['generator']},
    'style': gen['style'],
  }
  return bundle.Bundle(
    'fewshot', {PERSON: bundle.Part(_settings(PERSON, config), bundle.half(trees))}
  )


def _settings(name, config):
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
  bundle.check_sizes(config, f'part {name}', zero=('attention',))
  config.videos = 1  # no row of the table is kept
  networks.build(config)  # says what does not fit
  return config


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


def fresh(size, dtype='float32'):
  """Returns a `Sampler` with random weights, to be timed; it takes any picture for a face.

  Raises:
    InputError: there is no such size.
  """
  if size not in SIZES or dtype != 'float32':
    raise InputError(f'expected a size of {", ".join(SIZES)} in float32, got {size} in {dtype}')
  config = ml_collections.ConfigDict({**SIZES[size], 'videos': 1})
  shapes = jax.eval_shape(lambda key: networks.init(key, config), jax.random.key(0))
  shapes = [{name: tree[name] for name in SAMPLED} for tree in shapes]
  params = testing.random_params(shapes[0], scale=0.05)
  track = lambda frames: np.random.default_rng(0).uniform(0, 1, (len(frames), 468, 2))
  return Sampler(config, params, _states(params), name=f'fewshot {size}', track=track)


def _states(params):
  """Finds states of the spectral norms for random parameters, by NumPy."""
  states = {}
  for path, kernel in flax.traverse_util.flatten_dict(params).items():
    if path[-1] == 'kernel':
      matrix = kernel.reshape(-1, kernel.shape[-1]).T
      u = np.ones(len(matrix), np.float32)
      for _ in range(3):
        v = matrix.T @ u
        v = v / max(np.linalg.norm(v), spectral.EPSILON)
        u = matrix @ v
        u = u / max(np.linalg.norm(u), spectral.EPSILON)
      states[*path[:-1], 'u'], states[*path[:-1], 'v'] = np.float32(u), np.float32(v)
  return flax.traverse_util.unflatten_dict(states)


SYSTEM = generator.System(
  load, {MODULE: MODULE}, load_run, pack, sizes=tuple(SIZES), fresh=fresh
)  # fmt: skip
