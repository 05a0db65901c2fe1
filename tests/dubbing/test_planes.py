"""What is cut out of frames and painted into them; and that nothing else of them changes."""

import av
import cv2
import numpy as np
import pytest

from ifmdm_jax.dubbing import planes
from tests.dubbing import films

FORMATS = ('yuv420p', 'yuvj420p', 'yuv422p', 'yuv444p', 'yuv420p10le', 'yuv444p10le')
PLAIN = np.array([[1.0, 0, 0], [0, 1.0, 0]])


def frame(form='yuv420p', height=97, width=131):
  picture = films.put(films.wall(height, width), films.face(90), 20, 3)
  frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), 'rgb24')
  return frame.reformat(format=form, dst_colorspace=1), picture


def placed(angle, scale, x, y):
  cos, sin = scale * np.cos(angle), scale * np.sin(angle)
  return np.array([[cos, -sin, x], [sin, cos, y]])


@pytest.mark.parametrize('form', FORMATS)
def test_the_colours_of_a_cut_are_those_that_were_filmed(form):
  made, picture = frame(form)
  seen = planes.look(made, PLAIN, (131, 97))
  blur = lambda image: cv2.GaussianBlur(image, (9, 9), 0).astype(int)
  # FFmpeg puts colours of half size up to half a pixel elsewhere when it makes them of RGB.
  assert np.abs(blur(seen) - blur(picture)).mean() < 2.0


def test_a_cut_is_where_its_map_says():
  made, _ = frame(height=200, width=260)
  whole = planes.look(made, PLAIN, (260, 200))
  part = planes.look(made, np.array([[1.0, 0, 31], [0, 1, 17]]), (64, 50))
  assert np.abs(part.astype(int) - whole[17:67, 31:95]).mean() < 0.6


@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.parametrize('size', [(96, 128), (97, 131)])
@pytest.mark.parametrize('angle', [0.0, 0.4, -2.0])
def test_outside_the_mask_not_one_bit_changes(form, size, angle):
  before, _ = frame(form, *size)
  after = planes.copied(before)
  square = np.full((64, 64, 3), (250, 10, 200), np.uint8)
  mask = np.zeros((64, 64), np.float32)
  cv2.circle(mask, (32, 36), 14, 1, -1)
  mask = cv2.GaussianBlur(mask, (7, 7), 0)
  matrix = placed(angle, 0.9, 60, 40)
  planes.paint(after, matrix, square, mask)
  # A pixel may change if the mask is above 0 within a pixel of where it lies in the square.
  y, x = np.mgrid[: size[0], : size[1]] + 0.5
  back = planes.inverted(matrix)
  u, v = (back[i, 0] * x + back[i, 1] * y + back[i, 2] - 0.5 for i in (0, 1))
  near = cv2.dilate(mask, np.ones((3, 3)))
  may = cv2.remap(near, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR) > 0
  for i, (old, new) in enumerate(zip(planes.planes(before), planes.planes(after))):
    allowed = may
    if old.shape != may.shape:
      step = -(-may.shape[0] // old.shape[0]), -(-may.shape[1] // old.shape[1])
      room = [(0, step[axis] * old.shape[axis] - may.shape[axis]) for axis in (0, 1)]
      padded = np.pad(may, room)
      allowed = padded.reshape(old.shape[0], step[0], old.shape[1], step[1]).any((1, 3))
    changed = old != new
    assert not changed[~allowed].any()
    assert i or changed.sum() > 300


def test_what_is_painted_is_seen():
  made, _ = frame(height=200, width=260)
  matrix = placed(0.2, 1.3, 70, 30)
  colour = np.array((180, 90, 60), np.uint8)
  after = planes.copied(made)
  planes.paint(after, matrix, np.full((64, 64, 3), colour), np.ones((64, 64), np.float32))
  seen = planes.look(after, matrix, (64, 64))[8:-8, 8:-8].reshape(-1, 3)
  assert np.abs(seen.mean(0) - colour).max() < 2


def test_painting_what_was_cut_out_changes_next_to_nothing():
  made, _ = frame(height=200, width=260)
  matrix = placed(0.1, 0.8, 40, 20)
  after = planes.copied(made)
  square = planes.look(made, matrix, (160, 160))
  planes.paint(after, matrix, square, np.ones((160, 160), np.float32))
  light = [planes.planes(each)[0].astype(int) for each in (made, after)]
  assert np.abs(light[0] - light[1]).mean() < 1.5


def test_a_mask_beyond_the_frame_paints_nothing():
  made, _ = frame()
  after = planes.copied(made)
  planes.paint(after, placed(0, 1, 500, 500), np.zeros((8, 8, 3), np.uint8), np.ones((8, 8)))
  assert all((a == b).all() for a, b in zip(planes.planes(made), planes.planes(after)))
