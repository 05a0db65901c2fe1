"""The networks: embedder, projector, generator, discriminator, and the table of videos.

  E  a frame and its drawn landmarks -> a vector; the mean of K of them is a person
  P  the vector -> the style vector psi, bias and scale of every adaptive norm of the generator
  G  drawn landmarks and psi -> a frame
  D  a frame and drawn landmarks -> V; its score is <V, W_i> + <V, w_0> + b, without a sigmoid
  W  a row for every video that is trained on

Source: Zakharov et al. 2019, "Few-Shot Adversarial Learning of Realistic Neural Talking Head
Models", sections 3.1 and 3.2. Every convolution and linear layer, and the table as a whole, is
spectrally normalised; so each network has parameters and a state, see `nn.spectral`. Frames and
drawings are in [-1, 1].
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.errors import InputError
from ifmdm_jax.nn.attention2d import SelfAttention2d
from ifmdm_jax.nn.norms import adaptive_instance_norm, split_style, style_width
from ifmdm_jax.nn.residual import ResidualBlock, pooled
from ifmdm_jax.nn.spectral import COLLECTION, SpectralConv, SpectralDense, SpectralEmbed

SMALLEST = 4  # pixels of the last map of embedder and discriminator


class Down(nn.Module):
  """Halves a picture block after block: [B, S, S, C] -> a map after each of them.

  Attributes:
    widths: channels of the blocks.
    norm: see `nn.residual.ResidualBlock`.
    attention: side of the map on which pixels attend to each other; 0: on none.
  """

  widths: tuple[int, ...]
  norm: str = 'none'
  attention: int = 0

  @nn.compact
  def __call__(self, x):
    maps = []
    for i, features in enumerate(self.widths):
      x = ResidualBlock(features, self.norm, down=True, first=i == 0, name=f'block_{i}')(x)
      if x.shape[1] == self.attention:
        x = SelfAttention2d(name='attention')(x)
      maps.append(x)
    return maps


class Embedder(nn.Module):
  """E: frames beside their drawings [B, S, S, 6] -> [B, widths[-1]], each row for itself."""

  widths: tuple[int, ...]
  attention: int = 0

  @nn.compact
  def __call__(self, x):
    return pooled(Down(self.widths, attention=self.attention, name='down')(x)[-1])


class Generator(nn.Module):
  """G: drawings [B, S, S, 3] and style vectors [B, style] -> frames [B, S, S, 3] in [-1, 1].

  Attributes:
    encode: channels of the blocks that halve, with instance norm.
    bottleneck: adaptive blocks that keep the last of these widths.
    decode: channels of the adaptive blocks that double.
    attention: sides of maps on the way down and up, see `Down`.
  """

  encode: tuple[int, ...]
  bottleneck: int
  decode: tuple[int, ...]
  attention: tuple[int, int] = (0, 0)

  def widths(self):
    """Lists the channels of all adaptive norms, in the order of their part of a style vector."""
    layers, inputs = [], self.encode[-1]
    for features in (*(inputs,) * self.bottleneck, *self.decode):
      layers += ResidualBlock.widths(inputs, features)
      inputs = features
    return [*layers, inputs]

  @property
  def style(self):
    """Counts the numbers of a style vector."""
    return style_width(self.widths())

  @nn.compact
  def __call__(self, drawing, style):
    style = split_style(style, self.widths())
    x = Down(self.encode, 'instance', self.attention[0], name='encoder')(drawing)[-1]
    for i in range(self.bottleneck):
      block = ResidualBlock(self.encode[-1], 'adaptive', name=f'bottleneck_{i}')
      x = block(x, style[2 * i : 2 * i + 2])
    for i, features in enumerate(self.decode):
      layer = 2 * (self.bottleneck + i)
      block = ResidualBlock(features, 'adaptive', up=True, name=f'up_{i}')
      x = block(x, style[layer : layer + 2])
      if x.shape[1] == self.attention[1]:
        x = SelfAttention2d(name='attention')(x)
    x = nn.relu(adaptive_instance_norm(x, *style[-1]))
    return jnp.tanh(SpectralConv(3, name='head')(x))


class Discriminator(nn.Module):
  """D: frames beside drawings [B, S, S, 6], rows [B, D] -> (scores [B], maps after every block).

  Scores are high for real frames and have no bounds. Without rows a frame is real or not whoever
  it shows.
  """

  widths: tuple[int, ...]
  attention: int = 0

  @nn.compact
  def __call__(self, x, rows=None):
    maps = Down(self.widths, attention=self.attention, name='down')(x)
    maps = [*maps, ResidualBlock(self.widths[-1], name='last')(maps[-1])]
    v = pooled(maps[-1])
    score = SpectralDense(1, name='score')(v)[:, 0]
    return score if rows is None else score + (v * rows).sum(-1), maps


class Networks(NamedTuple):
  """All of them, unbound."""

  embedder: Embedder
  projector: SpectralDense
  generator: Generator
  discriminator: Discriminator
  table: SpectralEmbed


GEN, DIS = ('embedder', 'projector', 'generator'), ('discriminator', 'table')


def build(config):
  """Builds the `Networks` of a `config.model`, see `sizes`.

  Raises:
    InputError: its numbers do not fit each other.
  """
  down, encode, decode = (tuple(config[name]) for name in ('down', 'encode', 'decode'))
  attention = tuple(config.attention)
  last = config.image // 2 ** len(down)
  if last != SMALLEST or config.image != last * 2 ** len(down):
    raise InputError(
      f'{len(down)} blocks bring {config.image} pixels to {last}, expected {SMALLEST}: change '
      'image or down'
    )
  if len(encode) != len(decode) or config.image % 2 ** len(encode) or config.bottleneck < 1:
    raise InputError(
      f'the generator has {len(encode)} blocks down, {config.bottleneck} between and {len(decode)} '
      f'up at {config.image} pixels, expected as many down as up, and at least one between'
    )
  sides = [config.image // 2 ** (i + 1) for i in range(len(encode))]
  allowed = [{0, *sides}, {0, config.image, *sides[:-1]}]
  if len(attention) != 2 or any(side not in some for side, some in zip(attention, allowed)):
    raise InputError(
      f'attention is {attention}, expected a side of {sorted(allowed[0])} on the way down and one '
      f'of {sorted(allowed[1])} on the way up'
    )
  generator = Generator(encode, config.bottleneck, decode, attention)
  return Networks(
    embedder=Embedder(down, attention[0]),
    projector=SpectralDense(generator.style),
    generator=generator,
    discriminator=Discriminator(down, attention[0]),
    table=SpectralEmbed(config.videos, down[-1]),
  )


def init(rng, config):
  """Draws fresh variables of all networks: (params, states), both {name: tree}."""
  networks, side, keys = build(config), config.image, jax.random.split(rng, 5)
  both, drawing = jnp.zeros((1, side, side, 6)), jnp.zeros((1, side, side, 3))
  embedding, style = jnp.zeros((1, config.down[-1])), jnp.zeros((1, networks.generator.style))
  inputs = [(both,), (embedding,), (drawing, style), (both, embedding), (jnp.zeros(1, jnp.int32),)]
  drawn = {
    name: module.init(key, *given)
    for name, module, key, given in zip(Networks._fields, networks, keys, inputs)
  }
  return tuple({name: drawn[name][part] for name in drawn} for part in ('params', COLLECTION))


def run(module, params, state, *inputs, train=False):
  """Evaluates a network: (what it gives, its state after).

  Args:
    module: one of `Networks`.
    params, state: of this network.
    inputs: of its call.
    train: whether its power iterations take a step; else the state stays.
  """
  variables = {'params': params, COLLECTION: state}
  if not train:
    return module.apply(variables, *inputs), state
  result, changed = module.apply(variables, *inputs, mutable=[COLLECTION])
  return result, changed[COLLECTION]


def embed(of, params, states, seen, train=False):
  """Embeds every frame by itself: [B, K, S, S, 6] -> ([B, K, D], state of the embedder after).

  Args:
    of: `Networks`.
    params, states: {'embedder': ...}, other networks' are not read.
    seen: frames beside their drawings.
    train: see `run`.
  """
  flat = seen.reshape(-1, *seen.shape[2:])
  each, state = run(of.embedder, params['embedder'], states['embedder'], flat, train=train)
  return each.reshape(*seen.shape[:2], -1), state
