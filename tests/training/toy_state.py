"""Models with state that no gradient trains; their loader is the toy's.

As a Trainable: a layer with spectral norm, then a vector quantiser with running averages.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.nn.spectral import SpectralDense
from ifmdm_jax.nn.vq import VectorQuantizer
from tests.training import toy

make_loader = toy.make_loader


class Net(nn.Module):
  @nn.compact
  def __call__(self, x):
    h = SpectralDense(4, name='inner')(x)
    quantized = VectorQuantizer(6, averages=True, decay=0.8, name='quantizer')(h)
    return nn.Dense(4, name='outer')(jnp.tanh(quantized.z)), quantized.loss


def get_config():
  config = toy.get_config()
  config.model = dict(module='tests.training.toy_state')
  config.sharding = [('counts', ()), ('.*', 'fsdp')]
  config.mesh = dict(data=-1, fsdp=2)
  config.train.pictures_every = 0
  return config


def _variables(rng):
  return Net().init(rng, jnp.zeros((1, 4)))


def init(rng, config):
  del config
  return _variables(rng)['params']


def init_extra(rng, config):
  del config
  return {name: tree for name, tree in _variables(rng).items() if name != 'params'}


def loss(params, batch, rng, *, config, step, frozen, extra):
  del rng, config, step, frozen
  (made, commitment), extra = Net().apply(
    {'params': params, **extra}, batch['x'], mutable=list(extra)
  )
  error = ((made - batch['y']) ** 2).mean()
  return error + 0.25 * commitment, ({'error': error}, extra)


def evaluate(params, batch, rng, *, config, frozen, extra):
  del rng, config, frozen
  made, _ = Net().apply({'params': params, **extra}, batch['x'])
  return {'loss': ((made - batch['y']) ** 2).mean()}


def adapt(params, frames, config, *, extra):
  """One person's parameters: the outer layer begins with the mean of what it is to say."""
  del config
  outer = {**params['outer'], 'bias': jnp.asarray(frames['y'].mean(0))}
  return {**params, 'outer': jax.tree.map(jnp.asarray, outer)}, extra
