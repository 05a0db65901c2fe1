"""Follows every face of a film: a stream of frames becomes tracks of one face within one shot.

The detector sees every shot's first frame and twice a second after that; in between landmarks
follow each face from the frame before. Nothing but landmarks is kept, and of those at most two
pieces per face, so that memory does not grow with the film.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from ifmdm_jax.face import crop
from ifmdm_jax.face.detect import FaceDetector
from ifmdm_jax.face.landmarker import FaceLandmarker

DETECT_EVERY = 12  # frames
PRESENCE = 0.5  # of the mesh network; below, the face is lost
MOST_FACES = 6  # at once, the largest
THUMBNAIL = 128  # pixels


@dataclasses.dataclass
class Track:
  """One face in consecutive frames of one shot.

  Attributes:
    person: counts the faces of a video; pieces of one long take share it.
    start: number of the first frame.
    shape: (H, W) of the frames.
    landmarks: float32 [T, 468, 2], pixels.
    sharpness: float32 [T], see `sharpness`.
    picture: uint8 [128, 128, 3] of the first frame.
  """

  person: int
  start: int
  shape: tuple
  landmarks: np.ndarray
  sharpness: np.ndarray
  picture: np.ndarray

  @property
  def stop(self):
    """Number of the frame after the last one."""
    return self.start + len(self.landmarks)


class Cuts:
  """Finds cuts: `cuts(frame)` is true for the first frame of every shot but the first.

  A cut changes the small picture by `least` of 255 on average and by `times` what the frames before
  it did; flashes and fast pans do only one of these for long. Slow fades are not found.
  """

  def __init__(self, least=18.0, times=4.0):
    self.least, self.times = least, times
    self.last, self.usual = None, 0.0

  def __call__(self, frame):
    small = cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    last, self.last = self.last, small
    if last is None:
      return False
    change = float(np.abs(small - last).mean())
    if change > max(self.least, self.times * self.usual):
      self.usual = 0.0
      return True
    self.usual += 0.2 * (change - self.usual)
    return False


def sharpness(frame, points):
  """Measures how sharp a face is: 2 is smeared, 10 is sharp.

  Deviation of the Laplacian at 96 px, grey levels.
  """
  low, high = points.min(0), points.max(0)
  x0, y0 = np.maximum(low, 0).astype(int)
  x1, y1 = np.minimum(high, frame.shape[1::-1]).astype(int)
  if min(x1 - x0, y1 - y0) < 8:
    return 0.0
  grey = cv2.cvtColor(frame[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY)
  return float(cv2.Laplacian(cv2.resize(grey, (96, 96)), cv2.CV_32F).std())


def overlap(a, b):
  """Measures intersection over union of two boxes (x0, y0, x1, y1)."""
  low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
  shared = np.prod(np.maximum(high - low, 0))
  area = lambda box: np.prod(box[2:] - box[:2])
  return shared / max(area(a) + area(b) - shared, 1e-6)


def box_of(landmarks):
  """Finds the box (x0, y0, x1, y1) of points [P, 2]."""
  return np.concatenate([landmarks.min(0), landmarks.max(0)])


class _Open:
  """A track that still grows."""

  def __init__(self, person, start, frame, points):
    self.person, self.start, self.shape = person, start, frame.shape[:2]
    square = crop.crop_square(points, frame.shape)
    self.picture = crop.cut(frame, square, THUMBNAIL)
    self.landmarks, self.sharpness = [], []

  def add(self, frame, points):
    self.landmarks.append(points)
    measured = len(self.sharpness) % 5 == 0  # every fifth frame is enough
    self.sharpness.append(sharpness(frame, points) if measured else self.sharpness[-1])

  def piece(self, count=None):
    """Takes the first `count` frames (None: all) as a Track; the rest stays."""
    count = len(self.landmarks) if count is None else count
    track = Track(
      person=self.person,
      start=self.start,
      shape=self.shape,
      landmarks=np.stack(self.landmarks[:count]).astype(np.float32),
      sharpness=np.array(self.sharpness[:count], np.float32),
      picture=self.picture,
    )
    self.start += count
    self.landmarks, self.sharpness = self.landmarks[count:], self.sharpness[count:]
    return track


def follow(frames: Iterable[np.ndarray], shortest, longest) -> Iterator[Track]:
  """Yields the tracks of a film, each as soon as it ends.

  Args:
    frames: uint8 RGB [H, W, 3], all of one size.
    shortest, longest: frames; longer takes become pieces that follow each other, none of them
      shorter than `shortest`.
  """
  detector, reader, cuts = FaceDetector(), FaceLandmarker(), Cuts()
  living, people, since = [], 0, 0
  for number, frame in enumerate(frames):
    if cuts(frame):
      yield from (track.piece() for track in living)
      living, since = [], 0
    kept = []
    for track in living:
      points, presence = reader.landmarks(frame, track.landmarks[-1])
      if presence < PRESENCE or _is_twin(points, kept):
        yield track.piece()
        since = 0  # detect at once: it may be somebody who turned fast
      else:
        track.add(frame, points)
        kept.append(track)
        if len(track.landmarks) >= longest + shortest:
          yield track.piece(longest)
    living = kept
    if since % DETECT_EVERY == 0:
      for face in detector(frame)[:MOST_FACES]:
        box = np.concatenate([face.box[:2], face.box[:2] + face.box[2:]])
        if any(overlap(box, box_of(track.landmarks[-1])) > 0.2 for track in living):
          continue
        points, presence = reader.landmarks(frame, face)
        if presence < PRESENCE or _is_twin(points, living):
          continue
        track = _Open(people, number, frame, points)
        track.add(frame, points)
        living.append(track)
        people += 1
    since += 1
  yield from (track.piece() for track in living)


def _is_twin(points, others):
  """Whether a track slid onto the face of another one: the later one ends."""
  return any(overlap(box_of(points), box_of(other.landmarks[-1])) > 0.5 for other in others)
