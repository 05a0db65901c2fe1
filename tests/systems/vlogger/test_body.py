"""The body: identity, units and pose -> vertices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import points
from ifmdm_jax.systems.vlogger import axes, body, camera, skeleton
from tests.systems.vlogger import toy

posed = jax.jit(body.vertices)


@pytest.fixture(scope='module')
def face():
  return body.at_points(body.load())


def moved(face, **values):
  """Offsets of the 478 points by named axes, of the mean person at the origin."""
  rest = axes.read({})
  zero = np.zeros(len(face.identity), np.float32)
  both = posed(face, zero, np.stack([rest, axes.read(values)]))
  return np.asarray(both[1] - both[0])


def test_the_bundled_body_is_small_and_whole():
  model = body.load()
  assert body.FILE.stat().st_size < 1e6
  assert set(np.unique(model.region)) == set(range(len(body.REGIONS)))
  np.testing.assert_allclose(model.carried.sum(1), 1, atol=1e-5)
  np.testing.assert_allclose(model.shares.sum(1), 1, atol=1e-5)


def test_packed_body_is_read_back():
  model = toy.make()
  again = body.unpack(body.pack(model))
  for name, one, two in zip(model._fields, model, again, strict=True):
    np.testing.assert_allclose(two, one, atol=6e-3, err_msg=name)


def test_a_body_of_another_version_is_refused():
  arrays = body.pack(toy.make())
  with pytest.raises(InputError, match='joints of this version'):
    body.unpack({**arrays, 'joint_names': arrays['joint_names'][::-1]})


@pytest.mark.parametrize('change', ['mirrored', 'turned', 'short'])
def test_a_face_in_another_order_is_refused(change):
  model = body.load()
  if change == 'mirrored':
    model = model._replace(corners=np.roll(model.corners, 1, 0))
  elif change == 'turned':
    model = model._replace(template=model.template * np.float32([1, 1, -1]))
  else:
    model = model._replace(template=model.template[:100])
  with pytest.raises(InputError, match='reinstall'):
    body.check(model)


def test_named_units_move_what_their_names_say(face):
  jaw = moved(face, jawOpen=1)
  assert jaw[points.LOWER_MIDDLE, 1] > 0.15 and abs(jaw[points.UPPER_MIDDLE, 1]) < 0.05
  blink = moved(face, eyeBlinkLeft=1)  # the person's left is right in the picture
  right, left = points.RIGHT_LIDS, points.LEFT_LIDS
  assert blink[right.upper, 1] > 0.05 and abs(blink[left.upper, 1]) < 0.01
  assert moved(face, mouthSmileLeft=1)[points.RIGHT_MOUTH_CORNER, 1] < -0.02
  assert moved(face, browInnerUp=1)[107, 1] < -0.02


def test_shut_lids_close_the_eye(face):
  place = face.template + moved(face, eyeBlinkLeft=1)
  lids = points.RIGHT_LIDS
  gap = lambda where: where[lids.lower, 1] - where[lids.upper, 1]
  assert gap(place) < 0.3 * gap(face.template)


def test_angles_have_the_signs_that_axes_state(face):
  nose = points.NOSE_TIP
  assert moved(face, headPitch=0.3)[nose, 1] > 0.1  # looks down
  assert moved(face, headYaw=0.3)[nose, 0] < -0.1  # to the left of the picture
  roll = moved(face, headRoll=0.3)
  assert roll[points.RIGHT_CHEEK, 1] > roll[points.LEFT_CHEEK, 1] + 0.1  # clockwise
  gaze = moved(face, gazeLeftYaw=0.3, gazeLeftPitch=0.3)
  assert (gaze[points.RIGHT_IRIS[0], :2] * [-1, 1] > 0.02).all()
  assert np.abs(gaze[points.LEFT_IRIS]).max() < 1e-5
  np.testing.assert_allclose(moved(face, headX=2, headZ=5), np.tile([2, 0, 5], (478, 1)), atol=1e-4)


def test_a_turning_head_hardly_moves_the_trunk():
  model = body.load()
  turned = skeleton.pose(model.joints, jnp.asarray(axes.read({'headYaw': 0.6})))
  still = skeleton.pose(model.joints, jnp.asarray(axes.read({})))
  torso = skeleton.NUMBER['torso']
  np.testing.assert_allclose(turned[0][torso], np.eye(3), atol=1e-6)
  assert np.abs(turned[1][torso] - still[1][torso]).max() < 0.15  # decimetres


def test_turns_are_rotations():
  turn = np.asarray(skeleton.turn(*jnp.array([[0.3], [-0.7], [1.1]])))[0]
  np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
  assert np.linalg.det(turn) > 0


def test_batches_are_single_bodies():
  model, draw = toy.make(), np.random.default_rng(1)
  motion = np.float32(draw.normal(0, 0.2, (3, len(axes.AXES))))
  identity = np.float32(draw.normal(size=(3, 2)))
  every = posed(model, identity, motion)
  for one in range(3):
    np.testing.assert_allclose(posed(model, identity[one], motion[one]), every[one], atol=1e-5)


def test_vertices_have_a_gradient_by_every_axis_that_moves_them():
  model = toy.make()
  still = toy.stand()
  slope = jax.jit(jax.jacfwd(lambda m: body.vertices(model, jnp.zeros(2), m)))(still)
  assert np.isfinite(slope).all()
  for name in ('jawOpen', 'headYaw', 'headZ', 'torsoRoll'):
    assert np.abs(slope[..., axes.INDEX[name]]).max() > 0.01, name


def test_a_wider_field_of_view_shows_things_smaller():
  place, size = np.float32([[0.5, 0, 5], [0, 0, -1]]), (100, 100)
  near, far = (camera.project(place, camera.focal(f, size), size) for f in (0.4, 0.8))
  assert far[0, 0] - 50 < 0.6 * (near[0, 0] - 50)
  assert np.isnan(near[1]).all()  # behind the camera
  assert abs(float(camera.field(camera.focal(0.4, size), size)) - 0.4) < 1e-5
