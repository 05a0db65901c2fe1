"""I3D of pytorch-i3d, Kinetics-400 (`rgb_imagenet.pt`) -> `perception.i3d`."""

import jax
import jax.numpy as jnp

from ifmdm_jax.importers import batch_norm, engine
from ifmdm_jax.perception.i3d import CLASSES, FRAMES, MIXED, SIDE, I3d

RULES = [  # original                            path                    axes
  ('Conv3d_{name}.conv3d.weight', 'Conv3d_{name}/conv3d/kernel', 'OITHW->THWIO'),
  ('Mixed_{name}.b{branch}.conv3d.weight', 'Mixed_{name}/b{branch}/conv3d/kernel', 'OITHW->THWIO'),
  ('logits.conv3d.weight', 'logits/kernel', 'OITHW->THWIO'),
  ('logits.conv3d.bias', 'logits/bias', ''),
  *batch_norm.rules('Conv3d_{name}.bn', 'Conv3d_{name}/bn'),
  *batch_norm.rules('Mixed_{name}.b{branch}.bn', 'Mixed_{name}/b{branch}/bn'),
]

IGNORED = [batch_norm.COUNTER]


def convert(state, model=None):
  """Converts {their key: array} -> (model, params); see `importers.autoencoder.convert`."""
  model = model or I3d()
  video = jax.ShapeDtypeStruct((1, FRAMES, SIDE, SIDE, 3), jnp.float32)
  target = jax.eval_shape(model.init, jax.random.key(0), video)['params']
  return model, engine.convert(state, RULES, IGNORED, target)


def published():
  """Returns {entry: shape} of the published file."""
  shapes = {'logits.conv3d.weight': (CLASSES, 1024, 1, 1, 1), 'logits.conv3d.bias': (CLASSES,)}

  def unit(name, inputs, width, size):
    shapes[f'{name}.conv3d.weight'] = (width, inputs, size, size, size)
    shapes.update(batch_norm.shapes(f'{name}.bn', width))

  unit('Conv3d_1a_7x7', 3, 64, 7)
  unit('Conv3d_2b_1x1', 64, 64, 1)
  unit('Conv3d_2c_3x3', 64, 192, 3)
  inputs = 192
  for name, (b0, b1a, b1b, b2a, b2b, b3b) in MIXED.items():
    for branch, theirs_in, width, size in (
      ('b0', inputs, b0, 1),
      ('b1a', inputs, b1a, 1),
      ('b1b', b1a, b1b, 3),
      ('b2a', inputs, b2a, 1),
      ('b2b', b2a, b2b, 3),
      ('b3b', inputs, b3b, 1),
    ):
      unit(f'Mixed_{name}.{branch}', theirs_in, width, size)
    inputs = b0 + b1b + b2b + b3b
  return shapes
