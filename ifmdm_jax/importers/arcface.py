"""InsightFace's IResNet (`backbone.pth`, depth 18 to 100) -> `perception.arcface`."""

import re

import jax
import jax.numpy as jnp

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import CHIP_SIDE
from ifmdm_jax.importers import batch_norm, engine
from ifmdm_jax.perception.arcface import DEPTHS, WIDTHS, IResNet


def channels_last(weight):
  """Reorders their [512, 7, 7] laid flat to [7, 7, 512]: [O, CHW] -> [HWC, O]."""
  return weight.reshape(-1, 512, 7, 7).transpose(2, 3, 1, 0).reshape(512 * 49, -1)


def channels_first(kernel):
  """Inverts `channels_last`."""
  return kernel.reshape(7, 7, 512, -1).transpose(3, 2, 0, 1).reshape(-1, 512 * 49)


RULES = [  # original                              path                             axes
  ('conv1.weight', 'conv1/kernel', 'OIHW->HWIO'),
  ('prelu.weight', 'prelu/alpha', ''),
  ('layer{i}.{j}.conv{k}.weight', 'layer{i}_{j}/conv{k}/kernel', 'OIHW->HWIO'),
  ('layer{i}.{j}.prelu.weight', 'layer{i}_{j}/prelu/alpha', ''),
  ('layer{i}.{j}.downsample.0.weight', 'layer{i}_{j}/downsample_0/kernel', 'OIHW->HWIO'),
  *batch_norm.rules('layer{i}.{j}.downsample.1', 'layer{i}_{j}/downsample_1'),
  *batch_norm.rules('layer{i}.{j}.bn{k}', 'layer{i}_{j}/bn{k}'),
  *batch_norm.rules('{norm:bn1|bn2|features}', '{norm}'),
  ('fc.weight', 'fc/kernel', (channels_last, channels_first)),
  ('fc.bias', 'fc/bias', ''),
]

IGNORED = [batch_norm.COUNTER]


def convert(state, model=None):
  """Converts {their key: array} -> (model, params); the depth is read off the keys.

  Raises:
    errors.InputError: entries that are missing, left over or of another shape.
  """
  state = {engine.strip_wrapper(key): value for key, value in state.items()}
  if model is None:
    blocks = [re.fullmatch(r'layer(\d)\.\d+\.conv1\.weight', key) for key in state]
    stages = [match[1] for match in blocks if match]
    depths = tuple(stages.count(stage) for stage in '1234')
    if depths not in DEPTHS.values():
      raise InputError(
        f'weights have {depths} blocks in layer1 to layer4: expected an IResNet of InsightFace, '
        + ', '.join(f'{name}: {known}' for name, known in DEPTHS.items())
      )
    model = IResNet(depths)
  image = jax.ShapeDtypeStruct((1, CHIP_SIDE, CHIP_SIDE, 3), jnp.float32)
  target = jax.eval_shape(model.init, jax.random.key(0), image)['params']
  return model, engine.convert(state, RULES, IGNORED, target)


def published(depth=50):
  """Returns {entry: shape} of `backbone.pth` of IResNet-18, 34, 50 or 100."""
  shapes = {
    'conv1.weight': (64, 3, 3, 3),
    'prelu.weight': (64,),
    'fc.weight': (512, 512 * 49),
    'fc.bias': (512,),
    **batch_norm.shapes('bn1', 64),
    **batch_norm.shapes('bn2', 512),
    **batch_norm.shapes('features', 512),
  }
  inputs = 64
  for stage, (width, blocks) in enumerate(zip(WIDTHS, DEPTHS[depth]), 1):
    for i in range(blocks):
      name = f'layer{stage}.{i}'
      shapes[f'{name}.conv1.weight'] = (width, inputs, 3, 3)
      shapes[f'{name}.conv2.weight'] = (width, width, 3, 3)
      shapes[f'{name}.prelu.weight'] = (width,)
      for norm, channels in (('bn1', inputs), ('bn2', width), ('bn3', width)):
        shapes.update(batch_norm.shapes(f'{name}.{norm}', channels))
      if i == 0:
        shapes[f'{name}.downsample.0.weight'] = (width, inputs, 1, 1)
        shapes.update(batch_norm.shapes(f'{name}.downsample.1', width))
      inputs = width
  return shapes
