"""VGG-16 and VGG-19 of torchvision -> `perception.vgg`, `perception.vgg19`.

Theirs are numbered through `features`, counting convolutions, ReLUs and pools; ours have the
paper's names: conv3_2 is the second convolution of the third stage.
"""

import jax
import jax.numpy as jnp

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import engine
from ifmdm_jax.perception import vgg, vgg19

COUNTS = {'vgg16': (2, 2, 3, 3, 3), 'vgg19': (2, 2, 4, 4, 4)}  # convolutions of each stage
WIDTHS = (64, 128, 256, 512, 512)
IGNORED = [(r'classifier\..*', 'class scores, never read')]


def places(counts):
  """{'conv1_1': 0, 'conv1_2': 2, 'conv2_1': 5, ...}, their place in `features`."""
  found, place = {}, 0
  for stage, count in enumerate(counts, 1):
    for i in range(1, count + 1):
      found[f'conv{stage}_{i}'] = place
      place += 2  # the convolution and its ReLU
    place += 1  # the pool
  return found


def rules(counts):
  rows = []
  for name, place in places(counts).items():
    rows += [
      (rf'features\.{place}\.weight', f'{name}/kernel', 'OIHW->HWIO'),
      (rf'features\.{place}\.bias', f'{name}/bias', ''),
    ]
  return rows


def convert(state, model=None):
  """{their key: array} -> (model, params); which of the two is read off the keys.

  Raises:
    errors.InputError: entries that are missing, left over or of another shape.
  """
  if 'features.0.weight' not in state:
    raise InputError('weights have no features.0.weight: expected vgg16 or vgg19 of torchvision')
  name = 'vgg19' if 'features.34.weight' in state else 'vgg16'
  model = model or {'vgg16': vgg.Vgg16, 'vgg19': vgg19.Vgg19}[name]()
  ignored = list(IGNORED)
  if name == 'vgg19':
    unused = '|'.join(str(places(COUNTS[name])[f'conv5_{i}']) for i in (2, 3, 4))
    ignored.append((rf'features\.({unused})\..*', 'the perceptual loss ends at relu5_1'))
  image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  target = jax.eval_shape(model.init, jax.random.key(0), image)['params']
  return model, engine.convert(state, rules(COUNTS[name]), ignored, target)


def theirs(name='vgg19'):
  """{entry: shape} of torchvision's file of 'vgg16' or 'vgg19'."""
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
