"""Cuts RGB squares out of the planes of a decoded frame, and paints them back into the same planes.

A decoder gives brightness and two planes of colour, the latter often of half the size. Nothing is
converted here but what is cut out or painted: every other sample stays the decoder's, bit for bit.

Places are pixels (x, y) from the upper left corner of the frame as it is stored; the middle of the
first pixel is (0.5, 0.5).
"""

import re
from typing import NamedTuple

import cv2
import numpy as np

from ifmdm_jax.face import crop
from ifmdm_jax.media import planes

FORMAT = re.compile(r'yuv(j?)4(20|22|44)p(10le)?')  # FFmpeg's names of what is read here
FULL = 2  # FFmpeg's number for samples of the full range
WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593),
           10: (0.2627, 0.0593)}  # fmt: skip
BT601 = 0.299, 0.114  # of red and blue in brightness; of films that do not say theirs, too
FINE = 4  # samples across that are averaged for one pixel of a small copy, at most twice as many
ROOM = 4  # pixels around a region, for the kernel


class Kind(NamedTuple):
  """How the samples of a frame are to be read.

  Attributes:
    across, down: pixels for one sample of colour.
    shift: places by which a sample of colour lies left of the middle of its pixels.
    zero, span: samples of black, and from black to white.
    middle, reach: samples of no colour, and from there to a full one, twice.
    to_rgb, from_rgb: float32 [3, 3], of brightness from 0 to 1 and colours from -1/2 to 1/2.
    largest: sample.
  """

  across: int
  down: int
  shift: float
  zero: float
  span: float
  middle: float
  reach: float
  to_rgb: np.ndarray
  from_rgb: np.ndarray
  largest: int


def kind(frame):
  """Reads the `Kind` of a frame of PyAV, whose format is one of `FORMAT`."""
  full, sampling, deep = FORMAT.fullmatch(frame.format.name).groups()
  full = bool(full) or int(frame.color_range) == FULL
  unit = 4 if deep else 1
  red, blue = WEIGHTS.get(int(frame.colorspace), BT601)
  green = 1 - red - blue
  from_rgb = np.array([
    [red, green, blue],
    [-red / (2 - 2 * blue), -green / (2 - 2 * blue), 0.5],
    [0.5, -green / (2 - 2 * red), -blue / (2 - 2 * red)],
  ])  # fmt: skip
  across, down = {'20': (2, 2), '22': (2, 1), '44': (1, 1)}[sampling]
  largest = 256 * unit - 1
  return Kind(
    across, down,
    0.25 if across == 2 and not full else 0.0,  # as MPEG has it, or as JPEG
    0.0 if full else 16.0 * unit, largest if full else 219.0 * unit,
    128.0 * unit, largest if full else 224.0 * unit,
    np.linalg.inv(from_rgb).astype(np.float32), from_rgb.astype(np.float32), largest,
  )  # fmt: skip


def copied(frame):
  """Copies a frame of PyAV: a decoder may still need its own."""
  copy = type(frame)(frame.width, frame.height, frame.format.name)
  for mine, given in zip(planes(copy), planes(frame)):
    mine[:] = given
  for name in ('colorspace', 'color_range', 'color_primaries', 'color_trc'):
    setattr(copy, name, getattr(frame, name))
  return copy


def compose(outer, inner):
  """Joins maps [2, 3] of places: `inner` first."""
  linear = outer[:, :2] @ inner[:, :2]
  return np.column_stack([linear, outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def inverted(matrix):
  """Inverts a map [2, 3] of places."""
  linear = np.linalg.inv(matrix[:, :2])
  return np.column_stack([linear, -linear @ matrix[:, 2]])


def look(frame, matrix, size):
  """Cuts an upright picture out of a frame.

  Args:
    frame: of PyAV, of one of the formats `FORMAT`.
    matrix: [2, 3], from places of the picture to places of the frame; beyond it, its edge repeats.
    size: (width, height) of the picture.

  Returns:
    uint8 RGB [height, width, 3].
  """
  what, (light, blue, red) = kind(frame), planes(frame)
  to_colour = compose(_to_colour(what), matrix)
  yuv = cv2.merge(
    [_drawn(light, matrix, size), _drawn(blue, to_colour, size), _drawn(red, to_colour, size)]
  )
  # One matrix for range and colours: rgb = to_rgb (yuv - offset) / scale.
  scaled = 255 * what.to_rgb / np.float32([what.span, what.reach, what.reach])
  offset = scaled @ np.float32([what.zero, what.middle, what.middle])
  # OpenCV rounds to what it was given, and keeps within its range.
  rgb = cv2.transform(yuv, np.column_stack([scaled, -offset]))
  return rgb if rgb.dtype == np.uint8 else np.minimum(rgb, 255).astype(np.uint8)


def paint(frame, matrix, square, mask):
  """Mixes a square into the planes of a frame, in place.

  Args:
    frame: of `copied`.
    matrix: [2, 3], from places of the square to places of the frame.
    square: uint8 RGB [S, S, 3].
    mask: float32 [S, S]; where it is 0, samples stay as they are.
  """
  square, mask, matrix = _trimmed(square, mask, matrix)
  height, width = mask.shape
  if not width:
    return
  what, (light, blue, red) = kind(frame), planes(frame)
  corners = np.array([(0, 0), (width, 0), (0, height), (width, height)])
  corners = corners @ matrix[:, :2].T + matrix[:, 2]
  step = np.array([what.across, what.down])
  low = np.maximum(np.floor(corners.min(0) / step).astype(int) * step, 0)
  high = np.minimum(np.ceil(corners.max(0) / step).astype(int) * step, (frame.width, frame.height))
  if (high <= low).any():
    return
  scale = np.float32([what.span, what.reach, what.reach])
  offset = np.float32([what.zero, what.middle, what.middle])
  yuv = cv2.transform(
    square.astype(np.float32),
    np.column_stack([scale[:, None] * what.from_rgb / 255, offset]),
  )
  back = inverted(matrix)
  share = _region(mask, back, low, high, cv2.BORDER_CONSTANT)
  _mix(light, low, high, _region(yuv[..., 0], back, low, high), share, what.largest)
  # A sample of colour changes only where a pixel that it belongs to does.
  colour_low, colour_high = low // step, -(-high // step)
  rows, columns = (colour_high - colour_low)[::-1] * step[::-1]
  share = np.pad(share, ((0, rows - len(share)), (0, columns - share.shape[1])), 'edge')
  size = tuple((colour_high - colour_low).tolist())
  share = cv2.resize(share, size, interpolation=cv2.INTER_AREA)
  back = compose(back, inverted(_to_colour(what)))
  for plane, values in ((blue, yuv[..., 1]), (red, yuv[..., 2])):
    drawn = _region(values, back, colour_low, colour_high)
    _mix(plane, colour_low, colour_high, drawn, share, what.largest)


def _trimmed(square, mask, matrix):
  """Leaves away what a mask does not take; a little around it stays, for the kernel."""
  left, top, width, height = cv2.boundingRect((mask > 0).view(np.uint8))
  rows = slice(max(0, top - ROOM), top + height + ROOM if height else 0)
  columns = slice(max(0, left - ROOM), left + width + ROOM if width else 0)
  shift = np.array([[1, 0, columns.start], [0, 1, rows.start]], np.float64)
  return square[rows, columns], mask[rows, columns], compose(matrix, shift)


def _to_colour(what):
  """Maps places of the frame to places of a plane of colour."""
  return np.array([[1 / what.across, 0, what.shift], [0, 1 / what.down, 0]])


def _region(values, back, low, high, edge=cv2.BORDER_REPLICATE):
  """Draws float32 [S, S] over the rows and columns of a plane, by the map from it to the square."""
  origin = np.array([[1, 0, low[0]], [0, 1, low[1]]], np.float64)
  kernel = cv2.INTER_LINEAR if edge == cv2.BORDER_CONSTANT else cv2.INTER_CUBIC
  size = tuple((high - low).tolist())
  return _drawn(np.ascontiguousarray(values), compose(back, origin), size, kernel, edge)


def _mix(plane, low, high, drawn, share, largest):
  part = plane[low[1] : high[1], low[0] : high[0]]
  before = part.astype(np.float32)
  mixed = np.clip(np.rint(before + share * (drawn - before)), 0, largest)
  part[:] = np.where(share > 0, mixed, before).astype(plane.dtype)


def _drawn(plane, matrix, size, kernel=cv2.INTER_LINEAR, edge=cv2.BORDER_REPLICATE):
  """Draws a plane [h, w] through the map from places of the result to places of the plane."""
  width, height = size
  corners = np.array([(0, 0), (width, 0), (0, height), (width, height)], np.float64)
  corners = corners @ matrix[:, :2].T + matrix[:, 2]
  limit = np.array(plane.shape[::-1])
  zoom = np.sqrt(abs(np.linalg.det(matrix[:, :2])))  # pixels of the plane for one of the result
  room = ROOM * max(1.0, zoom)
  low = np.clip(np.floor(corners.min(0) - room).astype(int), 0, limit - 1)
  high = np.clip(np.ceil(corners.max(0) + room).astype(int), low + 1, limit)
  part = plane[low[1] : high[1], low[0] : high[0]]
  matrix = np.column_stack([matrix[:, :2], matrix[:, 2] - low])
  part, factor = _shrunk(part, int(zoom))
  matrix = matrix / factor
  return crop.warp(part, crop.indexed(matrix), size, kernel=kernel, edge=edge, inverse=True)


def _shrunk(part, factor):
  """Shrinks a picture by a whole number, averaging; returns it and by how much it was shrunk."""
  factor = min(factor, *part.shape)
  if factor < 2:
    return part, 1
  if factor >= 2 * FINE:  # so many samples are enough for an average
    step = factor // FINE
    small, rest = _shrunk(part[::step, ::step], factor // step)
    return small, rest * step
  height, width = (side // factor * factor for side in part.shape)
  size = width // factor, height // factor
  return cv2.resize(part[:height, :width], size, interpolation=cv2.INTER_AREA), factor
