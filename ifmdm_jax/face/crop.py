"""Cuts faces out of pictures: every square, box and warp.

Pictures are uint8 [H, W, 3]. Places are pixels (x, y) from the upper left corner; the middle of the
first pixel is (0.5, 0.5). OpenCV counts from that middle: `indexed` turns one into the other.
"""

from typing import NamedTuple

import cv2
import numpy as np
import scipy.ndimage

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import align, points

FACE_SIDE, FACE_SCALE = 256, 1.3  # of the crop that metrics see
LIPS_SIDE = 48  # pixels of the crop that the sync network sees
CHIP_SIDE = 112  # pixels of the crop that face recognition sees
SMOOTHED = 13  # frames over whose median a box is moved
# Where the eyes, the tip of the nose and the corners of the mouth (`points.five_points`) lie in it.
CHIP = np.array(
  [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366),
   (41.5493, 92.3655), (70.7299, 92.2041)]
)  # fmt: skip
# Eyes and nose again, and the square of the chip that holds the mouth: its middle and side.
LIPS_ANCHORS = np.array([(38.29, 51.70), (73.53, 51.50), (56.03, 71.74)])
LIPS_MIDDLE, LIPS_SPAN = np.array((56.0, 92.0)), 58.0


class Square(NamedTuple):
  """A square of whole pixels: left upper corner and side. It may stick out of the picture."""

  x0: int
  y0: int
  side: int


def indexed(matrix):
  """Turns a matrix [2, 3] between places into one between pixel numbers, as OpenCV counts."""
  shift = matrix[:, 2] + matrix[:, :2] @ (0.5, 0.5) - 0.5
  return np.column_stack([matrix[:, :2], shift])


def warp(image, matrix, size, *, kernel=cv2.INTER_LINEAR, edge=cv2.BORDER_REPLICATE, inverse=False):
  """Draws a picture through an affine map.

  Args:
    image: uint8 [H, W] or [H, W, 3].
    matrix: [2, 3] from pixel numbers of the picture to those of the result (`inverse`: back).
    size: side of the result, or (width, height), pixels.
    kernel: OpenCV's interpolation.
    edge: OpenCV's border, beyond the picture.

  Returns:
    uint8 [size, size] or [size, size, 3].
  """
  size = size if isinstance(size, tuple) else (size, size)
  flags = kernel | cv2.WARP_INVERSE_MAP if inverse else kernel
  return cv2.warpAffine(image, matrix, size, flags=flags, borderMode=edge)


def shrunk(image, matrix, factor):
  """Shrinks a picture by areas ahead of `warp`, which would alias; returns it and its matrix."""
  image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
  # Pixel p of the whole is (p + 1/2) factor - 1/2 of the small one.
  linear, shift = matrix[:, :2] / factor, matrix[:, 2]
  shift = shift + matrix[:, :2] @ np.full(2, 0.5 / factor - 0.5)
  return image, np.column_stack([linear, shift])


def cut(image, square, size=512):
  """Cuts a `Square` out of a picture as uint8 [size, size, 3]; outside, the edge repeats."""
  x0, y0, side = square
  height, width = image.shape[:2]
  beyond = (max(0, -y0), max(0, y0 + side - height), max(0, -x0), max(0, x0 + side - width))
  if any(beyond):
    image = cv2.copyMakeBorder(image, *beyond, cv2.BORDER_REPLICATE)
    x0, y0 = x0 + beyond[2], y0 + beyond[0]
  patch = image[y0 : y0 + side, x0 : x0 + side]
  return resized(patch, size)


def resized(picture, size):
  """Brings a square picture to another side: by areas if it shrinks, bicubic if it grows."""
  if picture.shape[:2] == (size, size):
    return picture
  kernel = cv2.INTER_AREA if picture.shape[0] > size else cv2.INTER_CUBIC
  return cv2.resize(picture, (size, size), interpolation=kernel)


def crop_square(landmarks, shape, face_fraction=0.5, tight=0.6, tightest=0.7):
  """Places the square that the models were trained on.

  The face (hairline to chin) is `face_fraction` of the side; the middle of the mesh's bounding box
  is in the middle across and 3 % of the side above the middle. Where that does not fit into the
  picture, in this order: the square shrinks about its centre (face up to `tight` of the side), then
  moves, then shrinks to the picture's shorter side (up to `tightest`); only if the face itself is
  larger than that does the square stick out of the picture; `cut` repeats the edge there.

  Args:
    landmarks: [468, 2] or, for one fixed square over a whole video, [T, 468, 2]; NaN is skipped.
    shape: (H, W, ...) of the picture.

  Returns:
    `Square`.

  Raises:
    InputError: no frame has a face.
  """
  track = np.asarray(landmarks, np.float64).reshape(-1, *np.shape(landmarks)[-2:])
  track = track[np.isfinite(track).all((1, 2))]
  if not len(track):
    raise InputError('no face in any frame: expected landmarks of at least one frame')
  height, width = shape[:2]
  face = points.height(track)
  x, y = np.median((track.min(1) + track.max(1)) / 2, axis=0)

  room = min(2 * x, 2 * (width - x), y / 0.47, (height - y) / 0.53)  # side that fits unmoved
  side = np.clip(room, face / tight, face / face_fraction)
  side = round(max(min(side, height, width), face / tightest))
  x0, y0 = round(x - 0.5 * side), round(y - 0.47 * side)
  x0 = int(np.clip(x0, min(0, width - side), max(0, width - side)))
  y0 = int(np.clip(y0, min(0, height - side), max(0, height - side)))
  return Square(x0, y0, side)


class Paster:
  """Puts generated squares back into the picture; the edge fades over `feather`.

  Where the square ends at the picture's own border nothing fades: there is nothing to meet.
  """

  def __init__(self, picture, square, feather=0.06):
    """`picture`: uint8 [H, W, 3]; `square`: `Square`; `feather`: share of the side."""
    self.picture = picture
    self.x0, self.y0, self.side = square
    height, width = picture.shape[:2]
    self.inside = (
      slice(max(0, self.y0), min(height, self.y0 + self.side)),
      slice(max(0, self.x0), min(width, self.x0 + self.side)),
    )
    rows, columns = (np.arange(part.start, part.stop) for part in self.inside)
    ramp_y = self._ramp(rows - self.y0, self.y0 > 0, self.y0 + self.side < height, feather)
    ramp_x = self._ramp(columns - self.x0, self.x0 > 0, self.x0 + self.side < width, feather)
    self.mask = (ramp_y[:, None] * ramp_x[None, :])[..., None]  # [h, w, 1]
    self.behind = picture[self.inside] * (1 - self.mask)

  def _ramp(self, place, fade_low, fade_high, feather):
    """0 at a fading end, 1 inside, a smooth step between."""
    reach = max(1.0, feather * self.side)
    low = np.clip((place + 0.5) / reach, 0, 1) if fade_low else np.ones(len(place))
    high = np.clip((self.side - place - 0.5) / reach, 0, 1) if fade_high else np.ones(len(place))
    ramp = np.minimum(low, high)
    return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)

  def __call__(self, frame):
    """Pastes a frame uint8 [S, S, 3] over the square: uint8 [H, W, 3], a new array."""
    kernel = cv2.INTER_AREA if self.side < frame.shape[0] else cv2.INTER_CUBIC
    patch = cv2.resize(frame, (self.side, self.side), interpolation=kernel)
    rows, columns = self.inside
    patch = patch[
      rows.start - self.y0 : rows.stop - self.y0, columns.start - self.x0 : columns.stop - self.x0
    ]
    result = self.picture.copy()
    result[self.inside] = np.round(patch * self.mask + self.behind).astype(np.uint8)
    return result


def face_boxes(landmarks, scale=FACE_SCALE):
  """Places a square around the face in every frame; gaps are bridged.

  Args:
    landmarks: [T, 468, 2] in pixels, NaN where there is no face.
    scale: of the side, 1 is the mesh's longer side.

  Returns:
    float32 [T, 3], centre x, y and side in pixels; None if no frame has a face.
  """
  low, high = landmarks.min(1), landmarks.max(1)
  boxes = np.concatenate([(low + high) / 2, scale * (high - low).max(1, keepdims=True)], axis=1)
  seen = np.flatnonzero(np.isfinite(boxes).all(1))
  if not seen.size:
    return None
  every = np.arange(len(boxes))
  return np.stack([np.interp(every, seen, boxes[seen, i]) for i in range(3)], 1).astype(np.float32)


def faces(frames, landmarks, size=FACE_SIDE, scale=FACE_SCALE):
  """Cuts the face out of every frame, as all metrics see it; beyond the picture its edge repeats.

  Paired metrics take the reference's landmarks for both videos, unpaired ones each video's own.

  Args:
    frames: uint8 [T, H, W, 3].
    landmarks: [T, 468, 2] in pixels, NaN where there is no face.

  Returns:
    uint8 [T, size, size, 3], or None if no frame has a face.
  """
  boxes = face_boxes(landmarks, scale)
  if boxes is None:
    return None
  return np.stack([_face(frame, box, size) for frame, box in zip(frames, boxes)])


def lower_faces(frames, landmarks, size=FACE_SIDE):
  """Cuts the lower face out of every frame: a square around jaw and base of the nose.

  Args:
    frames: uint8 [T, H, W, 3].
    landmarks: [T, 468, 2] in pixels, of a face in every frame.

  Returns:
    uint8 [T, size, size, 3].
  """
  outline = landmarks[:, points.LOWER_FACE]
  low, high = outline.min(1), outline.max(1)
  boxes = np.concatenate([(low + high) / 2, (high - low).max(1, keepdims=True)], axis=1)
  return np.stack([_face(frame, box, size) for frame, box in zip(frames, boxes)])


def _face(frame, box, size):
  x, y, side = box.astype(np.float64)
  zoom = size / side
  matrix = indexed(np.array([[zoom, 0, size / 2 - zoom * x], [0, zoom, size / 2 - zoom * y]]))
  if zoom < 0.7:  # bicubic alone would alias
    frame, matrix = shrunk(frame, matrix, zoom)
  return warp(frame, matrix, size, kernel=cv2.INTER_CUBIC)


def box(landmarks, side, margin):
  """Finds rows and columns around some points, widened by a share of their longer side.

  Args:
    landmarks: [P, 2] in pixels.
    side: of the picture, pixels.
    margin: share of the longer side that is added at every edge.

  Returns:
    (slice, slice), at least one pixel, inside the picture.
  """
  low, high = landmarks.min(0), landmarks.max(0)
  room = margin * (high - low).max()
  (x_0, y_0), (x_1, y_1) = np.clip(np.round([low - room, high + room]), 0, side).astype(int)
  x_0, y_0 = min(x_0, side - 1), min(y_0, side - 1)
  return slice(y_0, max(y_1, y_0 + 1)), slice(x_0, max(x_1, x_0 + 1))


def mouth_box(landmarks, side, margin=0.3):
  """Finds the `box` around the lips of landmarks [468, 2] in pixels."""
  return box(landmarks[points.LIPS_BOX], side, margin)


def face_box(landmarks, side, margin=(FACE_SCALE - 1) / 2):
  """Finds the `box` around the whole mesh [468, 2] in pixels."""
  return box(landmarks, side, margin)


def lips_matrices(landmarks, side=LIPS_SIDE, room=1.0):
  """Fits the crops of `lips`: eyes and nose fix the place, so that all that the jaw does is seen.

  Args:
    landmarks: [T, 468, 2], pixels of the frame; frames without a face (NaN) take the nearest one's.
    side: of the crop, pixels.
    room: how much wider than the mouth's square the crop is.

  Returns:
    [T, 2, 3], from pixels of the frame to pixels of the crop.

  Raises:
    InputError: no frame has a face.
  """
  anchors = points.five_points(np.asarray(landmarks, np.float64))[:, :3]
  anchors = points.smooth(points.smooth(_nearest_known(anchors)))
  goal = (LIPS_ANCHORS - LIPS_MIDDLE) * side / (LIPS_SPAN * room) + (side - 1) / 2
  return align.similarity(anchors, goal[None]).matrix


def _nearest_known(track):
  """Fills frames [T, ...] that are NaN with the nearest one in time."""
  known = np.flatnonzero(np.isfinite(track).reshape(len(track), -1).all(1))
  if not known.size:
    raise InputError('no face in any frame: expected landmarks of at least one frame')
  return track[known[np.abs(np.arange(len(track))[:, None] - known).argmin(1)]]


def lips(frames, landmarks, side=LIPS_SIDE, room=1.0):
  """Cuts the mouth out of every frame, held still by eyes and nose: what the sync network sees.

  Returns:
    Grey uint8 [T, side, side] of RGB uint8 frames [T, H, W, 3]; see `lips_matrices`.
  """
  crops = []
  for frame, matrix in zip(frames, lips_matrices(landmarks, side, room)):
    picture = cv2.cvtColor(np.asarray(frame), cv2.COLOR_RGB2GRAY)
    while np.hypot(*matrix[:, 0]) < 0.5:  # shrinking by more than two would alias
      picture, matrix = shrunk(picture, matrix, 0.5)
    crops.append(warp(picture, matrix, side))
  return np.stack(crops)


def move(landmarks, matrices):
  """Moves points [T, N, 2] of frames through matrices [T, 2, 3], such as `lips_matrices`."""
  return landmarks @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]


def chip(frame, landmarks):
  """Cuts the aligned face that recognition networks expect.

  Args:
    frame: uint8 RGB [H, W, 3].
    landmarks: [468, 2], pixels.

  Returns:
    uint8 RGB [112, 112, 3]; black beyond the picture.
  """
  five = points.five_points(np.asarray(landmarks, np.float64))
  return warp(frame, align.similarity(five, CHIP).matrix, CHIP_SIDE, edge=cv2.BORDER_CONSTANT)


def syncnet_faces(frames, landmarks, side=224):
  """Cuts faces as `syncnet_python` does: boxes smoothed, square, more chin than forehead.

  The published program takes the boxes from the detector S3FD; the mesh's are near it.

  Args:
    frames: uint8 RGB [T, H, W, 3].
    landmarks: [T, 468, 2], pixels; frames without a face take the nearest one's box.

  Returns:
    uint8 BGR [T, side, side, 3]; grey (110) outside the picture.

  Raises:
    InputError: no frame has a face.
  """
  boxes = np.concatenate([landmarks.min(1), landmarks.max(1)], axis=1)
  boxes = _nearest_known(boxes.astype(np.float64))
  half = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
  x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
  if len(half) >= SMOOTHED:
    half, x, y = (
      scipy.ndimage.median_filter(each, SMOOTHED, mode='constant') for each in (half, x, y)
    )
  crops = []
  for frame, s, cx, cy in zip(frames, half, x, y):
    margin = int(s * 1.8)
    padded = cv2.copyMakeBorder(frame, *(margin,) * 4, cv2.BORDER_CONSTANT, value=(110,) * 3)
    cx, cy = cx + margin, cy + margin
    face = padded[int(cy - s) : int(cy + 1.8 * s), int(cx - 1.4 * s) : int(cx + 1.4 * s), ::-1]
    crops.append(cv2.resize(face, (side, side)))
  return np.stack(crops)
