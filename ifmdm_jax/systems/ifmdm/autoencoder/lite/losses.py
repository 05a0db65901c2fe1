"""What `lite` minimises: a weighted sum of terms, one function each.

Weights: configs/autoencoder.py.

A term of the pictures is [B], of which only pairs count whose target's pixels are known; one of how
they are drawn is a mean over all. Lengths are per cent of the side.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face import points
from ifmdm_jax.nn.pixels import as_float
from ifmdm_jax.perception import lpips as alexnet
from ifmdm_jax.perception import vgg
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite, geometry
from ifmdm_jax.systems.ifmdm.autoencoder.lite.network import Drawing

PER_CENT = 100.0
STILL = 0.04  # mean absolute difference of places that did not change, to 1 / e
LIPS_SIDE = 64  # pixels of the crop around the mouth that VGG sees
LPIPS_SIDE = 96  # and that AlexNet sees
LIPS_REACH = 0.75  # of the width of the lips: half a side of that crop
# That terms compare pictures by.
NETWORKS = {'perceptual': vgg.load, 'lpips': alexnet.load, 'lips': alexnet.load}
PLACES = ('face', 'mouth', 'eyes', 'inside')  # weights of places among those of the terms


class View(NamedTuple):
  """A batch as the terms see it; B counts targets, R is the side of the pictures."""

  drawing: Drawing
  picture: jax.Array  # [B, R, R, 3]
  bare: jax.Array  # [B, R, R, 3], without paint
  source: jax.Array  # [B, R, R, 3]
  target: jax.Array  # [B, R, R, 3]
  source_points: jax.Array  # [B, 468, 2]
  points: jax.Array  # [B, 468, 2]
  mouth: jax.Array  # [B, R, R, 1], soft boxes of the target's landmarks,
  eyes: jax.Array  # [B, R, R, 1]
  face: jax.Array  # [B, R, R, 1]
  inside: jax.Array  # [B, R, R, 1], and what is between its lips
  weight: jax.Array  # [B, R, R, 1], how much a pixel counts: 1 on average


def view(drawing, picture, bare, batch, weights):
  """Gathers what the terms look at.

  Args:
    drawing, picture, bare: of every target.
    batch: source [b, R, R, 3], target [b, K, R, R, 3], both uint8, and their landmarks.
    weights: `config.loss`; PLACES of it weigh pixels.
  """
  targets = batch['target'].shape[1]
  each = lambda x: jnp.repeat(x, targets, axis=0)
  side = picture.shape[1]
  landmarks = batch['target_points'].reshape(-1, points.POINTS, 2)
  mouth, eyes, face = regions(landmarks, side)
  inside = geometry.inner_mouth(landmarks, side)
  weight = 1.0 + weights.face * face + weights.mouth * mouth + weights.eyes * eyes
  weight += weights.inside * inside
  weight = weight / weight.mean((1, 2, 3), keepdims=True)
  return View(
    drawing,
    picture,
    bare,
    each(as_float(batch['source'])),
    as_float(batch['target']).reshape(-1, *batch['target'].shape[2:]),
    each(batch['source_points']),
    landmarks,
    mouth,
    eyes,
    face,
    inside,
    weight,
  )


# ----------------------------------------------------------------------------------- terms


def photo(v):
  """L1 of the picture; mouth, what is inside it, and eyes weighted."""
  return (v.weight * jnp.abs(v.picture - v.target)).mean((1, 2, 3))


def bare(v):
  """L1 of the picture without paint, weighted as `photo`."""
  return (v.weight * jnp.abs(v.bare - v.target)).mean((1, 2, 3))


def squared(v, face):
  """Squared error of the picture, the face weighted: a few large errors count."""
  return ((1.0 + face * v.face) * jnp.square(v.picture - v.target)).mean((1, 2, 3))


def paint(v):
  """L1 of the paint around mouth and eyes, even where the mask hides it."""
  return within(_paint_error(v), _paintable(v))


def inner(v):
  """L1 of the paint between the lips, a small place that would else be outvoted."""
  error = _paint_error(v)
  return within(error, shrink(v.inside, error.shape[1]))


def haze(v):
  """Mask anywhere but around mouth and eyes."""
  return (v.drawing.mask * (1.0 - _paintable(v))).mean()


def visible_teeth(v):
  """Mask over teeth that the portrait shows, in the target or not: they are to stay its own."""
  side = v.drawing.mask.shape[1]
  parted, unseen, _ = geometry.anchored_mouth(v.source_points, v.points, side)
  return within(v.drawing.mask, parted * (1.0 - unseen)).mean()


def missing(v):
  """What the head leaves to the outline of the face."""
  return PER_CENT * jnp.abs(v.drawing.missing).mean()


def static(v):
  """Flow of what did not change between the pictures, the face apart."""
  drift = _drift(v)
  rest = unmoved(v.source, v.target, drift.shape[1]) * (1.0 - shrink(v.face, drift.shape[1]))
  return (rest * jnp.abs(drift)).mean((1, 2, 3))


def folds(v):
  """Squared gradient of the flow."""
  drift = _drift(v)
  return jnp.square(jnp.diff(drift, axis=1)).mean() + jnp.square(jnp.diff(drift, axis=2)).mean()


def perceptual(v, params):
  """Mean absolute difference of VGG-16 features of the mouth, each layer the same weight."""
  crop = lambda x: vgg.features(params, mouth_crop(x, v.points, LIPS_SIDE), upto='relu3_3')
  drawn, wanted = crop(v.picture), crop(jax.lax.stop_gradient(v.target))
  layers = [jnp.abs(drawn[name] - wanted[name]).mean((1, 2, 3)) for name in drawn]
  return sum(layers) / len(layers)


def lpips(v, params, side):
  """LPIPS (AlexNet) of the whole at the side that the network sees."""
  return alexnet.distance(params, shrink(v.picture, side), shrink(v.target, side))


def lips(v, params):
  """LPIPS (AlexNet) of the mouth."""
  crop = lambda x: mouth_crop(x, v.points, LPIPS_SIDE)
  return alexnet.distance(params, crop(v.picture), crop(jax.lax.stop_gradient(v.target)))


def psnr(picture, target):
  """Peak signal to noise, dB, [B]; pictures in [-1, 1]."""
  return -10.0 * jnp.log10(jnp.square((picture - target) / 2.0).mean((1, 2, 3)) + 1e-10)


# In the order of their sum, which rounding depends on.
TERMS = (
  'photo', 'bare', 'squared', 'paint', 'inner', 'haze', 'visible_teeth', 'missing', 'static',
  'folds', 'perceptual', 'lpips', 'lips',
)  # fmt: skip


def total(v, seen, *, weights, side, frozen):
  """Sums the terms.

  Args:
    v: `View`.
    seen: [B], 1 where the target's pixels are known: terms of pictures leave the others out.
    weights: `config.loss`.
    side: that the network sees, pixels.
    frozen: parameters of those of NETWORKS that have a weight.

  Returns:
    Scalar, and {term: scalar}, with the PSNR of the picture and of the source as it is.
  """
  terms = {
    'photo': photo(v),
    'bare': bare(v),
    'squared': squared(v, weights.face),
    'missing': missing(v),
    'static': static(v),
    'folds': folds(v),
  }
  if v.drawing.mask is not None:
    terms |= {'paint': paint(v), 'inner': inner(v), 'haze': haze(v)}
    terms |= {'visible_teeth': visible_teeth(v)}
  if weights.get('perceptual'):
    terms['perceptual'] = perceptual(v, frozen['perceptual'])
  if weights.get('lpips'):
    terms['lpips'] = lpips(v, frozen['lpips'], side)
  if weights.get('lips'):
    terms['lips'] = lips(v, frozen['lips'])
  terms = {name: mean_over(x, seen) if x.ndim else x for name, x in terms.items()}
  result = sum(weights[name] * terms[name] for name in TERMS if weights.get(name) and name in terms)
  terms['psnr'] = mean_over(psnr(v.picture, v.target), seen)
  terms['psnr_of_still'] = mean_over(psnr(v.source, v.target), seen)  # of repeating the source
  return result, terms


# ------------------------------------------------------------------------------- their parts


def shrink(pictures, side):
  """Shrinks [B, R, R, 3] to [B, side, side, 3] by means of 2x2, which is what the networks see."""
  while pictures.shape[1] > side:
    pictures = composite.halve(pictures)
  return pictures


def regions(landmarks, side):
  """Marks (mouth, eyes, face) by soft boxes of the landmarks [B, 468, 2]: [B, side, side, 1]."""
  mouth = geometry.region(landmarks[:, points.LIPS_BOX], side, margin=0.3)
  eyes = sum(geometry.region(landmarks[:, np.array(eye)], side, margin=0.4) for eye in points.LIDS)
  return mouth, jnp.minimum(eyes, 1.0), geometry.region(landmarks, side, margin=0.1)


def unmoved(source, target, side):
  """Marks by 1 where two pictures [B, R, R, 3] agree around a place: [B, side, side, 1]."""
  change = shrink(jnp.abs(source - target).mean(-1, keepdims=True), side // 8)
  return jnp.exp(-composite.upsample(change, side) / STILL)


def mouth_crop(pictures, landmarks, side):
  """Cuts a square around the lips out of [B, R, R, 3]: [B, side, side, 3]."""
  lips = landmarks[:, points.LIPS_BOX]
  centre = (lips.min(1) + lips.max(1)) / 2.0
  half = LIPS_REACH * (lips.max(1) - lips.min(1)).max(-1)
  grid = centre[:, None, None, :] + half[:, None, None, None] * (
    2.0 * composite.identity_grid(side)[None] - 1.0
  )
  return composite.sample(pictures, grid)


def within(values, place):
  """Averages values [B, r, r, 1] over a place, [B]; 0 where it is empty."""
  return (values * place).sum((1, 2, 3)) / (place.sum((1, 2, 3)) + 1.0)


def mean_over(values, weight):
  """Averages values [B] where weight [B] is 1; zero where there is none."""
  return jnp.sum(values * weight) / jnp.maximum(jnp.sum(weight), 1.0)


def _paintable(v):
  return shrink(jnp.maximum(v.mouth, v.eyes), v.drawing.mask.shape[1])


def _paint_error(v):
  target = shrink(v.target, v.drawing.paint.shape[1])
  return jnp.abs(v.drawing.paint - target).mean(-1, keepdims=True)


def _drift(v):
  still = composite.identity_grid(v.drawing.grid.shape[1])[None]
  return PER_CENT * (v.drawing.grid - still)
