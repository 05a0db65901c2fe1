"""What the networks minimise, with the three published sets of weights.

  content      L1 between features of a frozen network, of the made and of the real frame
  feature      L1 between the discriminator's maps of the two
  adversarial  minus the score of the made frame
  match        L1 between the embedding of each shot and the row of its video
  hinge        of the discriminator

Two published terms are changed. VGG-19 with the weights of Caffe cannot be had: `vgg16_content` is
VGG-16 of LPIPS, whose features are of another scale, and config.model.content_scale brings the term
to a size of its own. VGGFace, for research only, is left out, and with it the term on faces.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.errors import InputError
from ifmdm_jax.nn.adversarial import feature_matching, hinge_generator
from ifmdm_jax.perception import vgg


class Preset(NamedTuple):
  """A published set of weights.

  Attributes:
    content: of that term; `every`: of all ReLUs up to relu5_1, with average pooling, else of the
      first of each stage.
    feature: of that term; `mean`: over the maps, else their sum.
    match: of that term; `rows`: whether it also moves the row of the video.
    dis_steps: updates of the discriminator after one of the generator.
  """

  content: float
  every: bool
  feature: float
  mean: bool
  match: float
  rows: bool
  dis_steps: int


PRESETS = {
  'paper_v1': Preset(1e-2, False, 10.0, False, 80.0, True, 2),
  'paper_v2': Preset(1.5e-1, False, 10.0, False, 10.0, True, 2),
  'burkov': Preset(3e-2, True, 10.0, True, 1e-2, False, 1),
}
DEFAULTS = dict(  # of config.model
  loss_preset='paper_v2',  # or another of PRESETS
  content='vgg16_content',  # or 'random', for tests, or '': none
  content_scale=1.0,  # of that term, on top of the preset: its features are not the published ones
  content_window=0,  # side of the random square that it sees in training, pixels; 0: all of it
  band=100.0,  # how far terms may be apart in the first band_steps steps; of lite 3 at its start
  band_steps=1_000,
)
FIRST = tuple(f'relu{stage}_1' for stage in range(1, 6))
EVERY = tuple(vgg.names(vgg.COUNTS['vgg16'], 'relu')[:11])  # up to relu5_1


def preset(config):
  """Returns the `Preset` that config.model.loss_preset names.

  Raises:
    InputError: there is none of that name.
  """
  if config.loss_preset not in PRESETS:
    raise InputError(f'loss_preset is {config.loss_preset!r}, expected one of {", ".join(PRESETS)}')
  return PRESETS[config.loss_preset]


class RandomNet(nn.Module):
  """Three strided convolutions of fixed random weights: the content network of tests.

  [B, S, S, 3] -> {tap: map}.
  """

  widths: tuple[int, ...] = (16, 32, 32)

  @nn.compact
  def __call__(self, x):
    maps = {}
    for i, width in enumerate(self.widths):
      x = nn.relu(nn.Conv(width, (3, 3), 2, padding=1, name=f'conv_{i}')(x))
      maps[f'relu_{i}'] = x
    return maps


def load_content(config):
  """Loads the weights of config.model.content: 'vgg16_content', 'random', or '' for none.

  Raises:
    InputError: it is something else.
  """
  if config.content == 'vgg16_content':
    return vgg.load()
  if config.content == 'random':
    picture = jnp.zeros((1, config.image, config.image, 3))
    return RandomNet().init(jax.random.key(0), picture)['params']
  if config.content:
    raise InputError(
      f"content is {config.content!r}, expected 'vgg16_content', 'random' or '' for none"
    )
  return None


def content(made, target, weights, config, rng=None):
  """Sums over layers the mean L1 between features of two frames [B, S, S, 3] in [-1, 1].

  Args:
    made: gets the gradient.
    target: does not.
    weights: of `load_content`; None: the sum is 0.
    config: config.model.
    rng: random key: of both a square of config.model.content_window pixels is seen, one place for
      the batch; None: all of them.
  """
  if weights is None:
    return jnp.zeros((), jnp.float32)
  if rng is not None and config.content_window:
    made, target = window(rng, config.content_window, made, target)
  if config.content == 'random':
    network, seen = RandomNet(), lambda x: x
  else:
    every = preset(config).every
    network, seen = vgg.Vgg(taps=EVERY if every else FIRST, average=every), vgg.normalized
  weights = like(weights, made)
  both = seen(jnp.concatenate([made, jax.lax.stop_gradient(target)]))
  maps = network.apply({'params': weights}, both).values()
  distance = lambda a, b: jnp.abs(a - jax.lax.stop_gradient(b)).mean(dtype=jnp.float32)
  return sum(distance(*jnp.split(each, 2)) for each in maps)


def window(rng, side, *pictures):
  """Cuts one random square out of each of several batches [B, S, S, C]: [B, side, side, C] each."""
  size = pictures[0].shape[1]
  top, left = jax.random.randint(rng, (2,), 0, size - side + 1)
  corner = (0, top, left, 0)
  return [
    jax.lax.dynamic_slice(each, corner, (len(each), side, side, each.shape[-1]))
    for each in pictures
  ]


def match(each, rows):
  """Averages the L1 between embeddings [B, K, D] and the rows [B, D] of their videos."""
  return jnp.abs(each - rows[:, None]).mean(dtype=jnp.float32)


def of_generator(made, target, scores, maps, weights, config, rng):
  """Weighs all terms of the generator but the match: {name: scalar}.

  Args:
    made, target: frames [B, S, S, 3].
    scores: [2 B], of the made frames and then of the real ones.
    maps: of the discriminator, [2 B, ...] each, in the same order.
    weights: of `load_content`.
    config: config.model.
    rng: random key, see `content`.
  """
  of = preset(config)
  fake, real = zip(*(jnp.split(each, 2) for each in maps))
  return {
    'content': of.content * config.content_scale * content(made, target, weights, config, rng),
    'feature': of.feature * feature_matching(real, fake, mean=of.mean),
    'adversarial': hinge_generator(scores[: len(made)].astype(jnp.float32)),
  }


def balance(terms, step, config):
  """Measures how far the weighed terms are apart: the largest over the smaller of the first two.

  The adversarial term may be as small as it likes, and as large as config.model.band times either
  of the others. In the first config.model.band_steps steps a ratio beyond the band is given as
  infinite, which stops the run. 0 where there is no content term.
  """
  content, feature, adversarial = (jnp.abs(terms[name]) for name in ('content', 'feature',
                                                                    'adversarial'))  # fmt: skip
  if not config.content:
    return jnp.zeros((), jnp.float32)
  least = jnp.minimum(content, feature)
  most = functools.reduce(jnp.maximum, (content, feature, adversarial))
  ratio = most / jnp.maximum(least, 1e-12)
  watched = (step < config.band_steps) & (ratio > config.band)
  return jax.lax.stop_gradient(jnp.where(watched, jnp.inf, ratio))


def figures(made, target, weights, config):
  """Measures made frames [B, S, S, 3]: {'loss': the content, 'l1', 'psnr' in dB}."""
  error = ((jnp.clip(made, -1, 1) - target) ** 2).mean((1, 2, 3))
  return {
    'loss': content(made, target, weights, config),
    'l1': jnp.abs(made - target).mean(dtype=jnp.float32),
    'psnr': (10 * jnp.log10(4 / jnp.maximum(error, 1e-10))).mean(),
  }


def like(tree, array):
  """Casts constants to the dtype of an array: half, where the trainer computes in half."""
  return jax.tree.map(lambda x: jnp.asarray(x, array.dtype), tree)
