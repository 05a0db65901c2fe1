"""Few-shot heads as a system: samplers of bundles and of training runs, and their bundles.

A bundle has one part, the `networks` that know nobody or the `person` that they were fitted to, see
`parts`.
"""

import pathlib

import flax.traverse_util
import jax
import ml_collections
import numpy as np

from ifmdm_jax import generator, testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.nn import spectral
from ifmdm_jax.systems.fewshot import networks, parts
from ifmdm_jax.systems.fewshot.parts import GENERAL, PERSON, SAMPLED
from ifmdm_jax.systems.fewshot.personal import Personal
from ifmdm_jax.systems.fewshot.sampler import Sampler
from ifmdm_jax.systems.fewshot.sizes import SIZES

MODULE = 'ifmdm_jax.systems.fewshot.model'


def load(weights, *, shots=0, driver='voice', motion=None):
  """Returns the `Sampler` of a `bundle.Bundle`.

  Args:
    weights: the bundle.
    shots: further pictures of the person that it is to be shown.
    driver: 'voice', or 'landmarks' of a film.
    motion: weights whose motion a voice drives; None: the bundled.

  Raises:
    InputError: a part is missing, or is not as it should be.
  """
  names, how = set(weights.parts), dict(name=weights.name, driver=driver, motion=motion)
  if names == {PERSON}:
    *networks_of, style, landmarks = parts.read_person(weights)
    return Sampler(*networks_of, style=style, landmarks=landmarks, **how)
  if names != {GENERAL}:
    raise InputError(
      f'expected a bundle with {GENERAL} or {PERSON}, {weights.name} has {", ".join(sorted(names))}'
    )
  return Sampler(*parts.read(weights, GENERAL, SAMPLED), shots=shots, **how)


def load_run(workdir, config, params, **options):
  """Returns the `Sampler` of a training run, by its averaged parameters; options: see `load`."""
  from ifmdm_jax.training import checkpoints  # Orbax: bundles are sampled without

  states = checkpoints.load_extra(workdir)
  taken = [{name: tree[name] for name in SAMPLED} for tree in (params['gen'], states)]
  name = pathlib.Path(workdir).resolve().name
  return Sampler(config.model, *taken, name=name, **options)


def pack(runs):
  """Returns the `bundle.Bundle` of a workdir {'networks'}, in half precision.

  Raises:
    InputError: it is no run of this system.
  """
  from ifmdm_jax.training import checkpoints  # Orbax: sampling does without

  if set(runs) != {GENERAL}:
    raise InputError(f'expected --parts {GENERAL}=RUN, got {", ".join(runs)}')
  config, params = checkpoints.load(runs[GENERAL])
  if config.model.module != MODULE:
    raise InputError(f'expected a run of configs/fewshot.py, got one of {config.model.module}')
  states = checkpoints.load_extra(runs[GENERAL])
  return parts.packed(config.model, {**params['gen'], **params['dis']}, states)


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
  return Sampler(
    config, params, states_of(params), name=f'fewshot {size}', driver='landmarks', track=track
  )


def states_of(params):
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
  load, {MODULE: MODULE}, load_run, pack, alone=GENERAL, sizes=tuple(SIZES), fresh=fresh,
  personal=Personal,
)  # fmt: skip
