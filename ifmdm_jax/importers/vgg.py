"""VGG-16 and VGG-19 of torchvision -> `perception.vgg`, `perception.vgg19`.

Theirs are numbered through `features`, counting convolutions, ReLUs and pools; ours have the
paper's names: conv3_2 is the second convolution of the third stage.
"""

import jax
import jax.numpy as jnp

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import engine
from ifmdm_jax.perception import vgg, vgg19
from ifmdm_jax.perception.vgg import COUNTS, WIDTHS

NETWORKS = {'vgg16': vgg.Vgg(), 'vgg19': vgg19.NETWORK}
IGNORED = [('classifier.*', 'class scores, never read')]


def places(counts):
  """Finds the place of each layer in `features`: {'conv1_1': 0, 'conv1_2': 2, ...}."""
  # Each convolution has its ReLU behind it, and each stage before it a pool.
  return {
    name: 2 * i + int(name.removeprefix('conv').split('_')[0]) - 1
    for i, name in enumerate(vgg.names(counts))
  }


def rules(counts):
  """Makes rows for a network of so many convolutions a stage."""
  rows = []
  for name, place in places(counts).items():
    rows += [
      (f'features.{place}.weight', f'{name}/kernel', 'OIHW->HWIO'),
      (f'features.{place}.bias', f'{name}/bias', ''),
    ]
  return rows


def convert(state, model=None, name=None):
  """Converts {their key: array} -> (model, params).

  Args:
    name: 'vgg16' or 'vgg19', which it should be; None: as the keys say.

  Raises:
    errors.InputError: the other network, or entries that are missing, left over or of another
      shape.
  """
  if 'features.0.weight' not in state:
    raise InputError('weights have no features.0.weight: expected vgg16 or vgg19 of torchvision')
  kind = 'vgg19' if 'features.34.weight' in state else 'vgg16'
  if name not in (None, kind):
    raise InputError(f'weights are those of {kind}, not of {name}: pass --kind {kind}')
  model = model or NETWORKS[kind]
  ignored = list(IGNORED)
  if kind == 'vgg19':
    unused = '|'.join(str(places(COUNTS[kind])[f'conv5_{i}']) for i in (2, 3, 4))
    ignored.append((f'features.{{place:{unused}}}.*', 'the perceptual loss ends at relu5_1'))
  image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  target = jax.eval_shape(model.init, jax.random.key(0), image)['params']
  return model, engine.convert(state, rules(COUNTS[kind]), ignored, target)


def published(name='vgg19'):
  """Returns {entry: shape} of torchvision's file of 'vgg16' or 'vgg19'."""
  shapes, inputs = {}, 3
  for conv, place in places(COUNTS[name]).items():
    width = WIDTHS[int(conv[4]) - 1]
    shapes[f'features.{place}.weight'] = (width, inputs, 3, 3)
    shapes[f'features.{place}.bias'] = (width,)
    inputs = width
  for place, (inputs, width) in zip((0, 3, 6), ((512 * 49, 4096), (4096, 4096), (4096, 1000))):
    shapes[f'classifier.{place}.weight'] = (width, inputs)
    shapes[f'classifier.{place}.bias'] = (width,)
  return shapes
