"""A filmed face with landmarks that somebody else moved: what changes, and what must not."""

import cv2
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import units
from ifmdm_jax.face.points import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from ifmdm_jax.generator import Redraws
from ifmdm_jax.shot import Shot
from ifmdm_jax.systems.ifmdm.dub import face, redraw
from tests.systems.ifmdm import test_dub
from tests.systems.ifmdm.test_dub import CODE, FILM, SIDE, joined

WHITE, IRIS = (235, 235, 235), (40, 60, 90)
ahead = lambda calls: [call() for call in calls]


def drawn(shot, landmarks):
  return joined(redraw.redraw(shot, landmarks, CODE, ahead))


def film_with_eyes(openings):
  """A `Shot` of a face whose eyes are open so far, 0 to 1, with the pictures; the mouth rests."""
  landmarks = test_dub.landmarks_of([0.01] * len(openings))
  frames = []
  for points, share in zip(landmarks, openings):
    for eye, iris in ((LEFT_EYE, LEFT_IRIS), (RIGHT_EYE, RIGHT_IRIS)):
      upper, lower = eye[9:16], eye[1:8]
      points[iris] = points[eye].mean(0)
      points[upper] = points[lower] + share * (points[upper] - points[lower])
    frames.append(test_dub.picture_of(points))
    for eye, iris in ((LEFT_EYE, LEFT_IRIS), (RIGHT_EYE, RIGHT_IRIS)):
      loop = np.concatenate([points[eye[:9]], points[eye[9:]][::-1]])[:, :2]
      loop = np.round((loop - 0.5) * 16).astype(np.int32)
      if share > 0.3:
        cv2.fillPoly(frames[-1], [loop], WHITE, cv2.LINE_AA, 4)
        middle = np.round((points[iris[0], :2] - 0.5) * 16).astype(int)
        cv2.circle(frames[-1], tuple(middle.tolist()), 40, IRIS, -1, cv2.LINE_AA, 4)
  frames = np.stack(frames)
  blocks = lambda: (frames[i : i + 4] for i in range(0, len(frames), 4))
  return Shot(blocks, landmarks, np.arange(len(frames)) / 25, test_dub.TALK, SIDE), frames


def whites(frames, landmarks):
  """Counts bright pixels of the left eye: [T]."""
  box = landmarks[0, LEFT_EYE, :2]
  (x0, y0), (x1, y1) = box.min(0).astype(int) - 2, box.max(0).astype(int) + 3
  return (frames[:, y0:y1, x0:x1].min(-1) > 205).sum((1, 2))


def test_lips_that_are_closed_change_only_what_is_masked():
  shot, frames = test_dub.film(FILM)
  target = shot.landmarks[..., :2].astype(np.float64)
  lower = np.flatnonzero(face.SHARES > 0)
  target[3:6, lower] = test_dub.landmarks_of([0.01] * 3)[:, lower, :2]
  result, mask = drawn(shot, target)
  np.testing.assert_array_equal(result[mask == 0], frames[mask == 0])
  others = [0, 1, 2, 6, 7]
  assert not mask[others].any()
  np.testing.assert_array_equal(result[others], frames[others])
  before, after = (test_dub.opened(each, shot.landmarks)[3:6] for each in (frames, result))
  assert (after < 0.5 * before).all()  # at this size a dark line is left
  brow = int(shot.landmarks[:, 5, 1].min())
  assert not mask[:, :brow].any() and mask[4].mean() < 0.2


def test_a_blink_shows_the_eyes_of_the_frames_around_it():
  openings = [1.0] * 6 + [0.6, 0.1, 0.1, 0.5] + [1.0] * 6
  shot, frames = film_with_eyes(openings)
  target = shot.landmarks[..., :2].astype(np.float64)
  target[6:10] = target[[0]]
  result, mask = drawn(shot, target)
  count = lambda pictures: whites(pictures, shot.landmarks)
  assert count(frames)[7:9].max() < 0.2 * count(frames)[0]
  np.testing.assert_allclose(count(result)[7:9], count(frames)[0], rtol=0.25)
  others = [*range(6), *range(10, 16)]
  np.testing.assert_array_equal(result[others], frames[others])
  np.testing.assert_array_equal(result[mask == 0], frames[mask == 0])
  assert not mask[:, int(shot.landmarks[0, 0, 1]) :].any()  # the mouth is the film's


@pytest.mark.parametrize('blinks', [False, True])
def test_eyes_close_with_a_lid_of_the_shot_or_one_of_skin(blinks):
  openings = [1.0] * 10
  if blinks:
    openings[1] = 0.0
  shot, frames = film_with_eyes(openings)
  target = shot.landmarks[..., :2].astype(np.float64)
  for eye in (LEFT_EYE, RIGHT_EYE):
    target[4:8, eye[9:16]] = target[4:8, eye[1:8]]
  assert units.opening(target)[4:8].max() < 0.05
  result, mask = drawn(shot, target)
  assert whites(result, shot.landmarks)[4:8].max() < 0.1 * whites(frames, shot.landmarks)[4]
  np.testing.assert_array_equal(result[[0, 1, 2, 3, 8, 9]], frames[[0, 1, 2, 3, 8, 9]])
  np.testing.assert_array_equal(result[mask == 0], frames[mask == 0])


def test_landmarks_that_are_the_shots_change_nothing():
  shot, frames = film_with_eyes([1.0, 0.5, 0.0, 1.0])
  result, mask = drawn(shot, shot.landmarks[..., :2])
  assert not mask.any()
  np.testing.assert_array_equal(result, frames)
  unknown = np.full((4, 478, 2), np.nan)
  assert not drawn(shot, unknown)[1].any()


def test_landmarks_of_another_shot_are_refused():
  shot, _ = film_with_eyes([1.0] * 4)
  with pytest.raises(InputError, match=r'\[4, 478, 2\]'):
    drawn(shot, shot.landmarks[:3, :, :2])


def test_the_bundled_size_redraws(sampler):
  shot, _ = test_dub.film(FILM)
  assert isinstance(sampler, Redraws)
  frames, _ = joined(sampler.redraw(shot, shot.landmarks[..., :2]))
  assert frames.shape == (len(FILM), SIDE, SIDE, 3)
