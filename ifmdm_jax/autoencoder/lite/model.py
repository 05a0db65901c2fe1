"""Stage 1 of `lite` as the trainer sees it: init, loss, pictures.

Landmarks teach twice: the motion encoder learns to read their code from pixels, and the flow
is held to where they went. Early on the decoder is driven by the taught code, later by the
network's own; at run time there are no landmarks at all.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax import face_mesh
from ifmdm_jax.autoencoder.lite import composite, network

EYES = np.array([[33, 133, 159, 145], [362, 263, 386, 374]])  # corners and lids of either eye
SHAPES = tuple(
  np.array(part)
  for part in (
    face_mesh.LIPS_INNER + face_mesh.LIPS_OUTER,
    face_mesh.LEFT_EYE,
    face_mesh.RIGHT_EYE,
  )
)
DETAIL = np.zeros(face_mesh.POINTS, bool)  # what has to be exact
DETAIL[face_mesh.LIPS_OUTER + face_mesh.LIPS_INNER + face_mesh.LEFT_EYE + face_mesh.RIGHT_EYE] = (
  True
)


def network_of(config):
  """The networks of a `config.model`."""
  sizes = {k: tuple(v) if isinstance(v, (list, tuple)) else v for k, v in config.sizes.items()}
  return network.Autoencoder(**sizes)


def init(rng, config):
  picture = jnp.zeros((1, config.side, config.side, 3))
  return network_of(config).init(rng, picture, picture)['params']


class Portrait(NamedTuple):
  """A source, encoded once: its pixels, what the decoder needs of them, its own motion code."""

  pixels: jax.Array  # [1, R, R, 3] in [-1, 1]
  appearance: network.Source
  code: jax.Array  # [1, M]


def portrait(params, image, config):
  """uint8 [R, R, 3], R a power of two times `config.side` -> Portrait."""
  pixels = to_float(image)[None]
  small = shrink(pixels, config.side)
  apply = lambda method: network_of(config).apply({'params': params}, small, method=method)
  return Portrait(pixels, apply('appearance'), apply('motion'))


def motion(params, frames, config):
  """uint8 [T, R, R, 3] -> codes [T, M]."""
  small = shrink(to_float(frames), config.side)
  return network_of(config).apply({'params': params}, small, method='motion')


def draw(params, portrait, codes, config):
  """Portrait and absolute codes [B, M] -> uint8 [B, R, R, 3]."""
  batch = codes.shape[0]
  pixels, appearance, code = jax.tree.map(
    lambda x: jnp.broadcast_to(x, (batch, *x.shape[1:])), portrait
  )
  drawing = network_of(config).apply({'params': params}, appearance, codes - code, method='draw')
  picture, _ = composite.composite(pixels, drawing)
  return jnp.clip(jnp.round(127.5 * (picture + 1.0)), 0.0, 255.0).astype(jnp.uint8)


def to_float(pictures):
  """uint8 -> [-1, 1]."""
  return pictures.astype(jnp.float32) / 127.5 - 1.0


def shrink(pictures, side):
  """[B, R, R, 3] -> [B, side, side, 3] by means of 2x2, which is what the networks see."""
  while pictures.shape[1] > side:
    pictures = composite.halve(pictures)
  return pictures


def soft_box(points, side, margin=0.25, edge=0.01):
  """1 around the points, 0 elsewhere, soft at the edge. [B, P, 2] -> [B, side, side, 1]."""
  low, high = points.min(1), points.max(1)
  room = margin * (high - low).max(-1, keepdims=True)
  low, high = (low - room)[:, None, None, :], (high + room)[:, None, None, :]
  grid = composite.identity_grid(side)[None]
  inside = jax.nn.sigmoid((grid - low) / edge) * jax.nn.sigmoid((high - grid) / edge)
  return inside.prod(-1, keepdims=True)


def regions(points, side):
  """(mouth, eyes, face) soft boxes of the landmarks [B, 468, 2]."""
  mouth = soft_box(points[:, np.array(face_mesh.LIPS)], side, margin=0.3)
  eyes = sum(soft_box(points[:, eye], side, margin=0.4) for eye in EYES)
  return mouth, jnp.minimum(eyes, 1.0), soft_box(points, side, margin=0.1)


def mean_over(values, weight):
  """Mean of per-sample values [B] where weight [B] is 1; zero where there is none."""
  return jnp.sum(values * weight) / jnp.maximum(jnp.sum(weight), 1.0)


TERMS = (
  'code', 'flow', 'shape', 'static', 'folds', 'rough',
  'photo', 'bare', 'paint', 'opening', 'haze', 'perceptual',
)  # fmt: skip


def code_loss(code, taught, weights):
  """Mean absolute error, in standard deviations: [..., M] -> [...]."""
  shape = (1,) * (code.ndim - 1) + (-1,)
  weights = jnp.asarray(weights, jnp.float32).reshape(shape)
  return (weights * jnp.abs(code - taught)).sum(-1) / weights.sum()


def flow_error(grid, target_points, source_points):
  """How far from where each landmark was the grid looks, per cent of the side: [B, 468, 2]."""
  found = composite.sample(grid, target_points[:, :, None, :])[:, :, 0]
  return 100.0 * (found - source_points)


def flow_loss(grid, target_points, source_points):
  """Mean distance of the landmarks, sum over x and y; lips and lids count three times: [B]."""
  weight = jnp.where(DETAIL, 3.0, 1.0)[None]
  error = jnp.abs(flow_error(grid, target_points, source_points)).sum(-1)
  return (error * weight).sum(-1) / weight.sum()


def shape_loss(grid, target_points, source_points):
  """The same for the shape alone of lips and eyes, wherever they are: [B].

  A head that is slightly off hides a mouth that does not open from the distance; not from this.
  """
  error = flow_error(grid, target_points, source_points)
  total = jnp.zeros(error.shape[0])
  for part in SHAPES:
    deviation = error[:, part] - error[:, part].mean(1, keepdims=True)
    total += jnp.abs(deviation).sum(-1).mean(-1)
  return total / len(SHAPES)


def unmoved(source, target, side, tolerance=0.04):
  """1 where two pictures agree around a place, 0 where not: [B, R, R, 3] -> [B, side, side, 1]."""
  change = shrink(jnp.abs(source - target).mean(-1, keepdims=True), side // 8)
  return jnp.exp(-composite.upsample(change, side) / tolerance)


def opening_loss(drawing, warped, target, allowed, gain=0.02, slope=0.02):
  """Cross-entropy that opens the mask where paint comes closer to the target than warping: [B].

  The picture alone opens a closed mask too slowly: its gradient vanishes with the mask. Errors are
  compared over neighbourhoods of 16 px; paint has to be better by `gain`.
  """
  side = drawing.mask.shape[1]

  def error(picture):
    difference = jnp.abs(picture - shrink(target, side)).mean(-1, keepdims=True)
    return composite.upsample(shrink(difference, side // 16), side)

  better = error(shrink(warped, side)) - error(drawing.paint)
  wanted = jax.lax.stop_gradient(jax.nn.sigmoid((better - gain) / slope))
  mask = jnp.clip(drawing.mask, 1e-5, 1.0 - 1e-5)
  entropy = -wanted * jnp.log(mask) - (1.0 - wanted) * jnp.log(1.0 - mask)
  return (entropy * allowed).sum((1, 2, 3)) / (allowed.sum((1, 2, 3)) + 1.0)


def mouth_crop(pictures, points, side):
  """A square around the lips, `side` pixels: [B, R, R, 3] -> [B, side, side, 3]."""
  lips = points[:, np.array(face_mesh.LIPS)]
  centre = (lips.min(1) + lips.max(1)) / 2.0
  half = 0.75 * (lips.max(1) - lips.min(1)).max(-1)
  grid = centre[:, None, None, :] + half[:, None, None, None] * (
    2.0 * composite.identity_grid(side)[None] - 1.0
  )
  return composite.sample(pictures, grid)


def frozen(config):
  """VGG-16 for the perceptual terms, or nothing."""
  if not config.loss.perceptual:
    return None
  from ifmdm_jax.perception import vgg

  return vgg.load()


def perceptual_loss(vgg_params, picture, target):
  """Mean absolute difference of VGG-16 features, equal weight per layer: [B]."""
  from ifmdm_jax.perception import vgg

  ours = vgg.features(vgg_params, picture, upto='relu3_3')
  theirs = vgg.features(vgg_params, jax.lax.stop_gradient(target), upto='relu3_3')
  per_layer = [jnp.abs(ours[k] - theirs[k]).mean((1, 2, 3)) for k in ours]
  return sum(per_layer) / len(per_layer)


def teaching(step, config):
  """Share of the taught code in what drives the decoder: 1, then a ramp down to 0."""
  start, end = config.teach
  return jnp.clip((end - step.astype(jnp.float32)) / (end - start), 0.0, 1.0)


def read_codes(apply, batch, config):
  """(source codes [B, M], target codes [B, K, M]) of all frames of a batch, from pixels."""
  count, targets = batch['target'].shape[:2]
  target = batch['target'].reshape(count * targets, *batch['target'].shape[2:])
  frames = to_float(jnp.concatenate([batch['source'], target]))
  codes = apply('motion', shrink(frames, config.side))
  return codes[:count], codes[count:].reshape(count, targets, -1)


def code_terms(source_code, target_code, batch, config):
  """How far the codes are from the taught ones, as they are and as differences."""
  seen, weights = batch['seen'].reshape(-1), config.code_weights
  absolute = code_loss(source_code, batch['source_code'], weights).mean()
  error = code_loss(target_code, batch['target_code'], weights)
  absolute += mean_over(error.reshape(-1), seen)
  moved = target_code - source_code[:, None]
  taught = batch['target_code'] - batch['source_code'][:, None]
  relative = mean_over(code_loss(moved, taught, weights).reshape(-1), seen)
  return dict(code=relative + 0.3 * absolute, code_relative=relative)


def animate(apply, batch, config, step, source_code, target_code):
  """A drawing per target; K targets share one pass over the source."""
  source = to_float(batch['source'])
  count, targets = batch['target'].shape[:2]
  target = to_float(batch['target']).reshape(count * targets, *source.shape[1:])

  taught = batch['target_code'] - batch['source_code'][:, None]
  share = jnp.broadcast_to(teaching(step, config), batch['seen'].shape)
  # No picture, no code of its own; and the first targets of each source stay taught.
  stays = (batch['seen'] == 0) | (jnp.arange(targets) < config.taught_targets)[None]
  share = jnp.where(stays, 1.0, share)[..., None]
  code = share * taught + (1.0 - share) * (target_code - source_code[:, None])

  appearance = apply('appearance', shrink(source, config.side))
  spread = lambda x: jnp.repeat(x, targets, axis=0)
  drawing = apply('draw', jax.tree.map(spread, appearance), code.reshape(count * targets, -1))
  picture, warped = composite.composite(spread(source), drawing)
  return drawing, picture, warped, target


def methods(params, config):
  """apply('motion', x) and so on."""
  model = network_of(config)
  return lambda method, *args: model.apply({'params': params}, *args, method=method)


def loss(params, batch, rng, *, config, step, frozen):
  """Weighted sum of the terms in `config.loss`; see the functions above for their units."""
  del rng
  weights = config.loss
  apply = methods(params, config)
  codes = read_codes(apply, batch, config)
  if config.phase == 'picture':
    codes = jax.lax.stop_gradient(codes)
  terms = code_terms(*codes, batch, config)
  if config.phase == 'codes':
    return terms['code'], terms
  drawing, picture, warped, target = animate(apply, batch, config, step, *codes)
  seen = batch['seen'].reshape(-1)
  targets = batch['target'].shape[1]
  points = batch['target_points'].reshape(-1, 468, 2)
  source_points = jnp.repeat(batch['source_points'], targets, axis=0)

  flow = (
    flow_loss(drawing.grid, points, source_points) + flow_loss(drawing.base, points, source_points)
  ).mean()

  mouth, eyes, face = regions(points, target.shape[1])
  weight = 1.0 + weights.face * face + weights.mouth * mouth + weights.eyes * eyes
  weight = weight / weight.mean((1, 2, 3), keepdims=True)
  photo = mean_over((weight * jnp.abs(picture - target)).mean((1, 2, 3)), seen)
  bare = mean_over((weight * jnp.abs(warped - target)).mean((1, 2, 3)), seen)
  # Paint is taught where it may be needed even while the mask hides it, else it would stay hidden.
  allowed = shrink(jnp.maximum(mouth, eyes), drawing.mask.shape[1])
  error = jnp.abs(drawing.paint - shrink(target, drawing.paint.shape[1])) * allowed
  paint = mean_over(error.sum((1, 2, 3)) / (3.0 * allowed.sum((1, 2, 3)) + 1.0), seen)
  haze = (drawing.mask * (1.0 - allowed)).mean()
  opening = mean_over(opening_loss(drawing, warped, target, allowed), seen)
  correction = drawing.grid - composite.upsample_grid(drawing.base, drawing.grid.shape[1])
  rough = 100.0 * (
    jnp.abs(jnp.diff(correction, axis=1)).mean() + jnp.abs(jnp.diff(correction, axis=2)).mean()
  )
  # What stays in place, the background most of all, shall not be dragged along by the head.
  side = drawing.base.shape[1]
  source = jnp.repeat(to_float(batch['source']), targets, axis=0)
  rest = unmoved(source, target, side) * (1.0 - shrink(face, side))
  drift = 100.0 * (drawing.base - composite.identity_grid(side)[None])
  static = mean_over((rest * jnp.abs(drift)).mean((1, 2, 3)), seen)
  # Squared: a head that turns costs little, a picture that folds over itself a lot.
  folds = (jnp.diff(drift, axis=1) ** 2).mean() + (jnp.diff(drift, axis=2) ** 2).mean()
  shape = shape_loss(drawing.grid, points, source_points).mean()
  terms |= dict(
    static=static,
    folds=folds,
    shape=shape,
    flow=flow,
    photo=photo,
    bare=bare,
    paint=paint,
    opening=opening,
    haze=haze,
    rough=rough,
  )
  if weights.perceptual:
    crop = lambda x: mouth_crop(x, points, 64)
    terms['perceptual'] = mean_over(perceptual_loss(frozen, crop(picture), crop(target)), seen)
  total = sum(weights[name] * terms[name] for name in TERMS if weights[name])
  still = mean_over((weight * jnp.abs(source - target)).mean((1, 2, 3)), seen)
  terms['photo_of_still'] = still  # what repeating the source would score
  return total, terms


def pictures(params, batch, config):
  """A grid for people: source, target, picture, bare warp, mask; one row per example."""
  apply = methods(params, config)
  config = config.copy_and_resolve_references()
  config.taught_targets = 0
  step = jnp.array(config.teach[1], jnp.int32)  # the network's own codes
  drawing, picture, warped, target = animate(
    apply, batch, config, step, *read_codes(apply, batch, config)
  )
  targets = batch['target'].shape[1]
  source = to_float(batch['source'])
  mask = jnp.broadcast_to(
    2.0 * composite.upsample(drawing.mask, source.shape[1]) - 1.0, picture.shape
  )
  pick = lambda x: x[::targets]
  rows = jnp.concatenate([source, pick(target), pick(picture), pick(warped), pick(mask)], axis=2)
  rows = jnp.clip(127.5 * (rows + 1.0), 0.0, 255.0).astype(jnp.uint8)
  return {'source_target_picture_warp_mask': rows.reshape(-1, *rows.shape[2:])}
