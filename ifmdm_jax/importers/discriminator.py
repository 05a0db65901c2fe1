"""The published discriminator (`dis` of a checkpoint) -> parameters of `Discriminator`."""

import jax
import jax.numpy as jnp

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import engine
from ifmdm_jax.systems.ifmdm.autoencoder import model as stage_1
from ifmdm_jax.systems.ifmdm.autoencoder import paper
from ifmdm_jax.systems.ifmdm.autoencoder.discriminator import Discriminator
from ifmdm_jax.systems.ifmdm.autoencoder.encoder import num_halvings

RULES = [  # original                     path                          axes
  ('convs.0.0.weight', 'conv_in/conv/kernel', 'OIHW->HWIO'),
  ('convs.0.1.bias', 'conv_in/bias', '1C11->C'),
  ('convs.{i}.conv1.0.weight', 'block_{i}/conv1/conv/kernel', 'OIHW->HWIO'),
  ('convs.{i}.conv1.1.bias', 'block_{i}/conv1/bias', '1C11->C'),
  ('convs.{i}.conv2.1.weight', 'block_{i}/conv2/conv/kernel', 'OIHW->HWIO'),
  ('convs.{i}.conv2.2.bias', 'block_{i}/conv2/bias', '1C11->C'),
  ('convs.{i}.skip.1.weight', 'block_{i}/skip/conv/kernel', 'OIHW->HWIO'),
  ('final_conv.0.weight', 'conv_out/conv/kernel', 'OIHW->HWIO'),
  ('final_conv.1.bias', 'conv_out/bias', '1C11->C'),
  ('final_linear.{i}.weight', 'fc_{i}/kernel', 'OI->IO'),
  ('final_linear.{i}.bias', 'fc_{i}/bias', ''),
]

IGNORED = [('*.kernel', 'buffers of the fixed [1, 3, 3, 1] filter')]


def unused(model):
  """Returns {their key: array} of everything that IGNORED names."""
  blocks = range(1, num_halvings(model.size) + 1)
  names = (f'convs.{i}.{part}.0.kernel' for i in blocks for part in ('conv2', 'skip'))
  return {name: engine.fir_kernel() for name in names}


def convert(state, model=None):
  """Converts {their key: array} -> (model, params); see `importers.autoencoder.convert`."""
  state = {engine.strip_wrapper(key): value for key, value in state.items()}
  model = model or model_of(state)
  image = jax.ShapeDtypeStruct((1, model.size, model.size, 3), jnp.float32)
  target = jax.eval_shape(model.init, jax.random.key(0), image)['params']
  return model, engine.convert(state, RULES, IGNORED, target)


def model_of(state):
  """Reads sizes off a checkpoint: each residual block halves the picture, down to 4 pixels."""
  if 'final_conv.1.bias' not in state:
    raise InputError('weights have no final_conv.1.bias: pass the `dis` entry of a checkpoint')
  halvings = sum(key.endswith('.skip.1.weight') for key in state)
  return Discriminator(size=4 << max(halvings, 1), max_width=state['final_conv.1.bias'].shape[1])


def config(model):
  """Returns config.model of the network: stage 1 is one module."""
  return dict(module=paper.__name__, size=model.size, max_width=model.max_width)


def build(config):
  """Inverts `config`."""
  return stage_1.build(config)[1]
