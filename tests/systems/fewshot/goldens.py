"""Outputs of an independent build in PyTorch, see experiments/fewshot_goldens, and these networks.

Weights, and the vectors that power iterations start from, are drawn from their names
(`tests/importers/foreign.py`) on both sides. Networks here carry the names of those there.
"""

import functools
import json

import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ifmdm_jax.systems.fewshot import networks
from tests.importers import foreign

BATCH, SHOTS, ITERATIONS = 2, 3, 4
LEAVES = {'weight_orig': 'kernel', 'weight': 'scale', 'bias': 'bias', 'gamma': 'gamma'}


def read(path):
  """Reads (sizes, names and shapes of the weights, counts, outputs)."""
  with np.load(path) as file:
    part = lambda name: {
      key.removeprefix(f'{name}/'): file[key] for key in file if key.startswith(f'{name}/')
    }
    size = ml_collections.ConfigDict(json.loads(str(file['size'])))
    return size, json.loads(str(file['keys'])), part('count'), part('out')


def converted(shapes):
  """Draws (params, starts of the power iterations), both {path: array}."""
  params, starts = {}, {}
  for name, array in foreign.draw(shapes).items():
    *path, leaf = name.split('.')
    if leaf == 'weight_u':
      starts[*path, 'u'] = array
    elif path == ['table']:
      params['table', 'embedding'] = array
    else:
      order = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[array.ndim]
      params[*path, LEAVES[leaf]] = array.transpose(order)
  return params, starts


def answers(size, shapes):
  """Runs the networks as make.py does: {output: float32 [...]}."""
  config = ml_collections.ConfigDict({**size, 'videos': shapes['table.weight_orig'][0]})
  of = networks.build(config)
  params, starts = converted(shapes)
  fresh = jax.eval_shape(lambda key: networks.init(key, config), jax.random.key(0))
  shaped = lambda tree: {k: v.shape for k, v in flax.traverse_util.flatten_dict(tree).items()}
  assert shaped(fresh[0]) == {k: v.shape for k, v in params.items()}
  states = {k: np.zeros(v, np.float32) for k, v in shaped(fresh[1]).items()} | starts
  assert shaped(fresh[1]) == {k: v.shape for k, v in states.items()}
  params, states = map(flax.traverse_util.unflatten_dict, (params, states))
  shots = foreign.picture(BATCH, SHOTS, size.image, size.image, 3)
  drawings = foreign.picture(BATCH, SHOTS + 1, size.image, size.image, 3)[:, 1:]
  inputs = shots, drawings, foreign.picture(BATCH, size.image, size.image, 3), jnp.array([3, 1])

  @functools.partial(jax.jit, static_argnames='train')
  def forward(states, shots, drawings, drawing, video, train):
    states = dict(states)

    def run(name, *given):
      module = getattr(of, name)
      result, states[name] = networks.run(module, params[name], states[name], *given, train=train)
      return result

    both = jnp.concatenate([shots, drawings], axis=-1)
    each = run('embedder', both.reshape(-1, *both.shape[2:])).reshape(BATCH, SHOTS, -1)
    style = run('projector', each.mean(1))
    frame = run('generator', drawing, style)
    rows = run('table', video)
    score, maps = run('discriminator', jnp.concatenate([frame, drawing], axis=-1), rows)
    out = dict(embedding=each, style=style, frame=frame, rows=rows, score=score)
    return states, out | {f'map_{i}': each for i, each in enumerate(maps)}

  for _ in range(ITERATIONS):
    states, _ = forward(states, *inputs, train=True)
  found = jax.device_get(forward(states, *inputs, train=False)[1])
  return found | {'map_0': found['map_0'][:1]}


def difference(found, golden):
  """Finds the largest difference, as a share of the golden's standard deviation."""
  return float(np.abs(np.float64(found) - golden).max() / np.float64(golden).std())
