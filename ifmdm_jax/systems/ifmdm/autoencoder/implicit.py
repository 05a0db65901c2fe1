"""The published networks, distilled from the bundled renderer: motion codes that nobody named.

  flow   pairs that the renderer draws of a picture; the network's flow is to be the true one at
         every resolution, where the source shows what the target does
  pairs  two frames of a film: L1, and VGG-16 around mouth and eyes; the first stage's term fades

What drives is the target with other colours, another crop and size; what is to be drawn is the
target as it is. So the code cannot carry what the frame looks like, only what its face does. These
changes begin at none: codes of a fresh network say more of them than of a face.

`params` are {'gen'}; `config` is config.model of configs/implicit.py.
"""

import re

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.errors import InputError
from ifmdm_jax.perception import vgg
from ifmdm_jax.systems.ifmdm.autoencoder import model, rendered
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite
from ifmdm_jax.systems.ifmdm.autoencoder.lite.losses import mouth_crop, psnr, regions
from ifmdm_jax.systems.ifmdm.autoencoder.model import as_float, draw, motion, portrait
from ifmdm_jax.systems.ifmdm.autoencoder.pictures import pictures
from ifmdm_jax.training.state import map_with_path

__all__ = [
  'init', 'frozen', 'loss', 'evaluate', 'example', 'pictures', 'portrait', 'motion', 'draw',
]  # fmt: skip
STAGES = 'flow', 'pairs'
PER_CENT = 50.0  # of the side, of a coordinate from -1 to 1
CROP = 64  # pixels of the mouth that VGG sees
FAINT, SHOWN = 0.05, 0.5  # of fresh flow heads: size of their weights, logit of each level's mask
APART = 8.0  # of a fresh motion head: size of its last weights
LEAST = 0.25  # share of a coarse pixel that is visible, from which it counts


def init(rng, config):
  """Draws fresh parameters {'gen'}: there is no discriminator."""
  _stage(config)
  gen, _ = model.build(config)
  image = jnp.zeros((1, gen.size, gen.size, 3), jnp.float32)
  return {'gen': map_with_path(_at_rest, gen.init(rng, image, image)['params'])}


def _at_rest(path, leaf):
  """Lets a fresh network begin near the picture as it is, with codes that differ between frames."""
  if re.search(r'to_flows_\d+/conv/kernel$', path):
    return FAINT * leaf
  if path.endswith('motion_head/fc_4/kernel'):
    return APART * leaf
  return leaf.at[2].set(SHOWN) if re.search(r'to_flows_\d+/bias$', path) else leaf


def frozen(config):
  """Loads the renderer, and VGG-16 where it is asked for: {'teacher', 'vgg'}."""
  loaded = {'teacher': rendered.load(config.teacher)[1]}
  if _stage(config) == 'pairs' and config.loss.perceptual:
    loaded['vgg'] = vgg.load()
  return loaded


def loss(params, batch, rng, *, config, step, frozen):
  """Sums the terms of config.model.stage, weighted by config.model.loss: (scalar, {name: scalar}).

  Args:
    params: {'gen'}.
    batch: see `pipeline.sources.rendered.make_loader`.
    rng: random key, of what the driver is changed by.
    config: config.model.
    step: updates so far.
    frozen: of `frozen`.
  """
  weights, keys = config.loss, jax.random.split(rng)
  share, grown = 1.0, jnp.minimum(jnp.float32(step) / config.grow, 1.0)
  if _stage(config) == 'pairs':
    share, grown = jnp.maximum(1.0 - jnp.float32(step) / config.fade, 0.0), 1.0
  pairs = jax.lax.stop_gradient(
    rendered.draw(frozen['teacher'], rendered.load(config.teacher)[0], batch, config.size)
  )
  drivers = changed(keys[0], pairs.target, config.driver, grown)
  moved = animate(params, pairs.source, drivers, config)
  terms = flow_terms(moved, pairs, weights) | {
    'photo': jnp.abs(moved.picture - _flat(pairs.target)).mean(),
    'code': jnp.abs(moved.code).mean(),
  }
  total = share * sum(weights[name] * terms[name] for name in ('flow', 'mask', 'photo'))
  total += weights.code * terms['code']
  if _stage(config) == 'pairs':
    real = of_film(params, batch, keys[1], config, frozen)
    total += weights.film * real['film'] + weights.code * real['film_code']
    if 'vgg' in frozen:
      total += weights.perceptual * real['perceptual']
    terms |= real
  return total, terms


def of_film(params, batch, rng, config, frozen):
  """Measures targets of a film, {'film' (L1), 'film_code', 'perceptual'}; as `loss`."""
  source, target = _frames(batch, config)
  moved = animate(params, source, changed(rng, target, config.driver), config)
  target, landmarks = _flat(target), _flat(batch['target_points'])
  mouth, eyes, _ = regions(landmarks, config.size)
  weight = 1.0 + config.loss.mouth * mouth + config.loss.eyes * eyes
  weight = weight / weight.mean((1, 2, 3), keepdims=True)
  terms = {
    'film': (weight * jnp.abs(moved.picture - target)).mean(),
    'film_code': jnp.abs(moved.code).mean(),
  }
  if 'vgg' in frozen:
    seen = [mouth_crop(x, landmarks, CROP) for x in (moved.picture, target)]
    maps = [vgg.features(frozen['vgg'], x, upto='relu3_3').values() for x in seen]
    terms['perceptual'] = sum(jnp.abs(a - jax.lax.stop_gradient(b)).mean() for a, b in zip(*maps))
  return terms


def evaluate(params, batch, rng, *, config, frozen):
  """Measures reenactment of held-out films, each frame driven by itself.

  Returns:
    {'l1' of pictures, 'psnr' in dB, 'psnr_of_still' of the source repeated; 'flow', how
    far landmarks are looked up from where they are, per cent of the side, 'flow_of_still' without
    motion, and 'share' of the two}.
  """
  del rng, frozen
  source, target = _frames(batch, config)
  moved = animate(params, source, target, config)
  targets = target.shape[1]
  target, places = _flat(target), _flat(batch['target_points'])
  wanted = jnp.repeat(batch['source_points'], targets, axis=0)
  grid = (moved.grids[-1] + 1) / 2
  flow = grid - composite.identity_grid(config.size)[None]
  found = composite.sample(flow, places[:, :, None])[:, :, 0]
  error = lambda where: 2 * PER_CENT * jnp.linalg.norm(where - wanted, axis=-1).mean()
  away, still = error(places + found), error(places)
  return {
    'l1': jnp.abs(moved.picture - target).mean(),
    'psnr': psnr(jnp.clip(moved.picture, -1, 1), target).mean(),
    'psnr_of_still': psnr(jnp.repeat(source, targets, axis=0), target).mean(),
    'flow': away,
    'flow_of_still': still,
    'share': away / still,
  }


def example(config, batch):
  """Shapes a batch, for plans without data."""
  shape = lambda dtype, *axes: jax.ShapeDtypeStruct((batch, *axes), dtype)
  picture, frames = (config.size, config.size, 3), 1 + config.targets
  return dict(
    source=shape(jnp.uint8, *picture),
    source_points=shape(jnp.float32, 468, 2),
    target=shape(jnp.uint8, config.targets, *picture),
    target_points=shape(jnp.float32, config.targets, 468, 2),
    seen=shape(jnp.float32, config.targets),
    picture=shape(jnp.uint8, *picture),
    points=shape(jnp.float32, 468, 2),
    moved=shape(jnp.float32, frames, 468, 2),
    gestures=shape(jnp.float32, frames, 4),
  )


class Moved:
  """What `animate` gives, of B K frames.

  Attributes:
    picture: [B K, S, S, 3], not clamped.
    code: h_t - h_s [B K, M].
    grids: where each resolution looks, coarse first, [B K, r, r, 2] from -1 to 1.
    masks: [B K, r, r, 1].
  """

  def __init__(self, picture, code, sown):
    heads = sown['intermediates']['synthesis']
    heads = [heads[f'to_flows_{i}'] for i in range(sum(n.startswith('to_flows') for n in heads))]
    self.picture, self.code = picture, code
    self.grids, self.masks = ([head[name][0] for head in heads] for name in ('grid', 'mask'))


def animate(params, source, drivers, config):
  """Moves sources [B, S, S, 3] as drivers [B, K, S, S, 3] do: `Moved`."""
  gen, _ = model.build(config)
  variables = {'params': params['gen']}
  (picture, code), sown = gen.apply(
    variables, source, drivers, method=_animate, mutable=['intermediates']
  )
  return Moved(picture, code, sown)


def _animate(gen, source, drivers):
  targets = drivers.shape[1]
  w_a, features = gen.appearance(source)
  start = gen.motion(w_a)
  w_a, start, features = jax.tree.map(
    lambda x: jnp.repeat(x, targets, axis=0), (w_a, start, features)
  )
  code = gen.encode(_flat(drivers))
  moved = code - start
  return gen.decode(w_a, features, moved if gen.relative else code), moved


def flow_terms(moved, pairs, counts):
  """Compares flow and masks with the true ones, where the source shows what the target does.

  Args:
    moved: of `animate`.
    pairs: `rendered.Pairs`.
    counts: how much more than 1 a pixel counts, {'face', 'lips', 'lids'}, on top of each other.

  Returns:
    {'flow' and 'flow_of_still', without motion, per cent of the side; 'mask'}, means over levels.
  """
  places, visible = _flat(pairs.places), _flat(pairs.visible)
  landmarks = _flat(pairs.landmarks[:, 1:])
  totals = dict(flow=0.0, flow_of_still=0.0, mask=0.0)
  for grid, known in zip(moved.grids, moved.masks):
    side = grid.shape[1]
    wanted, share = _at(places, visible, side)
    lips, lids, face = regions(landmarks, side)
    weight = 1.0 + counts['face'] * face + counts['lips'] * lips + counts['lids'] * lids
    weight = share * weight
    mean = lambda error, weight=weight: (weight * error).sum() / weight.sum()
    away = lambda look, wanted=wanted: (
      PER_CENT * jnp.abs(look - (2 * wanted - 1)).sum(-1, keepdims=True)
    )
    still = 2 * composite.identity_grid(side)[None] - 1
    found = dict(flow=mean(away(grid)), flow_of_still=mean(away(still)), mask=mean(1 - known))
    totals = {name: totals[name] + found[name] / len(moved.grids) for name in totals}
  return totals


def _at(places, visible, side):
  """Brings places [B, s, s, 2] and what is visible to another side, by means of what is."""
  sums = jnp.concatenate([places * visible, visible], -1)
  while sums.shape[1] > side:
    sums = composite.halve(sums)
  sums = composite.upsample(sums, side)
  share = sums[..., 2:]
  return sums[..., :2] / jnp.maximum(share, 1e-6), jnp.where(share > LEAST, share, 0.0)


def changed(rng, pictures, driver, grown=1.0):
  """Changes colours, crop and size of each of [B, K, S, S, 3], at random.

  Args:
    rng: random key.
    pictures: in [-1, 1].
    driver: deviations: gain (natural logarithm) and offset of colours, scale (logarithm), turn
      (radians), shift (fractions of the side).
    grown: how much of it all, 1 is all.
  """
  flat = _flat(pictures)
  count, side = flat.shape[:2]
  keys = jax.random.split(rng, 4)
  normal = lambda key, deviation, *shape: (
    grown * deviation * jax.random.normal(key, (count, *shape))
  )
  gain = jnp.exp(normal(keys[0], driver.gain, 1, 1, 3))
  offset = normal(keys[1], driver.offset, 1, 1, 3)
  size, angle = normal(keys[2], 1.0, 2).T
  size, angle = jnp.exp(driver.scale * size), driver.turn * angle
  along, across = size * jnp.cos(angle), size * jnp.sin(angle)
  matrix = jnp.stack([jnp.stack([along, -across], -1), jnp.stack([across, along], -1)], 1)
  from_centre = composite.identity_grid(side) - 0.5
  grid = 0.5 + jnp.einsum('bij,hwj->bhwi', matrix, from_centre)
  grid += normal(keys[3], driver.shift, 1, 1, 2)
  moved = composite.sample(flat, grid)
  return nn.hard_tanh(moved * gain + offset).reshape(pictures.shape)


def _frames(batch, config):
  """Brings a film's frames to [-1, 1]: source [B, S, S, 3], target [B, K, S, S, 3]."""
  target = batch['target']
  flat = as_float(_flat(target), config.size)
  return as_float(batch['source'], config.size), flat.reshape(*target.shape[:2], *flat.shape[1:])


def _flat(x):
  return x.reshape(-1, *x.shape[2:])


def _stage(config):
  if config.stage not in STAGES:
    raise InputError(f'model.stage is {config.stage!r}, expected one of {", ".join(STAGES)}')
  return config.stage
