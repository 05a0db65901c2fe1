"""SyncNet of syncnet_python (`syncnet_v2.model`) -> `perception.syncnet`."""

import jax
import jax.numpy as jnp

from ifmdm_jax.importers import batch_norm, engine
from ifmdm_jax.perception import syncnet


def stacked(weight):
  """Stacks a 3D kernel as deep as its input into a 2D one over frames: OITHW -> HW(TI)O."""
  if weight.ndim != 5:
    raise ValueError('expected 5 axes (OITHW)')
  outputs, inputs, time, height, width = weight.shape
  return weight.transpose(3, 4, 2, 1, 0).reshape(height, width, time * inputs, outputs)


def unstacked(kernel):
  """Inverts `stacked`, for colour pictures."""
  height, width, _, outputs = kernel.shape
  return kernel.reshape(height, width, syncnet.FRAMES, 3, outputs).transpose(4, 3, 2, 0, 1)


PLACES = {0: 1, 4: 5, 8: 9, 11: 12, 14: 15, 18: 19}  # of a convolution -> of its batch norm
CONV = '{place:0|4|8|11|14|18}'

RULES = [  # original                            path                       axes
  ('netcnnlip.0.weight', 'lip/conv_0/kernel', (stacked, unstacked)),
  (f'netcnnlip.{CONV}.weight', 'lip/conv_{place}/kernel', 'OI1HW->HWIO'),
  (f'netcnnaud.{CONV}.weight', 'audio/conv_{place}/kernel', 'OIHW->HWIO'),
  (f'netcnnlip.{CONV}.bias', 'lip/conv_{place}/bias', ''),
  (f'netcnnaud.{CONV}.bias', 'audio/conv_{place}/bias', ''),
]
for tower, own_tower in (('lip', 'lip'), ('aud', 'audio')):
  RULES += [
    (f'netfc{tower}.{{place:0|3}}.weight', f'{own_tower}/head/fc_{{place}}/kernel', 'OI->IO'),
    (f'netfc{tower}.{{place:0|3}}.bias', f'{own_tower}/head/fc_{{place}}/bias', ''),
    *batch_norm.rules(f'netfc{tower}.1', f'{own_tower}/head/norm_1'),
  ]
  for conv, norm in PLACES.items():
    RULES += batch_norm.rules(f'netcnn{tower}.{norm}', f'{own_tower}/norm_{conv}')

IGNORED = [batch_norm.COUNTER]


def convert(state, model=None):
  """Converts {their key: array} -> (model, params); see `importers.autoencoder.convert`."""
  model = model or syncnet.SyncNet()
  side, shape = syncnet.SIDE, lambda *sizes: jax.ShapeDtypeStruct(sizes, jnp.float32)
  frames = shape(1, side, side, 3 * syncnet.FRAMES)
  mfcc = shape(1, 13, syncnet.COLUMNS, 1)
  target = jax.eval_shape(model.init, jax.random.key(0), frames, mfcc)['params']
  return model, engine.convert(state, RULES, IGNORED, target)


def published():
  """Returns {entry: shape} of the published file."""
  lip = ((3, 96, (5, 7, 7)), (96, 256, (1, 5, 5)), *3 * [(256, 256, (1, 3, 3))])
  audio = ((1, 64, (3, 3)), (64, 192, (3, 3)), (192, 384, (3, 3)), (384, 256, (3, 3)))
  towers = {
    'lip': (*lip, (256, 512, (1, 6, 6))),
    'aud': (*audio, (256, 256, (3, 3)), (256, 512, (5, 4))),
  }
  shapes = {}
  for name, layers in towers.items():
    for (conv, norm), (inputs, width, size) in zip(PLACES.items(), layers):
      shapes[f'netcnn{name}.{conv}.weight'] = (width, inputs, *size)
      shapes[f'netcnn{name}.{conv}.bias'] = (width,)
      shapes.update(batch_norm.shapes(f'netcnn{name}.{norm}', width))
    for place, width in ((0, 512), (3, syncnet.WIDTH)):
      shapes[f'netfc{name}.{place}.weight'] = (width, 512)
      shapes[f'netfc{name}.{place}.bias'] = (width,)
    shapes.update(batch_norm.shapes(f'netfc{name}.1', 512))
  return shapes
