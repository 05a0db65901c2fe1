"""Inception-v3 of pytorch-fid (`pt_inception-2015-12-05-*.pth`) -> `perception.inception`."""

import flax.traverse_util
import jax
import jax.numpy as jnp

from ifmdm_jax.importers import batch_norm, engine
from ifmdm_jax.perception.inception import Inception

RULES = [  # theirs                            ours                     axes
  (r'(Conv2d_\w+)\.conv\.weight', r'\1/conv/kernel', 'OIHW->HWIO'),
  (r'(Mixed_\w+)\.(branch\w+)\.conv\.weight', r'\1/\2/conv/kernel', 'OIHW->HWIO'),
  *batch_norm.rules(r'(Conv2d_\w+)\.bn', r'\1/bn'),
  *batch_norm.rules(r'(Mixed_\w+)\.(branch\w+)\.bn', r'\1/\2/bn'),
]

IGNORED = [
  batch_norm.COUNTER,
  (r'fc\.(weight|bias)', 'class scores; FID reads what comes before them'),
]


def target():
  """Shapes of our parameters."""
  image = jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32)
  return jax.eval_shape(Inception().init, jax.random.key(0), image)['params']


def convert(state, model=None):
  """{their key: array} -> (model, params); see `importers.autoencoder.convert`."""
  return model or Inception(), engine.convert(state, RULES, IGNORED, target())


def theirs():
  """{entry: shape} of the published file."""
  shapes = {'fc.weight': (1008, 2048), 'fc.bias': (1008,)}
  for path, leaf in flax.traverse_util.flatten_dict(target(), sep='/').items():
    name = path.replace('/', '.')
    if name.endswith('.conv.kernel'):
      height, width, inputs, outputs = leaf.shape
      shapes[name.replace('kernel', 'weight')] = (outputs, inputs, height, width)
      shapes |= batch_norm.shapes(name.replace('conv.kernel', 'bn'), outputs)
  return shapes
