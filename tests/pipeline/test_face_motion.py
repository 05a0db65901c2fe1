import types

import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.face import pose, units
from ifmdm_jax.pipeline import codes, face_motion, features, records
from tests.face.test_pose import seen


def points_of(angles, **options):
  """Points [1, 478, 2] of a turned head; eyes and irises where gaze is straight ahead."""
  points = np.concatenate([seen(angles, **options), np.zeros((1, 10, 2))], axis=1)
  for eye, iris in ((units.LEFT_LIDS, units.LEFT_IRIS), (units.RIGHT_LIDS, units.RIGHT_IRIS)):
    points[:, iris] = (points[:, [eye.outer]] + points[:, [eye.inner]]) / 2
  return points


def motion_of(points, side=512):
  scores = np.linspace(0, 1, 52, dtype=np.float32)[None]
  return dict(zip(face_motion.NAMES, face_motion.of_points(points, scores, side)[0]))


def test_names_are_units_head_and_gaze():
  assert len(face_motion.NAMES) == 51 + 6 + 2 == len(set(face_motion.NAMES))
  assert face_motion.NAMES[face_motion.index('jawOpen')] == 'jawOpen'
  with pytest.raises(InputError, match='did you mean headYaw'):
    face_motion.index('headYew')


def test_head_and_place_are_read_off_points():
  middle = pose.HEAD_SHAPE.mean(0)
  found = motion_of(points_of((10, -5, 3), scale=20.0, place=256.0))
  angles = [found[name] for name in ('headYaw', 'headPitch', 'headRoll')]
  np.testing.assert_allclose(np.degrees(angles), (10, -5, 3), atol=0.01)
  assert abs(found['headX']) < np.abs(middle).max() + 1  # about in the middle
  half = motion_of(points_of((10, -5, 3), scale=10.0, place=256.0))
  np.testing.assert_allclose(half['headZ'], 2 * found['headZ'], rtol=1e-4)
  right = motion_of(points_of((10, -5, 3), scale=20.0, place=276.0))
  np.testing.assert_allclose(right['headX'] - found['headX'], 1.0, atol=1e-3)  # 20 px, 20 a cm


def test_the_mirror_swaps_sides_and_turns_back():
  motion = np.zeros(len(face_motion.NAMES), np.float32)
  at = face_motion.index
  motion[at('jawLeft')], motion[at('eyeBlinkLeft')], motion[at('headYaw')] = 0.5, 0.8, 0.2
  motion[at('headPitch')], motion[at('jawOpen')] = 0.1, 0.4
  other = face_motion.mirrored(motion)
  assert other[at('jawRight')] == np.float32(0.5) and other[at('eyeBlinkRight')] == np.float32(0.8)
  assert other[at('headYaw')] == np.float32(-0.2) and other[at('headPitch')] == np.float32(0.1)
  assert other[at('jawOpen')] == np.float32(0.4) and other[at('jawLeft')] == 0
  np.testing.assert_array_equal(face_motion.mirrored(other), motion)


def test_a_clip_without_a_face_is_left_out(tmp_path):
  grey = np.full((4, 64, 64, 3), 128, np.uint8)
  assert face_motion.of_frames()(types.SimpleNamespace(frames=grey), 4) is None

  folder = testing.write_cache(tmp_path / 'set', people=3, num_frames=12)
  names = [entry.name for entry in records.clips(folder).entries]
  motion = np.random.default_rng(0).normal(size=(12, len(face_motion.NAMES)))

  def read_codes(clip, count):
    return None if clip.name == names[0] else (motion[:count], motion[:count])

  encode = features.encoder('mel')
  codes.write(folder, read_codes, encode, folder=face_motion.FOLDER)
  kept = [
    entry.name
    for split in ('train', 'val')
    for entry in codes.read(folder, split, folder=face_motion.FOLDER).entries
  ]
  assert sorted(kept) == sorted(names[1:])
