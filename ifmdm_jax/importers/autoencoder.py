"""The published stage-1 generator (`gen` of a checkpoint) -> parameters of `model.Autoencoder`.

LIA's generator, which it descends from, has the same names less the generated features.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import engine
from ifmdm_jax.nn.stylegan import channels
from ifmdm_jax.systems.ifmdm.autoencoder import model as stage_1
from ifmdm_jax.systems.ifmdm.autoencoder import paper
from ifmdm_jax.systems.ifmdm.autoencoder.encoder import num_halvings
from ifmdm_jax.systems.ifmdm.autoencoder.model import Autoencoder

APP = 'enc.net_app.convs'
HEADS = 'dec.{head:to_flows|to_rgbs}.{i}'
REFINE = 'dec.refine_block'

RULES = [  # original                                   path                               axes
  (APP + '.0.0.weight', 'appearance_net/conv_in/conv/kernel', 'OIHW->HWIO'),
  (APP + '.0.1.bias', 'appearance_net/conv_in/bias', '1C11->C'),
  (APP + '.{i}.conv1.0.weight', 'appearance_net/block_{i}/conv1/conv/kernel', 'OIHW->HWIO'),
  (APP + '.{i}.conv1.1.bias', 'appearance_net/block_{i}/conv1/bias', '1C11->C'),
  (APP + '.{i}.conv2.1.weight', 'appearance_net/block_{i}/conv2/conv/kernel', 'OIHW->HWIO'),
  (APP + '.{i}.conv2.2.bias', 'appearance_net/block_{i}/conv2/bias', '1C11->C'),
  (APP + '.{i}.skip.1.weight', 'appearance_net/block_{i}/skip/conv/kernel', 'OIHW->HWIO'),
  ('enc.fc.{i}.weight', 'motion_head/fc_{i}/kernel', 'OI->IO'),
  ('enc.fc.{i}.bias', 'motion_head/fc_{i}/bias', ''),
  ('dec.direction.weight', 'directions/kernel', ''),
  ('dec.input.input', 'synthesis/input', '1CHW->HWC'),
  ('dec.conv1.conv.weight', 'synthesis/conv1/conv/kernel', '1OIHW->HWIO'),
  ('dec.conv1.conv.modulation.weight', 'synthesis/conv1/conv/modulation/kernel', 'OI->IO'),
  ('dec.conv1.conv.modulation.bias', 'synthesis/conv1/conv/modulation/bias', ''),
  ('dec.conv1.activate.bias', 'synthesis/conv1/bias', '1C11->C'),
  ('dec.convs.{i}.conv.weight', 'synthesis/convs_{i}/conv/kernel', '1OIHW->HWIO'),
  (
    'dec.convs.{i}.conv.modulation.weight',
    'synthesis/convs_{i}/conv/modulation/kernel',
    'OI->IO',
  ),
  ('dec.convs.{i}.conv.modulation.bias', 'synthesis/convs_{i}/conv/modulation/bias', ''),
  ('dec.convs.{i}.activate.bias', 'synthesis/convs_{i}/bias', '1C11->C'),
  (HEADS + '.bias', 'synthesis/{head}_{i}/bias', '1C11->C'),
  (HEADS + '.conv.0.weight', 'synthesis/{head}_{i}/layer/conv/kernel', 'OIHW->HWIO'),
  (HEADS + '.conv.1.bias', 'synthesis/{head}_{i}/layer/bias', '1C11->C'),
  (HEADS + '.{conv:conv|conv_gen}.weight', 'synthesis/{head}_{i}/{conv}/kernel', '1OIHW->HWIO'),
  (
    HEADS + '.{conv:conv|conv_gen}.modulation.weight',
    'synthesis/{head}_{i}/{conv}/modulation/kernel',
    'OI->IO',
  ),
  (
    HEADS + '.{conv:conv|conv_gen}.modulation.bias',
    'synthesis/{head}_{i}/{conv}/modulation/bias',
    '',
  ),
  (REFINE + '.convs.0.weight', 'refine_block/conv_0/kernel', 'OIHW->HWIO'),
  (REFINE + '.convs.0.bias', 'refine_block/conv_0/bias', ''),
  (REFINE + '.convs.2.weight', 'refine_block/conv_1/kernel', 'OIHW->HWIO'),
  (REFINE + '.convs.2.bias', 'refine_block/conv_1/bias', ''),
  (REFINE + '.convs.4.weight', 'refine_block/conv_2/kernel', 'OIHW->HWIO'),
  (REFINE + '.convs.4.bias', 'refine_block/conv_2/bias', ''),
  (REFINE + '.final_conv.weight', 'refine_block/conv_out/kernel', 'OIHW->HWIO'),
  (REFINE + '.final_conv.bias', 'refine_block/conv_out/bias', ''),
]

IGNORED = [
  ('*.kernel', 'buffers of the fixed [1, 3, 3, 1] filter'),
  ('*.noise.weight', 'noise is never passed'),
  ('dec.to_rgb1.*', 'colours of the 4x4 level are never read'),
]


def rules(model):
  """Adds to RULES the one name that depends on the picture size."""
  last = num_halvings(model.size) + 1
  return [(APP + f'.{last}.weight', 'appearance_net/conv_out/kernel', 'OIHW->HWIO'), *RULES]


def ignored(model):
  """Adds to IGNORED what depends on the kind of network and on the picture size."""
  rows = list(IGNORED)
  if not (model.clean or model.lia):
    reason = 'the last linear layer of the motion head never adds its bias'
    rows.append(('enc.fc.4.bias', reason))
  if not model.lia:
    last = num_halvings(model.size) - 1
    reason = 'generated features of the finest level never reach the picture'
    rows.append((f'dec.to_flows.{last}.conv_gen.*', reason))
  return rows


def unused(model):
  """Makes {their key: array} of all that `ignored` names, as a new network of theirs has it."""
  levels, width = num_halvings(model.size), channels(4, model.max_width)
  fir = engine.fir_kernel
  state = {}
  for i in range(1, levels + 1):
    state |= {f'enc.net_app.convs.{i}.{part}.0.kernel': fir() for part in ('conv2', 'skip')}
  if not (model.clean or model.lia):
    state['enc.fc.4.bias'] = np.zeros(model.motion_dim, np.float32)
  state['dec.conv1.noise.weight'] = np.zeros(1, np.float32)
  state['dec.to_rgb1.bias'] = state['dec.to_rgb1.conv.1.bias'] = np.zeros((1, 3, 1, 1), np.float32)
  state['dec.to_rgb1.conv.0.weight'] = np.zeros((3, width, 1, 1), np.float32)
  for level in range(levels):
    state[f'dec.convs.{2 * level}.conv.blur.kernel'] = fir(4)
    for i in (2 * level, 2 * level + 1):
      state[f'dec.convs.{i}.noise.weight'] = np.zeros(1, np.float32)
    state |= {f'dec.{head}.{level}.upsample.kernel': fir(4) for head in ('to_rgbs', 'to_flows')}
  if not model.lia:
    width = channels(model.size, model.max_width)
    last = f'dec.to_flows.{levels - 1}.conv_gen'
    state[f'{last}.weight'] = np.zeros((1, width, width, 1, 1), np.float32)
    state[f'{last}.modulation.weight'] = np.zeros((width, model.style_dim), np.float32)
    state[f'{last}.modulation.bias'] = np.ones(width, np.float32)
  return state


def convert(state, model=None):
  """Converts {their key: array} -> (model, params).

  Args:
    state: the `gen` entry of a checkpoint, of IF-MDM or of LIA.
    model: the Autoencoder to fill; by default one of the checkpoint's own sizes.

  Raises:
    errors.InputError: entries that are missing, left over or of another shape, all in one line.
  """
  state = {engine.strip_wrapper(key): value for key, value in state.items()}
  model = model or model_of(state)
  image = jax.ShapeDtypeStruct((1, model.size, model.size, 3), jnp.float32)
  target = jax.eval_shape(model.init, jax.random.key(0), image, image)['params']
  return model, engine.convert(state, rules(model), ignored(model), target)


def model_of(state):
  """Reads sizes off the shapes of a checkpoint: levels, motion code, refine block, LIA or not."""
  known = ('dec.direction.weight', 'dec.input.input')
  if any(key not in state for key in known):
    raise InputError(f'weights have no {" or ".join(known)}: pass the `gen` entry of a checkpoint')
  levels = sum('.to_rgbs.' in key and key.endswith('.conv.0.weight') for key in state)
  style_dim, motion_dim = state['dec.direction.weight'].shape
  refine = state.get('dec.refine_block.convs.0.weight')  # absent in the first part of training
  return Autoencoder(
    size=4 << max(levels, 1),
    motion_dim=motion_dim,
    style_dim=style_dim,
    max_width=state['dec.input.input'].shape[1],
    refine=refine is not None,
    refine_width=512 if refine is None else refine.shape[0],
    lia=not any('.conv_gen.' in key for key in state),
  )


def config(model):
  """Returns config.model of the network, for `model.build` and for training on."""
  return dict(module=paper.__name__, **{name: getattr(model, name) for name in stage_1.FIELDS})


def build(config):
  """Inverts `config`."""
  return stage_1.build(config)[0]
