"""Inception-v3 of pytorch-fid (`pt_inception-2015-12-05-*.pth`) -> `perception.inception`."""

import flax.traverse_util
import jax
import jax.numpy as jnp

from ifmdm_jax.importers import batch_norm, engine
from ifmdm_jax.perception.inception import Inception

RULES = [  # original                          path                     axes
  ('Conv2d_{name}.conv.weight', 'Conv2d_{name}/conv/kernel', 'OIHW->HWIO'),
  (
    'Mixed_{name}.branch{branch}.conv.weight',
    'Mixed_{name}/branch{branch}/conv/kernel',
    'OIHW->HWIO',
  ),
  *batch_norm.rules('Conv2d_{name}.bn', 'Conv2d_{name}/bn'),
  *batch_norm.rules('Mixed_{name}.branch{branch}.bn', 'Mixed_{name}/branch{branch}/bn'),
]

IGNORED = [
  batch_norm.COUNTER,
  ('fc.{part:weight|bias}', 'class scores; FID reads what comes before them'),
]


def target():
  """Returns shapes of our parameters."""
  image = jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32)
  return jax.eval_shape(Inception().init, jax.random.key(0), image)['params']


def convert(state, model=None):
  """Converts {their key: array} -> (model, params); see `importers.autoencoder.convert`."""
  return model or Inception(), engine.convert(state, RULES, IGNORED, target())


def published():
  """Returns {entry: shape} of the published file."""
  shapes = {'fc.weight': (1008, 2048), 'fc.bias': (1008,)}
  for path, leaf in flax.traverse_util.flatten_dict(target(), sep='/').items():
    name = path.replace('/', '.')
    if name.endswith('.conv.kernel'):
      height, width, inputs, outputs = leaf.shape
      shapes[name.replace('kernel', 'weight')] = (outputs, inputs, height, width)
      shapes |= batch_norm.shapes(name.replace('conv.kernel', 'bn'), outputs)
  return shapes
