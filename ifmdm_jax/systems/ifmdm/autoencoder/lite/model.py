"""Stage 1 of `lite` as the trainer sees it: init, loss, pictures.

The motion code is linear in landmarks (`face/landmarker.py`; `face/mesh.py` in weights up to 0.8);
a matte (`face/matte.py`) cuts the person out of the background. The weights of both and the code's
own are constants among the parameters: nothing here trains them. What is trained is how a portrait
moves with its landmarks, and what is painted where moving pixels is not enough.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face import landmarker, matte, mesh, points, tflite
from ifmdm_jax.nn import winograd
from ifmdm_jax.nn.pixels import as_float
from ifmdm_jax.systems.ifmdm.autoencoder.lite import (
  composite,
  eyes,
  losses,
  mouth,
  network,
  own_mouth,
  units,
)
from ifmdm_jax.systems.ifmdm.autoencoder.lite.losses import shrink

CODE = tflite.WEIGHTS / 'landmark_code.npz'
NAMED_DIRECTIONS = eyes.NAMES  # that `draw` takes beyond a code's own
VIEW = 256  # pixels: landmarker and matte look at a copy of about their own resolution


def network_of(config):
  """Builds the networks of a `config.model`."""
  sizes = {k: tuple(v) if isinstance(v, (list, tuple)) else v for k, v in config.sizes.items()}
  return network.Autoencoder(**sizes)


def init(rng, config):
  """Draws {'network': to be trained}, and loads {'landmarker', 'person', 'code'}: constants."""
  picture = jnp.zeros((1, config.side, config.side, 3))
  landmarks = jnp.zeros((1, points.POINTS, 2))
  net = network_of(config)
  code = jnp.zeros((1, net.motion_dim))
  with np.load(CODE) as file:
    return {
      'network': net.init(rng, picture, picture[..., :1], landmarks, code, landmarks)['params'],
      'landmarker': landmarker.load(),
      'person': matte.load(),
      'code': dict(file),
    }


class Portrait(NamedTuple):
  """A source, encoded once: pixels, what the decoder needs of them, motion code, lasting shape."""

  layers: composite.Layers  # at R x R
  inside: mouth.Interior
  appearance: network.Source
  code: jax.Array  # [1, M]
  shape: jax.Array  # [1, 468, 3], see `units`
  own: own_mouth.Own | None = None  # of weights that know the person, see `person`


def portrait(params, image, config):
  """Encodes uint8 [R, R, 3], R a power of two times `config.side`: `Portrait`."""
  found = _seen(params, image[None])
  landmarks = found[:, : points.POINTS]
  pixels = as_float(image)[None]
  layers, inside, appearance = take_apart(params, pixels, landmarks, config)
  if found.shape[1] > points.POINTS:
    middles = found[:, np.array([points.LEFT_IRIS[0], points.RIGHT_IRIS[0]])]
    appearance = appearance._replace(irises=middles)
  shape = jnp.zeros((1, points.POINTS, 3))
  own = None
  if 'own' in params:
    own = jax.vmap(functools.partial(own_mouth.portrait, params['own']))(pixels, landmarks)
  return Portrait(layers, inside, appearance, code_of(params, landmarks), shape, own)


def with_units(portrait, by_name):
  """Gives a `Portrait` a lasting shape by face units {name: number}, see `units`."""
  return portrait._replace(shape=jnp.asarray(units.shape(by_name)))


def take_apart(params, pixels, landmarks, config):
  """Takes pictures [B, R, R, 3] in [-1, 1] apart: the first three of `Portrait`."""
  person = matte.find(params['person'], shrink((pixels + 1.0) / 2.0, VIEW))
  appearance = apply(
    params,
    config,
    'appearance',
    shrink(pixels, config.side),
    shrink(person, config.side),
    landmarks,
  )
  oval = appearance.places[:, points.OVAL]
  layers = composite.layers(pixels, person, appearance.behind, oval)
  return layers, mouth.interior(pixels, appearance.solid), appearance


def render(layers, inside, drawing):
  """Draws what a `network.Drawing` says, in [-1, 1].

  Args:
    layers: of the portrait.
    inside: of its mouth; None: nothing is drawn there.
    drawing: of the frames.

  Returns:
    Pictures [B, R, R, 3], and the same without paint.
  """
  bare = composite.warped(layers, drawing)
  if inside is not None:
    bare = mouth.paste(bare, inside, drawing.landmarks, drawing.awake)
  return composite.painted(bare, drawing), bare


def motion(params, frames, config):
  """Reads codes [T, M] off uint8 [T, R, R, 3]."""
  del config
  return code_of(params, find_landmarks(params, frames))


def for_cpu(params):
  """Adds to the parameters what `draw` needs to be fast on a CPU."""
  return dict(params, winograd=winograd.kernels({'decoder': params['network']['decoder']}))


def draw(params, portrait, codes, config):
  """Draws a `Portrait`.

  Args:
    params: of `init`, or of `for_cpu`; with 'own' where they know the person, see `person`.
    portrait: `Portrait` of one picture.
    codes: [B, M], absolute, or [B, M + 4]: with gestures of lids and irises, see `eyes`.
    config: `config.model`.

  Returns:
    uint8 [B, R, R, 3].
  """
  width = portrait.code.shape[1]
  difference, gestures = codes[:, :width] - portrait.code, codes[:, width:]
  if not gestures.shape[1]:
    gestures = jnp.zeros((len(codes), len(eyes.NAMES)))
  return _drawn(params, portrait, difference, moves(params, difference), gestures, config)


def draw_points(params, portrait, rows, config, painted=True):
  """Draws a `Portrait` whose landmarks somebody else has moved.

  Args:
    params, portrait, config: see `draw`.
    rows: [B, 936 + 4]: landmarks, fractions of the side, x before y, then gestures, see `eyes`.
    painted: else pixels of the portrait alone are moved, without the mouth's inside and paint.

  Returns:
    uint8 [B, R, R, 3].
  """
  landmarks = rows[:, : 2 * points.POINTS].reshape(-1, points.POINTS, 2)
  moved = landmarks - portrait.appearance.points
  difference = code_of(params, landmarks) - portrait.code
  gestures = rows[:, 2 * points.POINTS :]
  return _drawn(params, portrait, difference, moved, gestures, config, painted)


def _drawn(params, portrait, difference, moved, gestures, config, painted=True):
  layers, inside, appearance, _, shape, own = jax.tree.map(
    lambda x: jnp.broadcast_to(x, (len(moved), *x.shape[1:])), portrait
  )
  with winograd.in_place_of_convolutions():
    shape = units.seen(appearance.points + moved, shape)
    inputs = appearance, difference, moved + shape, gestures, shape
    drawing = apply(params, config, 'draw', *inputs)
  known = params.get('own', {})
  if not painted:
    picture = composite.warped(layers, drawing)
  else:
    picture, _ = render(layers, None if 'inside' in known else inside, drawing)
    if own is not None:
      picture = own_mouth.paste(known, own, picture, drawing.landmarks, drawing.awake)
  return jnp.clip(jnp.round(127.5 * (picture + 1.0)), 0.0, 255.0).astype(jnp.uint8)


def tracked(params, landmarks, codes):
  """Moves the landmarks of a portrait as `draw` does, without drawing.

  Args:
    params: of `init`.
    landmarks: [468, 2], fractions of the side.
    codes: [B, M], absolute, or [B, M + 4], whose lids close and whose gaze no landmark says.

  Returns:
    [B, 468, 2].
  """
  code = code_of(params, landmarks[None])
  moved = landmarks[None] + moves(params, codes[:, : code.shape[1]] - code)
  gestures = codes[:, code.shape[1] :]
  return eyes.close(moved, moved, gestures)[0] if gestures.shape[1] else moved


def apply(params, config, method, *args):
  """Calls a method of the networks."""
  variables = {'params': params['network'], 'winograd': params.get('winograd', {})}
  return network_of(config).apply(variables, *args, method=method)


def find_landmarks(params, pictures):
  """Finds landmarks [B, 468, 2], fractions of the side, in uint8 [B, R, R, 3]."""
  return _seen(params, pictures)[:, : points.POINTS]


def _seen(params, pictures):
  """Finds landmarks and, where the network sees them, irises: [B, 468 or 478, 2]."""
  view = shrink(pictures.astype(jnp.float32) / 255.0, VIEW)
  if 'mesh' in params:
    return mesh.find(params['mesh'], view, composite.sample)
  return landmarker.find(params['landmarker'], view, composite.sample)


def code_of(params, landmarks):
  """Turns landmarks [..., 468, 2] into codes [..., M]; see `pipeline/landmark_code.py`."""
  code = params['code']
  flat = landmarks.reshape(*landmarks.shape[:-2], -1)
  return flat @ code['encode'] - jnp.expand_dims(code['bias'], range(flat.ndim - 1))


def moves(params, difference):
  """Turns a difference of codes [..., M] into motion of landmarks, [..., 468, 2]."""
  moved = difference @ params['code']['decode']  # [..., 936]
  return moved.reshape(*difference.shape[:-1], points.POINTS, 2)


def frozen(config):
  """Loads the networks of the perceptual terms that have a weight, by term."""
  return {term: load() for term, load in losses.NETWORKS.items() if config.loss.get(term)}


def animate(params, batch, config):
  """Draws each target; K targets share one pass over the source."""
  source = as_float(batch['source'])
  count, targets = batch['target'].shape[:2]
  target = as_float(batch['target']).reshape(count * targets, *source.shape[1:])
  params = {**jax.lax.stop_gradient(params), 'network': params['network']}
  difference = code_of(params, batch['target_points'])
  difference -= code_of(params, batch['source_points'])[:, None]
  difference = difference.reshape(count * targets, -1)

  parts = take_apart(params, source, batch['source_points'], config)
  layers, inside, appearance = jax.tree.map(lambda x: jnp.repeat(x, targets, axis=0), parts)
  drawing = apply(params, config, 'draw', appearance, difference, moves(params, difference))
  picture, bare = render(layers, inside, drawing)
  return drawing, picture, bare, target


def loss(params, batch, rng, *, config, step, frozen):
  """Sums the terms of `losses`, weighted by `config.loss`."""
  del rng, step
  drawing, picture, bare, _ = animate(params, batch, config)
  view = losses.view(drawing, picture, bare, batch, config.loss)
  seen = batch['seen'].reshape(-1)
  return losses.total(view, seen, weights=config.loss, side=config.side, frozen=frozen)


def pictures(params, batch, config):
  """Draws a row per example: source, target, picture, without paint, mask."""
  drawing, picture, bare, target = animate(params, batch, config)
  targets = batch['target'].shape[1]
  source = as_float(batch['source'])
  if drawing.mask is None:
    mask = jnp.full(picture.shape, -1.0)
  else:
    mask = 2.0 * composite.upsample(drawing.mask, source.shape[1]) - 1.0
    mask = jnp.broadcast_to(mask, picture.shape)
  pick = lambda x: x[::targets]
  rows = jnp.concatenate([source, pick(target), pick(picture), pick(bare), pick(mask)], axis=2)
  rows = jnp.clip(127.5 * (rows + 1.0), 0.0, 255.0).astype(jnp.uint8)
  return {'source_target_picture_bare_mask': rows.reshape(-1, *rows.shape[2:])}
