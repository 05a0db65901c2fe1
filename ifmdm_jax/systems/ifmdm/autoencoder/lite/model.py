"""Stage 1 of `lite` as the trainer sees it: init, loss, pictures.

The motion code is linear in the landmarks of a face mesh (`face/mesh.py`); a matte
(`face/matte.py`) cuts the person out of the background. The weights of both and the code's
own are constants among the parameters: nothing here trains them. What is trained is how a portrait
moves with its landmarks, and what is painted where moving pixels is not enough.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face import matte, mesh, points, tflite
from ifmdm_jax.nn import winograd
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite, geometry, network

CODE = tflite.WEIGHTS / 'landmark_code.npz'
VIEW = 256  # pixels: mesh and matte look at a copy of about their own resolution


def network_of(config):
  """The networks of a `config.model`."""
  sizes = {k: tuple(v) if isinstance(v, (list, tuple)) else v for k, v in config.sizes.items()}
  return network.Autoencoder(**sizes)


def init(rng, config):
  """{'network': to be trained; 'mesh', 'person', 'code': constants}."""
  picture = jnp.zeros((1, config.side, config.side, 3))
  landmarks = jnp.zeros((1, points.POINTS, 2))
  net = network_of(config)
  code = jnp.zeros((1, net.motion_dim))
  with np.load(CODE) as file:
    return {
      'network': net.init(rng, picture, picture[..., :1], landmarks, code, landmarks)['params'],
      'mesh': mesh.load(),
      'person': matte.load(),
      'code': dict(file),
    }


class Portrait(NamedTuple):
  """A source, encoded once: its pixels, what the decoder needs of them, its own motion code."""

  layers: composite.Layers  # at R x R
  appearance: network.Source
  code: jax.Array  # [1, M]


def portrait(params, image, config):
  """uint8 [R, R, 3], R a power of two times `config.side` -> Portrait."""
  landmarks = find_landmarks(params, image[None])
  layers, appearance = take_apart(params, to_float(image)[None], landmarks, config)
  return Portrait(layers, appearance, code_of(params, landmarks))


def take_apart(params, pixels, landmarks, config):
  """Pictures [B, R, R, 3] in [-1, 1], landmarks [B, 468, 2] -> `composite.Layers`, appearance."""
  person = matte.find(params['person'], shrink((pixels + 1.0) / 2.0, VIEW))
  appearance = apply(
    params,
    config,
    'appearance',
    shrink(pixels, config.side),
    shrink(person, config.side),
    landmarks,
  )
  return composite.layers(pixels, person, appearance.behind), appearance


def motion(params, frames, config):
  """uint8 [T, R, R, 3] -> codes [T, M]."""
  del config
  return code_of(params, find_landmarks(params, frames))


def for_cpu(params):
  """The same parameters with what `draw` needs to be fast on a CPU."""
  return dict(params, winograd=winograd.kernels({'decoder': params['network']['decoder']}))


def draw(params, portrait, codes, config):
  """Portrait and absolute codes [B, M] -> uint8 [B, R, R, 3]."""
  batch = codes.shape[0]
  layers, appearance, code = jax.tree.map(
    lambda x: jnp.broadcast_to(x, (batch, *x.shape[1:])), portrait
  )
  difference = codes - code
  with winograd.in_place_of_convolutions():
    drawing = apply(params, config, 'draw', appearance, difference, moves(params, difference))
  picture, _ = composite.composite(layers, drawing)
  return jnp.clip(jnp.round(127.5 * (picture + 1.0)), 0.0, 255.0).astype(jnp.uint8)


def apply(params, config, method, *args):
  variables = {'params': params['network'], 'winograd': params.get('winograd', {})}
  return network_of(config).apply(variables, *args, method=method)


def find_landmarks(params, pictures):
  """uint8 [B, R, R, 3] -> points [B, 468, 2], fractions of the side."""
  view = shrink(pictures.astype(jnp.float32) / 255.0, VIEW)
  return mesh.find(params['mesh'], view, composite.sample)


def code_of(params, landmarks):
  """Landmarks [..., 468, 2] -> codes [..., M]; see `pipeline/landmark_code.py`."""
  code = params['code']
  flat = landmarks.reshape(*landmarks.shape[:-2], -1)
  return flat @ code['encode'] - jnp.expand_dims(code['bias'], range(flat.ndim - 1))


def moves(params, difference):
  """Where a difference of codes [..., M] takes the landmarks: [..., 468, 2]."""
  moved = difference @ params['code']['decode']  # [..., 936]
  return moved.reshape(*difference.shape[:-1], points.POINTS, 2)


def to_float(pictures):
  """uint8 -> [-1, 1]."""
  return pictures.astype(jnp.float32) / 127.5 - 1.0


def shrink(pictures, side):
  """[B, R, R, 3] -> [B, side, side, 3] by means of 2x2, which is what the networks see."""
  while pictures.shape[1] > side:
    pictures = composite.halve(pictures)
  return pictures


def regions(landmarks, side):
  """(mouth, eyes, face) soft boxes of the landmarks [B, 468, 2]."""
  mouth = geometry.region(landmarks[:, points.LIPS_BOX], side, margin=0.3)
  eyes = sum(geometry.region(landmarks[:, np.array(eye)], side, margin=0.4) for eye in points.LIDS)
  return mouth, jnp.minimum(eyes, 1.0), geometry.region(landmarks, side, margin=0.1)


def mean_over(values, weight):
  """Mean of per-sample values [B] where weight [B] is 1; zero where there is none."""
  return jnp.sum(values * weight) / jnp.maximum(jnp.sum(weight), 1.0)


def unmoved(source, target, side, tolerance=0.04):
  """1 where two pictures agree around a place, 0 where not: [B, R, R, 3] -> [B, side, side, 1]."""
  change = shrink(jnp.abs(source - target).mean(-1, keepdims=True), side // 8)
  return jnp.exp(-composite.upsample(change, side) / tolerance)


def mouth_crop(pictures, landmarks, side):
  """A square around the lips, `side` pixels: [B, R, R, 3] -> [B, side, side, 3]."""
  lips = landmarks[:, points.LIPS_BOX]
  centre = (lips.min(1) + lips.max(1)) / 2.0
  half = 0.75 * (lips.max(1) - lips.min(1)).max(-1)
  grid = centre[:, None, None, :] + half[:, None, None, None] * (
    2.0 * composite.identity_grid(side)[None] - 1.0
  )
  return composite.sample(pictures, grid)


def frozen(config):
  """The networks of the perceptual terms that have a weight, by term."""
  from ifmdm_jax.perception import lpips, vgg

  load = dict(perceptual=vgg.load, lpips=lpips.load)
  return {term: read() for term, read in load.items() if config.loss.get(term)}


def perceptual_loss(vgg_params, picture, target):
  """Mean absolute difference of VGG-16 features, equal weight per layer: [B]."""
  from ifmdm_jax.perception import vgg

  ours = vgg.features(vgg_params, picture, upto='relu3_3')
  theirs = vgg.features(vgg_params, jax.lax.stop_gradient(target), upto='relu3_3')
  per_layer = [jnp.abs(ours[k] - theirs[k]).mean((1, 2, 3)) for k in ours]
  return sum(per_layer) / len(per_layer)


def animate(params, batch, config):
  """A drawing per target; K targets share one pass over the source."""
  source = to_float(batch['source'])
  count, targets = batch['target'].shape[:2]
  target = to_float(batch['target']).reshape(count * targets, *source.shape[1:])
  params = {**jax.lax.stop_gradient(params), 'network': params['network']}
  difference = code_of(params, batch['target_points'])
  difference -= code_of(params, batch['source_points'])[:, None]
  difference = difference.reshape(count * targets, -1)

  parts = take_apart(params, source, batch['source_points'], config)
  layers, appearance = jax.tree.map(lambda x: jnp.repeat(x, targets, axis=0), parts)
  drawing = apply(params, config, 'draw', appearance, difference, moves(params, difference))
  picture, bare = composite.composite(layers, drawing)
  return drawing, picture, bare, target


def loss(params, batch, rng, *, config, step, frozen):
  """Weighted sum of the terms in `config.loss`; lengths are per cent of the side.

  photo, bare: L1 of the picture with and without paint, mouth, its inside and eyes weighted;
  squared: squared error of the picture, the face weighted: a few large errors count; paint:
  L1 of the paint around mouth and eyes, even where the mask hides it; inner: the same between the
  lips, a small place that would else be outvoted; haze: mask anywhere but around mouth and eyes;
  shown: mask over teeth that the portrait shows, seen or not: they are to stay its own;
  missing: what the head leaves to the landmarks; held: the correction shall leave landmarks
  where they are; rough: it shall be smooth; static: what did not move shall not be moved; folds:
  squared gradient of the flow; perceptual: VGG-16 on the mouth; lpips: LPIPS (AlexNet) of the whole
  at the side that the network sees.
  """
  del rng, step
  weights = config.loss
  drawing, picture, bare, target = animate(params, batch, config)
  seen = batch['seen'].reshape(-1)
  targets = batch['target'].shape[1]
  landmarks = batch['target_points'].reshape(-1, points.POINTS, 2)
  mouth, eyes, face = regions(landmarks, target.shape[1])
  inside = geometry.inner_mouth(landmarks, target.shape[1])
  weight = 1.0 + weights.face * face + weights.mouth * mouth + weights.eyes * eyes
  weight += weights.inside * inside
  weight = weight / weight.mean((1, 2, 3), keepdims=True)
  difference_to = lambda x: (weight * jnp.abs(x - target)).mean((1, 2, 3))

  allowed = shrink(jnp.maximum(mouth, eyes), drawing.mask.shape[1])
  parted, unseen, _ = geometry.anchored_mouth(
    jnp.repeat(batch['source_points'], targets, axis=0), landmarks, drawing.mask.shape[1]
  )
  shown = parted * (1.0 - unseen)
  error = jnp.abs(drawing.paint - shrink(target, drawing.paint.shape[1])).mean(-1, keepdims=True)
  within = lambda values, place: (values * place).sum((1, 2, 3)) / (place.sum((1, 2, 3)) + 1.0)

  correction = 100.0 * (drawing.grid - drawing.base)
  carriers = landmarks[:, geometry.CARRIERS, None]
  drift = 100.0 * (drawing.grid - composite.identity_grid(drawing.grid.shape[1])[None])
  source = jnp.repeat(to_float(batch['source']), targets, axis=0)
  rest = unmoved(source, target, drift.shape[1]) * (1.0 - shrink(face, drift.shape[1]))

  terms = dict(
    photo=mean_over(difference_to(picture), seen),
    bare=mean_over(difference_to(bare), seen),
    squared=mean_over(
      ((1.0 + weights.face * face) * jnp.square(picture - target)).mean((1, 2, 3)), seen
    ),
    paint=mean_over(within(error, allowed), seen),
    inner=mean_over(within(error, shrink(inside, error.shape[1])), seen),
    haze=(drawing.mask * (1.0 - allowed)).mean(),
    shown=within(drawing.mask, shown).mean(),
    missing=100.0 * jnp.abs(drawing.missing).mean(),
    held=jnp.abs(composite.sample(correction, carriers)).mean(),
    rough=jnp.abs(jnp.diff(correction, axis=1)).mean()
    + jnp.abs(jnp.diff(correction, axis=2)).mean(),
    static=mean_over((rest * jnp.abs(drift)).mean((1, 2, 3)), seen),
    folds=jnp.square(jnp.diff(drift, axis=1)).mean() + jnp.square(jnp.diff(drift, axis=2)).mean(),
  )
  if weights.perceptual:
    crop = lambda x: mouth_crop(x, landmarks, 64)
    terms['perceptual'] = mean_over(
      perceptual_loss(frozen['perceptual'], crop(picture), crop(target)), seen
    )
  if weights.get('lpips'):
    from ifmdm_jax.perception import lpips

    small = lambda x: shrink(x, config.side)
    terms['lpips'] = mean_over(lpips.distance(frozen['lpips'], small(picture), small(target)), seen)
  total = sum(weights[name] * terms[name] for name in TERMS if weights.get(name))
  terms['psnr'] = mean_over(psnr(picture, target), seen)
  terms['psnr_of_still'] = mean_over(psnr(source, target), seen)  # what repeating it would score
  return total, terms


TERMS = (
  'photo', 'bare', 'squared', 'paint', 'inner', 'haze', 'shown', 'missing', 'held', 'rough',
  'static', 'folds', 'perceptual', 'lpips',
)  # fmt: skip


def psnr(picture, target):
  """dB, [B]; pictures in [-1, 1]."""
  return -10.0 * jnp.log10(jnp.square((picture - target) / 2.0).mean((1, 2, 3)) + 1e-10)


def pictures(params, batch, config):
  """A grid for people: source, target, picture, without paint, mask; one row per example."""
  drawing, picture, bare, target = animate(params, batch, config)
  targets = batch['target'].shape[1]
  source = to_float(batch['source'])
  mask = jnp.broadcast_to(
    2.0 * composite.upsample(drawing.mask, source.shape[1]) - 1.0, picture.shape
  )
  pick = lambda x: x[::targets]
  rows = jnp.concatenate([source, pick(target), pick(picture), pick(bare), pick(mask)], axis=2)
  rows = jnp.clip(127.5 * (rows + 1.0), 0.0, 255.0).astype(jnp.uint8)
  return {'source_target_picture_bare_mask': rows.reshape(-1, *rows.shape[2:])}
