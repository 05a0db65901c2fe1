"""Lets the person of a portrait do what the motion model M says.

M counts the head in centimetres of a canonical face, turned in another order than the body's, and
without a trunk. The body was fitted to the portrait. What M's head does from the portrait on, as
rotations and places on the picture, the body's head does from its fit on. Units of the mouth's
opening are M's own. Of the others a score says as much about a face as about what it does (brows
that lie low are a frown to it): they move about the portrait's own as M's do about their level, so
that a lasting expression stays. Points of the posed body then say where landmarks go.
"""

from typing import NamedTuple

import jax
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import points, pose
from ifmdm_jax.generator import Faces
from ifmdm_jax.pipeline import face_motion
from ifmdm_jax.systems.vlogger import axes, body, camera, motion_sampler, skeleton
from ifmdm_jax.systems.vlogger import fit as fits

FREE, CAMERA = GAZES = 'free', 'camera'  # where eyes look: as M says, or at the viewer
_TURNS = [face_motion.index(f'head{name}') for name in ('Pitch', 'Yaw', 'Roll')]
_PLACES = [face_motion.index(f'head{name}') for name in 'XYZ']
_GAZE = [face_motion.index(name) for name in face_motion.GAZE]
_BLINKS = [axes.INDEX[name] for name in ('eyeBlinkRight', 'eyeBlinkLeft')]  # picture's left first
# Units that say how a mouth is open; of all others the portrait's level is kept.
_OPENING = ('jawOpen', 'jawForward', 'mouthClose', 'mouthFunnel', 'mouthPucker', 'mouthLowerDown',
            'mouthUpperUp', 'mouthPress', 'mouthRoll', 'mouthShrug', 'mouthStretch')  # fmt: skip
LASTS = np.array([not name.startswith(_OPENING) for name in axes.UNITS])
_CLOSED = 0.6  # blink of lids that are shut, as films of 25 frames a second have it
_LEVEL, _STILL = 0.15, 0.04  # of open eyes, and above it what is no blink yet


class Person(NamedTuple):
  """A portrait as the body sees it.

  Attributes:
    fit: `fit.Fit` of one frame.
    reference: float32 [M], what the portrait does in M's numbers.
    landmarks: float64 [468, 2], pixels, as they were found.
    middle: float64 [3], of the points that hardly move, from where the head turns, head at rest.
  """

  fit: fits.Fit
  reference: np.ndarray
  landmarks: np.ndarray
  middle: np.ndarray


def read(image, network):
  """Fits the body to a portrait: `Person`.

  Args:
    image: uint8 RGB [R, R, 3], a square.
    network: `face.units.FaceUnits`.

  Raises:
    InputError: it shows no face.
  """
  seen, scores = network.track([image])
  _check(seen[0])
  return _person(fits.fit(seen, scores, image.shape[:2]), seen[0], scores[0])


def follow(image, frames, network, own):
  """Fits the body to a portrait, and to a film that drives it.

  Frames that show no face hold the one before, or at the start the first that does.

  Args:
    image: uint8 RGB [R, R, 3].
    frames: iterable of the same.
    network: `face.units.FaceUnits`.
    own: whether they show the person of the portrait, see `Sampler.reenact`.

  Returns:
    `Person`, and the body's motion float32 [T, A].

  Raises:
    InputError: there is no face in the portrait, or none in the film.
  """
  if not own:
    person = read(image, network)
    seen, scores = (each[_shown(each)] for each in network.track(frames))
    made = face_motion.of_points(seen, scores, image.shape[0])
    return person, motion(person._replace(reference=made[0]), made, level(made))
  seen, scores = network.track([image])
  _check(seen[0])
  more = (each[_shown(each)] for each in network.track(frames))
  seen, scores = (np.concatenate(pair) for pair in zip((seen, scores), more))
  found = fits.fit(seen, scores, image.shape[:2])
  return _person(found, seen[0], scores[0]), found.motion[1:]


def warm(side):
  """Compiles what portraits of a side need, by the fit of a body that just stands there."""
  standing = body.standing()[None]
  identity = np.zeros(len(body.load().identity), np.float32)
  known = fits.Fit(identity, 2.0 * side, standing, np.zeros(1), (side, side))
  seen, scores = fits.drawn(known), np.zeros((1, len(face_motion.UNITS) + 1), np.float32)
  person = _person(fits.fit(seen, scores, (side, side)), seen[0], scores[0])
  placed(person, np.repeat(person.fit.motion, motion_sampler.PIECE, axis=0))


def _check(seen):
  if not np.isfinite(seen).all():
    raise InputError('expected a clearly visible face in the picture, found none: use another one')


def _shown(track):
  """Lists for each frame of a track [T, ...] which one is to be shown: int [T]."""
  found = np.flatnonzero(np.isfinite(track).reshape(len(track), -1).all(1))
  if not len(found):
    raise InputError('expected a clearly visible face in the film, found none: use another one')
  before = np.searchsorted(found, np.arange(len(track)), side='right') - 1
  return found[np.maximum(before, 0)]


def _person(found, seen, scores):
  reference = face_motion.of_points(seen[None], scores[None], found.size[0])[0]
  model = body.at_points(body.load())
  units = found.motion[0, : len(axes.UNITS)]
  shaped, joints = body.rest(model, found.identity, units)
  middle = np.asarray(shaped)[pose.HEAD].mean(0) - np.asarray(joints)[skeleton.NUMBER['head']]
  return Person(found, reference, np.float64(seen[: points.POINTS]), np.float64(middle))


def level(made):
  """Measures what a performance of M moves about: [T, M] -> [M]; some seconds are enough."""
  return np.median(made, axis=0)


def motion(person, made, about, gaze=FREE):
  """Turns motion of M into the body's.

  Args:
    person: `Person`.
    made: [T, M], see `pipeline.face_motion`.
    about: [M], `level` of the performance.
    gaze: of GAZES.

  Returns:
    float32 [T, A], see `axes`.

  Raises:
    InputError: there is no such gaze.
  """
  if gaze not in GAZES:
    raise InputError(f'expected gaze to be one of {", ".join(GAZES)}, got {gaze!r}')
  made, start = np.asarray(made, np.float64), person.fit.motion[0].astype(np.float64)
  moved = np.repeat(start[None], len(made), axis=0)
  count = len(axes.UNITS)
  own = np.where(LASTS, start[:count] - about[:count], 0.0)
  moved[:, :count] = np.clip(made[:, :count] + own, 0, 1)

  turned = face_turn(made) @ face_turn(person.reference[None])[0].T
  began = np.asarray(skeleton.turn(*start[skeleton.HEAD]), np.float64)
  turn = turned @ began
  moved[:, skeleton.HEAD] = head_angles(turn)
  # The middle of the face goes on the picture where M says; the body turns about its neck.
  side, reference = person.fit.size[0], person.reference.astype(np.float64)
  place = lambda of: of[..., _PLACES[:2]] * _focal(side) / of[..., _PLACES[2:]]
  first = start[skeleton.PLACE] + began @ person.middle
  away = first[2] * made[:, _PLACES[2]] / reference[_PLACES[2]]
  seen = first[:2] * person.fit.focal / first[2] + place(made) - place(reference)
  middle = np.concatenate([seen * away[:, None] / person.fit.focal, away[:, None]], axis=1)
  moved[:, skeleton.PLACE] = middle - turn @ person.middle

  if gaze == CAMERA:
    eyes = looking(turn, began)
  else:  # M's yaw is to the right of the picture, the body's to the left
    eyes = (made[:, _GAZE] - reference[_GAZE]) * (1.0, -1.0)
  moved[:, fits.GAZES] += np.tile(eyes, 2)
  return moved.astype(np.float32)


def enacted(person, played):
  """Turns a track of face units into motion of the body.

  The mouth's units are the track's own. Those that last are added to the portrait's. Head and gaze
  go on from the portrait as they do from the track's first frame; the neck stays where it is.

  Args:
    person: `Person`.
    played: `track.Track`.

  Returns:
    float32 [T, A], see `axes`.
  """
  start = person.fit.motion[0].astype(np.float64)
  moved = np.repeat(start[None], len(played.units), axis=0)
  count = len(axes.UNITS)
  moved[:, :count] = np.clip(played.units + np.where(LASTS, start[:count], 0.0), 0, 1)
  began = np.asarray(skeleton.turn(*start[skeleton.HEAD]), np.float64)
  moved[:, skeleton.HEAD] = head_angles(played.turn @ played.turn[0].T @ began)
  moved[:, fits.GAZES] += np.tile((played.gaze - played.gaze[0]) * (1.0, -1.0), 2)
  return moved.astype(np.float32)


def face_turn(made):
  """Makes rotations of M's head angles: [T, M] -> [T, 3, 3], as `face.pose.angles` reads them."""
  pitch, yaw, roll = (made[:, number].astype(np.float64) for number in _TURNS)
  about = lambda axis, angle: np.stack([_about(axis, each) for each in angle])
  return about(2, roll) @ about(1, yaw) @ about(0, pitch)


def _about(axis, angle):
  """A rotation about one of the camera's axes by the right-hand rule."""
  c, s = np.cos(angle), np.sin(angle)
  rest = [number for number in range(3) if number != axis]
  turn = np.eye(3)
  sign = -1.0 if axis == 1 else 1.0
  turn[np.ix_(rest, rest)] = [[c, -sign * s], [sign * s, c]]
  return turn


def head_angles(turn):
  """Reads pitch, yaw and roll off rotations [..., 3, 3], as `skeleton.turn` makes them."""
  pitch = np.arcsin(np.clip(-turn[..., 1, 2], -1, 1))
  yaw = np.arctan2(turn[..., 0, 2], turn[..., 2, 2])
  return np.stack([pitch, yaw, np.arctan2(turn[..., 1, 0], turn[..., 1, 1])], axis=-1)


def looking(turn, began):
  """Keeps eyes on what they looked at in the portrait: turns [T, 3, 3] -> pitch and yaw, [T, 2]."""
  ahead = np.swapaxes(turn, -1, -2) @ began @ np.array([0.0, 0.0, -1.0])
  pitch = np.arcsin(np.clip(ahead[:, 1], -1, 1))
  return np.stack([pitch, np.arctan2(-ahead[:, 0], -ahead[:, 2])], axis=-1)


def _focal(side):
  return side / np.sqrt(2) / np.tan(face_motion.FIELD / 2)


_posed = jax.jit(body.vertices)


def placed(person, moved):
  """Says where the landmarks of a portrait go: `generator.Faces`.

  What the fit misses of the portrait's own landmarks goes along with the head.

  Args:
    person: `Person`.
    moved: [T, A], see `motion`.
  """
  start, size = person.fit.motion[0], person.fit.size
  closed = start[_BLINKS]
  room = np.maximum(_CLOSED - _LEVEL - _STILL, 0.1)
  lids = np.clip((moved[:, _BLINKS] - closed - _STILL) / room, 0, 1)
  opened = np.array(moved, np.float32)
  opened[:, _BLINKS] = closed  # they are closed by `lids`
  model = body.at_points(body.load())
  track = np.concatenate([start[None], opened]).astype(np.float32)
  drawn = camera.project(_posed(model, person.fit.identity, track), person.fit.focal, size)
  drawn = np.asarray(drawn, np.float64)[:, : points.POINTS, :2]
  missed = person.landmarks - drawn[0]
  turn = np.asarray(skeleton.turn(*np.moveaxis(track[:, skeleton.HEAD], -1, 0)), np.float64)
  near = track[0, axes.INDEX['headZ']] / track[1:, axes.INDEX['headZ']]
  along = (turn[1:] @ turn[0].T)[:, :2, :2] * near[:, None, None]
  landmarks = drawn[1:] + missed @ np.swapaxes(along, 1, 2)
  change = np.sin(moved[:, fits.GAZES]) - np.sin(start[fits.GAZES])
  down, left = change.reshape(-1, 2, 2).mean(1).T
  gaze = np.stack([-left, down], axis=-1) * (face_motion.EYE_RADIUS / face_motion.EYE_WIDTH)
  return Faces(*(np.float32(each) for each in (landmarks / size[0], lids, gaze)))
