"""Learns the mouth of one person from K pictures: `contract.Adaptable`, see `training.adapt`.

Each picture is drawn from the others, by their pixels and its landmarks, and what `own_mouth` keeps
of the others is to make the result more like it: LPIPS, and the absolute difference, of a square
around the lips. What is kept of the picture itself is left out then. The networks stay as they are.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.face import points
from ifmdm_jax.nn.pixels import as_bytes, as_float
from ifmdm_jax.perception import lpips as alexnet
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite, model, own_mouth

SIDE = 96  # pixels of the square around the lips
REACH = 0.8  # half its side, widths of the lips
L1 = 0.3  # weight of the absolute difference beside LPIPS
SOURCES = 8  # that a picture is drawn from, at most
CONFIG = dict(  # of `training.adapt`, for K pictures; two are only held against each other
  adapt=dict(
    steps=((2, 0), (3, 20), (8, 40), (32, 100)), batch=8, ema=0.95, eval_every=10, metric='lips'
  ),
  # How much alike lips have to be stays: shots that are left out have further to their nearest.
  optim=dict(
    name='adam', peak_lr=0.1, schedule='constant', b2=0.99, clip_norm=0.0,
    lr_multipliers=(('own/(skin|inside)', 0.03),), frozen_paths=('own/(keys|shows|seen|alike)',),
  ),
)  # fmt: skip


class Shots(NamedTuple):
  """Pictures of a person, read once."""

  pictures: np.ndarray  # uint8 [K, R, R, 3]
  landmarks: np.ndarray  # [K, 468, 2]
  own: dict  # see `own_mouth.fresh`, of all of them


def read(params, pictures):
  """Reads pictures uint8 [K, R, R, 3]: `Shots`."""
  find = jax.jit(model.find_landmarks)
  seen = {name: params[name] for name in ('landmarker', 'mesh') if name in params}
  landmarks = np.concatenate([np.asarray(find(seen, each[None])) for each in pictures])
  own = own_mouth.fresh(as_float(jnp.asarray(pictures)), jnp.asarray(landmarks))
  return Shots(pictures, landmarks, jax.device_get(own))


def rows(params, shots, config, targets, without=()):
  """Draws every target from other shots: the rows that `loss` takes as a batch.

  Args:
    params: of `model.init`.
    shots: `Shots`.
    config: `config.model`.
    targets: numbers of the shots to be drawn.
    without: numbers of shots that are neither drawn from nor kept.

  Returns:
    {name: [N, ...]}: 'drawn', and 'start' with the average inside of a mouth, and 'wanted'
    [N, 96, 96, 3]; the places of `own_mouth.Places`; 'key' [N, 82]; 'skin' of the source;
    'without' [N, K].
  """
  count = len(shots.pictures)
  take = jax.jit(functools.partial(_take, config=config))
  draw = jax.jit(functools.partial(_row, config=config))
  asked = {target: _sources(count, target, {*without}) for target in targets}
  found = []
  for source in range(count):
    wanted = [target for target in targets if source in asked[target]]
    parts = take(params, shots.pictures[source], shots.landmarks[source]) if wanted else None
    for target in wanted:
      of = (shots.pictures[target], shots.landmarks[target])
      row = jax.device_get(draw(params, parts, shots.landmarks[source], *of))
      left_out = np.zeros(count, np.float32)
      left_out[[target, *without]] = 1.0
      found.append({**row, 'skin': shots.own['skin'][source], 'without': left_out})
  return {name: np.stack([row[name] for row in found]) for name in found[0]}


def _sources(count, target, without):
  """Chooses what a target is drawn from, the same every time."""
  others = [each for each in range(count) if each != target and each not in without]
  if not others:
    return {target}
  chosen = np.random.default_rng(target).permutation(len(others))[:SOURCES]
  return {others[each] for each in chosen}


def _take(params, picture, landmarks, *, config):
  return model.take_apart(params, as_float(picture)[None], landmarks[None], config)


def _row(params, parts, source, picture, target, *, config):
  layers, inside, appearance = parts
  difference = model.code_of(params, target[None]) - model.code_of(params, source[None])
  moved = model.moves(params, difference)
  drawing = model.apply(params, config, 'draw', appearance, difference, moved)
  lips = target[points.LIPS_BOX]
  low, high = lips.min(0), lips.max(0)
  half = REACH * (high - low).max()
  middle = ((low + high) / 2.0)[None, None]
  place = middle + half * (2.0 * composite.identity_grid(SIDE) - 1.0)
  cut = lambda picture: composite.sample(picture, place[None])[0]
  drawn, start = (cut(model.render(layers, each, drawing)[0]) for each in (None, inside))
  where = own_mouth.places(drawing.landmarks[0], place)
  return {
    'drawn': drawn,
    'start': start,
    'wanted': cut(as_float(picture)[None]),
    'key': own_mouth.key(drawing.landmarks[0]),
    **{f'place_{name}': value for name, value in where._asdict().items()},
  }


# -------------------------------------------------------------------------- what is learned


def adapt(params, frames, config):
  """Begins with what the shots show, see `contract.Adaptable`: {'own'} alone is learned."""
  del frames, config
  return {'own': params['own']}


def frozen(config):
  """Loads AlexNet of LPIPS."""
  del config
  return alexnet.load()


def draw(own, batch):
  """Lays own mouths over the squares of a batch: [N, 96, 96, 3]."""

  def one(row):
    portrait = own_mouth.of_skin(own, row['skin'], row['key'], row['without'])
    skin, inside = own_mouth.layers(own, portrait, row['key'], row['without'])
    where = own_mouth.Places(*(row[f'place_{name}'] for name in own_mouth.Places._fields))
    under = row['start'] if inside is None else row['drawn']
    return own_mouth.laid(under, skin, inside, where)

  return jax.vmap(one)(batch)


def loss(params, batch, rng, *, config, step, frozen):
  """Compares drawn mouths with those of the shots: LPIPS and absolute difference."""
  del rng, config, step
  picture = draw(params['own'], batch)
  terms = {
    'lips': alexnet.distance(frozen, picture, batch['wanted']).mean(),
    'photo': jnp.abs(picture - batch['wanted']).mean(),
  }
  return terms['lips'] + L1 * terms['photo'], terms


def evaluate(params, batch, rng, *, config, frozen):
  """Measures {'lips', 'photo'}, and 'start': 'lips' of the weights as they were."""
  _, terms = loss(params, batch, rng, config=config, step=0, frozen=frozen)
  return {**terms, 'start': alexnet.distance(frozen, batch['start'], batch['wanted']).mean()}


def pictures(params, batch, config):
  """Draws a row for each: the shot, as the weights were, as they are: {'shot_before_after'}."""
  del config
  drawn = draw(params['own'], batch)
  rows = jnp.concatenate([batch['wanted'], batch['start'], drawn], axis=2)
  rows = as_bytes(rows)
  return {'shot_before_after': rows.reshape(-1, *rows.shape[2:])}
