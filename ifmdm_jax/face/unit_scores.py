"""Scores 52 named face units of points in JAX: the second network of MediaPipe's face landmarker.

An MLP-mixer (Tolstikhin et al. 2021) over 146 of the 478 points; `FaceUnits` runs the same file in
OpenCV. Here it is a pure function of a batch, under jit, with a gradient.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face import tflite, units

TOKENS, WIDTH, BLOCKS = 96, 64, 4
SCALE = 0.5  # points lie this far from their middle on average, as the network wants them


class MixerBlock(nn.Module):
  """Mixes tokens, then channels, each by an MLP with a way past it. [B, N, D] -> [B, N, D]."""

  @nn.compact
  def __call__(self, x):
    norm = functools.partial(nn.LayerNorm, epsilon=1e-6, use_bias=False)
    y = norm(name='norm_tokens')(x).swapaxes(1, 2)
    y = nn.Dense(x.shape[1], name='tokens_out')(nn.relu(nn.Dense(384, name='tokens_in')(y)))
    x = x + y.swapaxes(1, 2)
    y = nn.Dense(256, name='channels_in')(norm(name='norm_channels')(x))
    return x + nn.Dense(x.shape[2], name='channels_out')(nn.relu(y))


class UnitNetwork(nn.Module):
  """Scores units. Points [B, 146, 2], of `units.SEEN`, any similar pixels -> [B, 52], 0 to 1."""

  @nn.compact
  def __call__(self, points):
    x = points - points.mean(1, keepdims=True)
    x = x / jnp.linalg.norm(x, axis=-1, keepdims=True).mean(1, keepdims=True) * SCALE
    x = nn.Dense(TOKENS, name='points')(x.swapaxes(1, 2)).swapaxes(1, 2)
    x = nn.Dense(WIDTH, name='coordinates')(x)
    extra = self.param('extra', nn.initializers.zeros, (1, 1, WIDTH))
    x = jnp.concatenate([jnp.broadcast_to(extra, (len(x), 1, WIDTH)), x], 1)
    for i in range(BLOCKS):
      x = MixerBlock(name=f'block_{i}')(x)
    return nn.sigmoid(nn.Dense(len(units.NAMES), name='scores')(x[:, 0]))


@functools.cache
def load():
  """Reads the published weights as params of `UnitNetwork`, float32."""
  layers = tflite.Layers(units.UNITS)
  dense, constants = layers.dense(), layers.constants()
  params = {name: next(dense) for name in ('points', 'coordinates')}
  wide = [each.reshape(-1) for each in constants if each.size == WIDTH]
  params['extra'] = wide[0].reshape(1, 1, WIDTH)
  scales = iter(wide[1:])
  for i in range(BLOCKS):
    block = {}
    for part in ('tokens', 'channels'):
      block[f'norm_{part}'] = dict(scale=next(scales))
      block |= {f'{part}_in': next(dense), f'{part}_out': next(dense)}
    params[f'block_{i}'] = block
  params['scores'] = next(dense)
  return params


@jax.jit
def _scores(params, points):
  return UnitNetwork().apply({'params': params}, points)


def scores(points):
  """Scores the units of points [..., 478, 2] in pixels: [..., 52] in the order of `units.NAMES`."""
  chosen = jnp.asarray(points)[..., np.asarray(units.SEEN), :]
  flat = _scores(load(), chosen.reshape(-1, *chosen.shape[-2:]))
  return flat.reshape(*chosen.shape[:-2], -1)
