"""Fits the body to the points of a face: identity and camera of a clip, motion of every frame.

Batched least squares in JAX. Every frame has 51 face units, the head's turn and place, and gaze; a
clip has one identity and one focal length, found by Gauss-Newton steps on some of its frames at
once (the frames' own unknowns are eliminated, a Schur complement) and then kept. Units start from,
and are held near, scores that a network gives them; points of lips and lids count most.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import align, points
from ifmdm_jax.systems.vlogger import axes, body, camera, skeleton

LEAST = 0.15  # of a picture's side: eyes that are nearer to each other than this over ten are none
BLOCK = 32  # frames that are solved at once
JOINT_STEPS, FRAME_STEPS = 7, 4
DAMPING = 1e-3
# Standard deviations: of what the points say, in eye distances; and of what is expected.
POINT, ANGLE, GAZE, IDENTITY, FIELD = 0.06, 0.6, 0.35, 1.0, 0.25
# Of a unit from its score. Several units part the lips or the lids: what their points say of the
# opening is left to the jaw and to the blink. The others stay near their scores, or near the
# median of those over the clip.
SCORE, OPENS, BESIDE = 0.12, 0.6, 0.04
FREE = 'jawOpen', 'eyeBlink'
BOUND = ('mouthClose', 'mouthUpperUp', 'mouthLowerDown', 'mouthRoll', 'mouthShrug', 'mouthFunnel',
         'mouthPress', 'mouthPucker', 'mouthStretch', 'mouthFrown', 'mouthDimple',
         'cheekSquint')  # fmt: skip
STILL = 'mouthClose', 'mouthLowerDown', 'mouthUpperUp', 'eyeWide', 'eyeLook'
WEIGHTS = (  # of points, later ones overwrite earlier ones
  (points.LIPS, 5.0),
  (points.LIPS_INNER, 16.0),
  (points.EYES, 8.0),
  (points.LEFT_IRIS, 1.5),
  (points.RIGHT_IRIS, 1.5),
  (points.OVAL, 0.5),
)
TRUNK = 4.0  # decimetres from the base of the neck down to where the trunk leans

_UNITS, _TURN, _PLACE, _GAZE = slice(0, 51), slice(51, 54), slice(54, 57), slice(57, 61)
UNKNOWNS = 61  # of a frame: units, turn, place on the picture (x, y, log of the scale), gaze
GAZES = axes.indices('gaze')  # left pitch and yaw, then right
TURNS = [axes.INDEX[f'head{angle}'] for angle in ('Pitch', 'Yaw', 'Roll')]
PLACES = [axes.INDEX[f'head{letter}'] for letter in 'XYZ']


class Fit(NamedTuple):
  """What was found of a clip of T frames.

  Attributes:
    identity: float32 [I], standard deviations.
    focal: float, pixels.
    motion: float32 [T, A], see `axes`; NaN where a frame has no face.
    error: float32 [T], mean distance of the points to their places over the eye distance.
    size: (H, W) of the pictures.
  """

  identity: np.ndarray
  focal: float
  motion: np.ndarray
  error: np.ndarray
  size: tuple[int, int]


def fit(places, scores, size, *, field=None, identity=None):
  """Fits the bundled body to the points of a photo or a clip.

  Args:
    places: [T, 478 or 468, 2], pixels; frames that are not finite are left out. Without irises
      gaze stays ahead.
    scores: [T, 52] as `FaceUnits.track` gives them, or None.
    size: (H, W) of the pictures.
    field: diagonal field of view, radians; None finds it.
    identity: [I], of a person who is known; None finds it.

  Returns:
    `Fit`.

  Raises:
    InputError: there is no face in any frame.
  """
  places = np.asarray(places, np.float32)
  valid = np.isfinite(places).all((1, 2))
  if scores is not None:
    valid &= np.isfinite(scores).all(1)
  apart = np.where(valid, points.eye_distance(np.nan_to_num(places)), 0)
  valid &= apart > LEAST * min(size) / 10
  if not valid.any():
    raise InputError('expected a face in at least one frame, found none: use another film or photo')
  model = _model(places.shape[1])
  seen = places[valid]
  expected = (
    np.zeros((len(seen), 51), np.float32) if scores is None else _expectation(scores[valid])
  )
  scale = float(np.median(apart[valid]))
  diagonal = float(np.hypot(*size))
  focal = diagonal / 2 / np.tan((field or camera.FIELD) / 2)
  problem = _Problem(
    weight=_weights(places.shape[1]), scale=scale, middle=np.float32(size[::-1]) / 2,
    log_focal=np.float32(np.log(focal)), unit=_spreads())  # fmt: skip
  start = _start(model, seen, expected, problem)
  shared = np.zeros(model.identity.shape[0] + 1, np.float32)
  shared[-1] = np.log(focal)
  if identity is not None:
    shared[:-1] = identity
  free = np.ones_like(shared)
  free[:-1], free[-1] = identity is None, field is None
  if free.any():
    some = np.unique(np.linspace(0, len(seen) - 1, BLOCK).round().astype(int))
    some, share = _padded(some)
    own = _frames(model, problem, shared, start[some], seen[some], expected[some])
    shared = np.asarray(
      _jointly(model, problem, shared, own, seen[some], expected[some], share, free))  # fmt: skip
  found = []
  for first in range(0, len(seen), BLOCK):
    some, share = _padded(np.arange(first, min(first + BLOCK, len(seen))))
    own = _frames(model, problem, shared, start[some], seen[some], expected[some])
    found.append(np.asarray(own)[share > 0])
  own = np.concatenate(found)
  motion = np.full((len(places), len(axes.AXES)), np.nan, np.float32)
  motion[valid] = _hang(model, shared, np.asarray(_motion(problem, shared, own)))
  error = np.full(len(places), np.nan, np.float32)
  found = Fit(shared[:-1], float(np.exp(shared[-1])), motion, error, tuple(size))
  away = drawn(found, places.shape[1])[valid] - seen
  error[valid] = np.linalg.norm(away, axis=-1).mean(1) / apart[valid]
  return found


def drawn(found, count=points.POINTS_WITH_IRISES):
  """Draws the first `count` points of the face as they were fitted: [T, count, 2], pixels."""
  posed = _posed(body.at_points(body.load()), found.identity, found.motion)
  return np.asarray(camera.project(posed, found.focal, found.size))[:, :count, :2]


class _Problem(NamedTuple):
  weight: np.ndarray  # [P]
  scale: float  # eye distance, pixels
  middle: np.ndarray  # [2], pixels
  log_focal: np.ndarray  # expected
  unit: np.ndarray  # [51], standard deviations


@functools.cache
def _model(count):
  """The body at the first `count` points, carried by head and eyes alone."""
  model = body.at_points(body.load())
  return model._replace(
    template=model.template[:count], identity=model.identity[:, :count],
    units=model.units[:51, :count], carried=model.carried[:count])  # fmt: skip


def _weights(count):
  weight = np.ones(points.POINTS_WITH_IRISES, np.float32)
  for some, value in WEIGHTS:
    weight[some] = value
  return weight[:count]


def _expectation(scores):
  """Says what units are expected of scores [T, 52]: [T, 51]."""
  expected = scores[:, 1:].copy()
  still = [name.startswith(STILL) for name in axes.UNITS]
  expected[:, still] = np.median(expected[:, still], 0)
  return expected


def _spreads():
  """Lists how far each unit may be from its score, [51]."""
  kind = lambda name: (
    OPENS if name.startswith(FREE) else BESIDE if name.startswith(BOUND + STILL) else SCORE
  )
  return np.array([kind(name) for name in axes.UNITS], np.float32)


def _padded(some):
  """Repeats the last of some frames to a full block, or leaves one alone: frames, shares."""
  length = 1 if len(some) == 1 else BLOCK
  share = (np.arange(length) < len(some)).astype(np.float32)
  return some[np.minimum(np.arange(length), len(some) - 1)], share


def _start(model, seen, expected, problem):
  """Lays the mean face over the points of each frame: [T, 61]."""
  flat = np.asarray(model.template)[None, :, :2]
  rigid = points.RIGID
  laid = align.similarity(np.repeat(flat[:, rigid], len(seen), 0), seen[:, rigid])
  own = np.zeros((len(seen), UNKNOWNS), np.float32)
  own[:, _UNITS] = np.clip(expected, 0, 1)
  own[:, _TURN.stop - 1] = np.arctan2(laid.across, laid.along)
  place = laid(np.zeros((len(seen), 1, 2), np.float32))[:, 0]
  own[:, 54:56] = (place - problem.middle) / problem.scale
  own[:, 56] = np.log(np.hypot(laid.along, laid.across) / problem.scale)
  return own


_posed = jax.jit(body.vertices)


def _motion(problem, shared, own):
  """Unknowns [..., 61] -> motion [..., A] without trunk and shoulders."""
  large = jnp.exp(own[..., 56:57])
  distance = jnp.exp(shared[-1]) / (large * problem.scale)
  motion = jnp.zeros((*own.shape[:-1], len(axes.AXES)))
  place = jnp.concatenate([own[..., 54:56] / large, distance], -1)
  for where, value in (([*range(51)], own[..., _UNITS]), (TURNS, own[..., _TURN]),
                       (PLACES, place), (GAZES, own[..., _GAZE])):  # fmt: skip
    motion = motion.at[..., np.array(where)].set(value)
  return motion


def _drawn(model, problem, shared, own):
  """Draws the points of one frame: own [61] -> [P, 2], pixels."""
  motion = _motion(problem, shared, own)
  identity, focal = shared[:-1], jnp.exp(shared[-1])
  shaped, joints = body.rest(model, identity, own[_UNITS])
  turns, places = skeleton.pose(joints, motion)
  posed = shaped @ turns[0].T + places[:1]
  for side in ('eyeLeft', 'eyeRight'):
    joint = skeleton.NUMBER[side]
    turned = (shaped - joints[joint][None]) @ turns[joint].T + places[joint][None]
    posed = jnp.where(model.carried[:, joint, None] > 0.5, turned, posed)
  return problem.middle[None] + focal * posed[:, :2] / jnp.maximum(posed[:, 2:], 0.1)


def _residual(model, problem, shared, own, seen, expected):
  """What a frame's unknowns leave unexplained, in standard deviations: [R]."""
  apart = (_drawn(model, problem, shared, own) - seen) / (problem.scale * POINT)
  gaze = own[_GAZE]
  return jnp.concatenate([
    (apart * jnp.sqrt(problem.weight)[:, None]).reshape(-1),
    (own[_UNITS] - expected) / problem.unit,
    own[_TURN] / ANGLE,
    gaze / GAZE,
    (gaze[:2] - gaze[2:]) / (GAZE / 4),  # eyes look at the same thing
  ])  # fmt: skip


def _expected(problem, shared):
  """What the shared unknowns leave unexplained: [S]."""
  deviation = (shared[-1] - problem.log_focal) / FIELD
  return jnp.concatenate([shared[:-1] / IDENTITY, deviation[None]])


def _inside(own):
  return own.at[..., _UNITS].set(jnp.clip(own[..., _UNITS], 0, 1))


def _free(own, gradient):
  """Says which unknowns of a frame may move: not those at a bound that are pushed out of it."""
  low = (own[_UNITS] <= 0) & (gradient[_UNITS] > 0)
  high = (own[_UNITS] >= 1) & (gradient[_UNITS] < 0)
  return jnp.ones(UNKNOWNS).at[_UNITS].set(1.0 - (low | high).astype(jnp.float32))


def _damped(matrix, damping):
  return matrix + jnp.diag(damping * jnp.diag(matrix) + 1e-6)


@jax.jit
def _frames(model, problem, shared, own, seen, expected):
  """Solves frames one by one, what is shared kept: own [T, 61] -> [T, 61]."""

  def solve(start, seen, expected):
    residual = lambda own: _residual(model, problem, shared, own, seen, expected)
    cost = lambda own: (residual(own) ** 2).sum()

    def step(state, _):
      own, damping = state
      left, slope = residual(own), jax.jacfwd(residual)(own)
      gradient = slope.T @ left
      slope = slope * _free(own, gradient)[None]
      moved = own - jnp.linalg.solve(_damped(slope.T @ slope, damping), slope.T @ left)
      moved = _inside(moved)
      better = cost(moved) < (left**2).sum()
      own = jnp.where(better, moved, own)
      return (own, jnp.where(better, damping / 4, damping * 8)), None

    return jax.lax.scan(step, (start, jnp.float32(DAMPING)), length=FRAME_STEPS)[0][0]

  return jax.vmap(solve)(own, seen, expected)


@jax.jit
def _jointly(model, problem, shared, own, seen, expected, share, free):
  """Solves some frames and what they share: shared [S] -> [S].

  Args:
    share: [T], 0 leaves a frame out.
    free: [S], 0 keeps an unknown.
  """
  residual = lambda shared, own, s, e: _residual(model, problem, shared, own, s, e)
  every = lambda shared, own: jax.vmap(residual, (None, 0, 0, 0))(shared, own, seen, expected)
  slopes = jax.vmap(jax.jacfwd(residual, (0, 1)), (None, 0, 0, 0))

  def cost(shared, own):
    return (share[:, None] * every(shared, own) ** 2).sum() + (
      _expected(problem, shared) ** 2
    ).sum()

  def step(state, _):
    shared, own, damping = state
    left = every(shared, own)  # [T, R]
    by_shared, by_own = slopes(shared, own, seen, expected)  # [T, R, S], [T, R, 61]
    gradient = jnp.einsum('tru,tr->tu', by_own, left)
    by_own = by_own * jax.vmap(_free)(own, gradient)[:, None]
    by_shared = by_shared * free[None, None] * share[:, None, None]
    expected_slope = jax.jacfwd(lambda s: _expected(problem, s))(shared) * free[None]
    inner = jax.vmap(_damped, (0, None))(jnp.einsum('tru,trv->tuv', by_own, by_own), damping)
    across = jnp.einsum('tru,trs->tus', by_own, by_shared)
    outer = jnp.einsum('tru,trs->us', by_shared, by_shared) + expected_slope.T @ expected_slope
    pull = jnp.einsum('trs,tr->s', by_shared, left) + expected_slope.T @ _expected(problem, shared)
    own_pull = jnp.einsum('tru,tr->tu', by_own, left)
    solved = jnp.linalg.solve(inner, jnp.concatenate([across, own_pull[..., None]], -1))
    reduced = outer - jnp.einsum('tus,tuv->sv', across, solved[..., :-1])
    reduced = _damped(reduced, damping) + jnp.diag(1.0 - free)
    change = jnp.linalg.solve(reduced, pull - jnp.einsum('tus,tu->s', across, solved[..., -1]))
    own_change = solved[..., -1] - solved[..., :-1] @ change
    moved = shared - change * free, _inside(own - own_change)
    better = cost(*moved) < cost(shared, own)
    pick = lambda new, old: jnp.where(better, new, old)
    damping = jnp.where(better, damping / 4, damping * 8)
    return (pick(moved[0], shared), pick(moved[1], own), damping), None

  start = (shared, own, jnp.float32(DAMPING))
  return jax.lax.scan(step, start, length=JOINT_STEPS)[0][0]


def _hang(model, shared, motion):
  """Lets the trunk hang below the head: it leans about a waist that stays where it is on average.

  The points of a face say nothing of the trunk: this is a guess that keeps it still while a head
  turns. Motion [T, A] -> [T, A].
  """
  joints = np.asarray(model.joints) + np.tensordot(shared[:-1], model.joint_identity, 1)
  turns, places = skeleton.pose(jnp.asarray(joints), jnp.asarray(motion))
  neck = np.asarray(places[:, skeleton.NUMBER['neck'], :2])
  lean = np.arctan2(neck[:, 0] - neck[:, 0].mean(), TRUNK)
  motion = motion.copy()
  motion[:, axes.INDEX['torsoRoll']] = lean
  return motion
