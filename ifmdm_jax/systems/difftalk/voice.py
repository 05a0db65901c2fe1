"""Training of the voice's network ahead of stage 2: what the mouth does, told by the voice alone.

Not published. In stage 2 the voice says little of a picture's error, and a short training does not
learn to listen; here a linear layer on the windows of a frame tells the mouth's 20 points, and
minutes are enough. Stage 2 takes `audio` from here and leaves the layer behind.

`params` are {'audio': of `networks.AudioNet`, 'mouth'}; `config` is config.model of
configs/difftalk_voice.py.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.face.points import IBUG_PARTS
from ifmdm_jax.systems.difftalk import networks

POINTS = 20  # of the mouth
_FIRST = len(IBUG_PARTS['lips_outer'])
UPPER, LOWER = _FIRST + 2, _FIRST + 6  # middles of the inner lips
SHARE = 40.0  # of the face's square: a loss near 1


class Listener(nn.Module):
  """Speech [B, 8, 16, C] -> the mouth's points about their mean, [B, 20, 2], shares of the side.

  Attributes:
    channels, features: see `networks.AudioNet`.
    dropout: of what goes into both layers; random stream 'dropout'.
  """

  channels: tuple[int, ...]
  features: int
  dropout: float = 0.0

  @nn.compact
  def __call__(self, speech, train=False):
    drop = nn.Dropout(self.dropout, deterministic=not train)
    voice = networks.AudioNet(self.channels, self.features, name='audio')(drop(speech))
    heard = drop(voice.reshape(len(voice), -1))
    return nn.Dense(2 * POINTS, name='mouth')(heard).reshape(-1, POINTS, 2) / SHARE


def network(config):
  """Builds the network of a `config.model`."""
  return Listener(tuple(config.audio.channels), config.audio.features, config.dropout)


def init(rng, config):
  """Draws fresh parameters {'audio', 'mouth'}."""
  speech = jnp.zeros((1, networks.FRAMES, networks.STEPS, config.speech_width))
  return network(config).init(rng, speech)['params']


def loss(params, batch, rng, *, config, step, frozen):
  """Computes the mean squared error of the points: (loss, {'mse'})."""
  del step, frozen
  rngs = {'dropout': rng}
  told = network(config).apply({'params': params}, batch['speech'], train=True, rngs=rngs)
  error = (((told - batch['mouth']) * SHARE) ** 2).mean(dtype=jnp.float32)
  return error, {'mse': error}


def evaluate(params, batch, rng, *, config, frozen):
  """Measures the error, the share of the motion that is told, and r of the opening."""
  del rng, frozen
  told, real = network(config).apply({'params': params}, batch['speech']), batch['mouth']
  error = ((told - real) ** 2).mean(dtype=jnp.float32)
  gap = lambda points: points[:, LOWER, 1] - points[:, UPPER, 1]
  metrics = {'mse': error * SHARE**2, 'told': 1 - error / (real**2).mean()}
  return {**metrics, 'opening_r': jnp.corrcoef(gap(told), gap(real))[0, 1]}


def example(config, batch):
  """Shapes a batch, for plans without data."""
  shape = lambda *axes: jax.ShapeDtypeStruct((batch, *axes), jnp.float32)
  speech = shape(networks.FRAMES, networks.STEPS, config.speech_width)
  return {'mouth': shape(POINTS, 2), 'speech': speech}
