"""Cuts a face out of a film: a square that goes with the head, smoothly and upright."""

import tempfile

import numpy as np
import scipy.ndimage

from ifmdm_jax.dubbing import planes
from ifmdm_jax.face import crop, points
from ifmdm_jax.shot import Shot

FOLLOW = 0.4  # seconds over which the square's place is smoothed,
ZOOM = 1.0  # and its size and turn
BLOCK = 16  # frames that a generator is given at a time
PIECE = 1000  # frames of landmarks at a time
TRIED = 50  # frames that say how much of the square the face takes
KEPT = 2**26  # bytes of decoded frames that wait to be painted, when a generator has just seen them
APART = 50  # frames from which one is searched, rather than all before it decoded


def places(reading, rows, rate):
  """Places the square in each frame of a shot.

  It stands around the face as `crop.crop_square` places it, where the picture has room, and its
  edges are level with the eyes.

  Args:
    reading: `faces.Reading`.
    rows: int [T], records of the face.
    rate: frames a second.

  Returns:
    float64 [T, 2, 3], from places of a square of side 1 to places of the film as shown.
  """
  centres, sides, angles = [], [], []
  for start in range(0, len(rows), PIECE):
    face = reading.landmarks(rows[start : start + PIECE])[:, : points.POINTS, :2]
    centres.append((face.min(1) + face.max(1)) / 2)
    sides.append(np.linalg.norm(face[:, points.FOREHEAD] - face[:, points.CHIN_TIP], axis=1))
    across = face[:, points.RIGHT_LIDS.outer] - face[:, points.LEFT_LIDS.outer]
    angles.append(np.arctan2(across[:, 1], across[:, 0]))
  some = rows[np.linspace(0, len(rows) - 1, min(len(rows), TRIED)).astype(int)]
  track = reading.landmarks(some)[:, : points.POINTS, :2]
  width, height = reading.shown
  square = crop.crop_square(track, (height, width))
  zoom = square.side / points.height(track)
  smooth = lambda series, seconds: scipy.ndimage.gaussian_filter1d(
    np.concatenate(series).astype(np.float64), seconds * rate, axis=0, mode='nearest'
  )
  centre, side = smooth(centres, FOLLOW), zoom * smooth(sides, ZOOM)
  angle = np.arctan2(smooth([np.sin(each) for each in angles], ZOOM),
                     smooth([np.cos(each) for each in angles], ZOOM))  # fmt: skip
  low = centre - np.stack([0.5 * side, 0.47 * side], axis=1)
  room = np.array([width, height]) - side[:, None]
  low = np.clip(low, np.minimum(0, room), np.maximum(0, room))  # into the picture, as it fits
  cos, sin = side * np.cos(angle), side * np.sin(angle)
  linear = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], axis=1)
  middle = low + side[:, None] / 2
  shift = middle - linear @ (0.5, 0.5)
  return np.concatenate([linear, shift[..., None]], axis=2)


class Cutter:
  """One shot of a film.

  Attributes:
    shot: the `Shot` for a generator.
    matrices: float64 [T, 2, 3], from places of its squares to places of a frame as stored.
  """

  def __init__(self, film, reading, numbers, rows, times, waveform, size, folder=None):
    """Prepares a shot.

    Args:
      film: `film.Film`.
      reading: `faces.Reading`.
      numbers: int [T], of the film's frames.
      rows: int [T], records of the face in them.
      times: float64 [T], seconds, at which they appear.
      waveform: float32 [L], the voice from the first one on.
      size: side of the squares.
      folder: where a nameless file holds the landmarks.
    """
    self.film, self.numbers = film, numbers
    shown = places(reading, rows, float(film.rate))
    shown[..., :2] /= size
    self.matrices = np.stack([planes.compose(film.stored, matrix) for matrix in shown])
    with tempfile.TemporaryFile(dir=folder) as file:
      shape = (len(rows), points.POINTS_WITH_IRISES, 3)
      landmarks = np.memmap(file, np.float32, 'w+', shape=shape)
    for start in range(0, len(rows), PIECE):
      part = slice(start, start + PIECE)
      landmarks[part] = _in_squares(reading.landmarks(rows[part]), shown[part])
    self.shot = Shot(self._blocks, landmarks, times - times[0], waveform, size)
    width, height = film.size
    self.most = max(BLOCK, KEPT // (3 * width * height)) if film.seekable else 0
    self.kept, self.reader, self.place = {}, None, 0

  def frame(self, place):
    """Returns one of the shot's frames, in rising order: kept from `blocks`, or read again."""
    frame = self.kept.pop(place, None)
    if frame is not None:
      return frame
    far = place - self.place > APART and self.film.seekable
    if self.reader is None or far:
      self.close()
      self.place = place if self.film.seekable else 0
      self.reader = self.film.at(self.numbers[self.place :])
    while self.place <= place:
      frame = next(self.reader)
      self.place += 1
    return frame

  def close(self):
    """Closes the film."""
    if self.reader is not None:
      self.reader.close()
    self.reader = None

  def _blocks(self):
    size, block = self.shot.size, []
    for place, (frame, matrix) in enumerate(zip(self.film.at(self.numbers), self.matrices)):
      block.append(planes.look(frame, matrix, (size, size)))
      if self.most:
        if len(self.kept) >= self.most:
          self.kept.pop(next(iter(self.kept)))  # the one that was seen first
        self.kept[place] = frame
      if len(block) == BLOCK:
        yield np.stack(block)
        block = []
    if block:
      yield np.stack(block)


def _in_squares(landmarks, matrices):
  """Moves landmarks [t, 478, 3] into squares, by the maps [t, 2, 3] from there."""
  back = np.linalg.inv(matrices[:, :, :2])
  flat = (landmarks[..., :2] - matrices[:, None, :, 2]) @ back.transpose(0, 2, 1)
  scale = np.sqrt(np.abs(np.linalg.det(back)))[:, None, None]
  return np.concatenate([flat, landmarks[..., 2:] * scale], axis=-1)
