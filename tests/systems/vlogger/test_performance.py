"""A person of a portrait who does what the motion model says."""

import numpy as np
import pytest

from ifmdm_jax import track
from ifmdm_jax.errors import InputError
from ifmdm_jax.face import points, pose
from ifmdm_jax.pipeline.face_motion import NAMES, index
from ifmdm_jax.systems.vlogger import axes, body, fit, performance, skeleton

SIDE, FRAMES = 512, 6


class Network:
  """Stands in for `face.units.FaceUnits`: knows the points of every picture by its first pixel."""

  def __init__(self, seen, scores):
    self.seen, self.scores = seen, scores

  def track(self, frames):
    which = [int(frame[0, 0, 0]) for frame in frames]
    return self.seen[which], self.scores[which]


def pictures(count):
  return [np.full((SIDE, SIDE, 3), number, np.uint8) for number in range(count)]


@pytest.fixture(scope='module')
def network():
  """Knows a person whom the body can be fitted to, at rest and then as they turn and speak."""
  motion = np.repeat(axes.read({'headZ': 9.0, 'mouthSmileLeft': 0.3})[None], FRAMES, 0)
  motion[1:, axes.INDEX['headYaw']] = np.linspace(0.05, 0.25, FRAMES - 1)
  motion[1:, axes.INDEX['jawOpen']] = 0.5
  identity = np.float32(np.random.default_rng(1).normal(0, 0.5, len(body.load().identity)))
  seen = fit.drawn(fit.Fit(identity, 1400.0, motion, np.zeros(FRAMES), (SIDE, SIDE)))
  scores = np.concatenate([np.zeros((FRAMES, 1)), motion[:, :51]], 1).astype(np.float32)
  return Network(np.array(seen), scores)


@pytest.fixture(scope='module')
def person(network):
  return performance.read(pictures(1)[0], network)


def made(person, **changes):
  """Motion of M that is the portrait's, changed by name from the second frame on."""
  motion = np.repeat(person.reference[None], FRAMES, axis=0)
  for name, value in changes.items():
    motion[1:, index(name)] += value
  return motion


def placed(person, motion, **options):
  moved = performance.motion(person, motion, performance.level(motion[:1]), **options)
  return performance.placed(person, moved)


def test_turns_are_read_as_they_are_made():
  angles = np.random.default_rng(0).uniform(-0.5, 0.5, (7, 3))
  body_turns = np.asarray(skeleton.turn(*angles.T))
  np.testing.assert_allclose(performance.head_angles(body_turns), angles, atol=1e-6)
  motion = np.zeros((7, len(NAMES)))
  for column, name in enumerate(('headYaw', 'headPitch', 'headRoll')):
    motion[:, index(name)] = angles[:, column]
  turns = performance.face_turn(motion)
  np.testing.assert_allclose(pose.angles(turns), angles, atol=1e-9)
  np.testing.assert_allclose(np.linalg.det(turns), 1)


def test_who_does_nothing_stays_where_the_portrait_shows_them(person):
  still = made(person)
  # A closed mouth of M is one of the body, whatever a portrait's score says of other units.
  faces = placed(person, still)
  away = np.abs(faces.landmarks - person.landmarks / SIDE)
  assert away.max() < 0.01 and away.mean() < 1e-3
  assert not faces.lids.any() and np.abs(faces.gaze).max() < 1e-6


def test_the_head_turns_and_goes_as_far_as_the_motion_says(person):
  before = pose.fit(placed(person, made(person)).landmarks)
  yaw = pose.fit(placed(person, made(person, headYaw=0.3)).landmarks)
  turned = pose.angles(yaw.turn) - pose.angles(before.turn)
  np.testing.assert_allclose(turned[1:, 0], 0.3, atol=0.04)
  assert np.abs(turned[1:, 1:]).max() < 0.04 and np.abs(turned[0]).max() < 1e-3
  assert np.abs(yaw.place - before.place)[1:].max() < 0.02  # it turns about its middle
  right = pose.fit(placed(person, made(person, headX=1.0)).landmarks)
  np.testing.assert_allclose((right.place - before.place)[1:, 0], before.scale[1:], rtol=0.1)
  far = pose.fit(placed(person, made(person, headZ=person.reference[index('headZ')])).landmarks)
  np.testing.assert_allclose(far.scale[1:] / before.scale[1:], 0.5, rtol=0.03)


def test_lips_part_as_far_as_the_jaw_says_and_an_own_smile_stays(person):
  opening = lambda faces: points.mouth_opening(faces.landmarks)
  still, spoken = placed(person, made(person)), placed(person, made(person, jawOpen=0.5))
  assert (opening(spoken)[1:] > opening(still)[1:] + 0.1).all()
  motion = made(person)
  motion[:, index('mouthSmileLeft')] = 0.0  # of a face whose level it is
  moved = performance.motion(person, motion, performance.level(motion))
  own = person.fit.motion[0, axes.INDEX['mouthSmileLeft']]
  np.testing.assert_allclose(moved[:, axes.INDEX['mouthSmileLeft']], own, atol=1e-6)


def test_a_blink_of_the_persons_own_left_closes_the_right_of_the_picture(person):
  lids = placed(person, made(person, eyeBlinkLeft=0.6)).lids
  assert (lids[1:, 1] > 0.9).all() and not lids[:, 0].any() and not lids[0].any()


def test_eyes_that_stay_on_the_camera_turn_against_the_head(person):
  motion = made(person, headYaw=0.2, gazeYaw=0.3)
  free, camera = (placed(person, motion, gaze=gaze).gaze for gaze in performance.GAZES)
  assert (free[1:, 0] > 0.1).all()  # to the right of the picture, as the motion says
  turned = placed(person, made(person, headYaw=0.2)).landmarks
  way = turned[1:, points.NOSE_TIP, 0] - turned[0, points.NOSE_TIP, 0]
  assert (way * camera[1:, 0] < 0).all()
  with pytest.raises(InputError, match='expected gaze to be one of free, camera'):
    placed(person, motion, gaze='away')


def played(turn=None, gaze=None, **acts):
  """A track that does nothing at first."""
  units = np.zeros((FRAMES, len(track.UNITS)), np.float32)
  for name, value in acts.items():
    units[1:, track.UNITS.index(name)] = value
  turns = np.repeat(np.eye(3)[None], FRAMES, axis=0)
  turns[1:] = np.eye(3) if turn is None else turn
  looks = np.zeros((FRAMES, 2))
  looks[1:] = 0 if gaze is None else gaze
  return track.Track(units, turns, looks)


def test_a_track_moves_the_face_by_names_and_the_rest_stays(person):
  of = lambda *given, **acts: performance.enacted(person, played(*given, **acts))
  still, moved = of(), of(jawOpen=0.6, mouthSmileLeft=0.2)
  start = person.fit.motion[0]
  changed = np.flatnonzero(np.abs(moved[1] - still[1]) > 1e-6)
  assert set(changed) == {axes.INDEX['jawOpen'], axes.INDEX['mouthSmileLeft']}
  assert moved[1, axes.INDEX['jawOpen']] == pytest.approx(0.6)  # the track's own
  smile = axes.INDEX['mouthSmileLeft']
  np.testing.assert_allclose(moved[1:, smile], start[smile] + 0.2, atol=1e-6)  # about the portrait
  places = performance.placed(person, still)
  assert np.abs(places.landmarks - person.landmarks / SIDE).max() < 0.01


def test_a_track_turns_the_head_about_the_neck_and_eyes_within_it(person):
  yaw = np.asarray(skeleton.turn(0.0, -0.3, 0.0), np.float64)
  faces = performance.placed(person, performance.enacted(person, played(yaw, (0.0, 0.2))))
  turned = pose.angles(pose.fit(faces.landmarks).turn)[:, 0]
  np.testing.assert_allclose(turned[1:] - turned[0], -0.3, atol=0.1)  # it comes aside, too
  nose = faces.landmarks[:, points.NOSE_TIP, 0]
  assert nose[1] > nose[0] + 0.02 and faces.gaze[1, 0] > 0.05


@pytest.mark.parametrize('own', [True, False])
def test_a_film_drives_the_head_and_the_mouth(network, own):
  person, moved = performance.follow(pictures(1)[0], pictures(FRAMES), network, own)
  faces = performance.placed(person, moved)
  assert faces.landmarks.shape == (FRAMES, points.POINTS, 2)
  yaw = pose.angles(pose.fit(faces.landmarks).turn)[:, 0]
  real = pose.angles(pose.fit(network.seen).turn)[:, 0]
  assert np.corrcoef(yaw, real)[0, 1] > 0.98
  opening = points.mouth_opening(faces.landmarks)
  assert opening[1:].min() > opening[0] + 0.05


def test_a_face_that_is_not_found_holds_or_is_reported(network):
  seen = network.seen.copy()
  seen[2] = np.nan
  person, moved = performance.follow(
    pictures(1)[0], pictures(FRAMES), Network(seen, network.scores), True
  )
  np.testing.assert_array_equal(moved[2], moved[1])
  none = Network(np.full_like(seen, np.nan), network.scores)
  with pytest.raises(InputError, match='face in the picture, found none'):
    performance.read(pictures(1)[0], none)
  later = Network(np.where(np.arange(FRAMES)[:, None, None] == 0, seen, np.nan), network.scores)
  with pytest.raises(InputError, match='face in the film, found none'):
    performance.follow(pictures(1)[0], pictures(FRAMES)[1:], later, False)
