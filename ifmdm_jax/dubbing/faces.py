"""Reads a film once, frame by frame, and notes every face in it.

The detector sees the first frame of every take, the part between two cuts, and twice a second after
that, once a second while somebody is there; in between landmarks follow each face. They go to a
file that has no name, so that an hour of film costs its disk and not its memory: 4 kB for each face
of a frame.
"""

import dataclasses
import tempfile

import cv2
import numpy as np

from ifmdm_jax.dubbing import planes
from ifmdm_jax.errors import InputError
from ifmdm_jax.face import align, crop, landmarker, mesh, points
from ifmdm_jax.face.detect import Face, FaceDetector
from ifmdm_jax.face.track import DETECT_EVERY, MOST_FACES, PRESENCE, Cuts, box_of, overlap
from ifmdm_jax.perception.sface import SFace

SMALL = 640  # longer side of the copy that the detector sees, pixels
SELDOM = 2 * DETECT_EVERY  # frames between two looks of the detector while a face is followed
CUT_SIDE = 32  # and of the one in which cuts are found
MOUTH = 16  # side of the small picture of the mouth, pixels
CHIPS, CHIP_EVERY = 5, 12  # faces of a track that are recognised, and frames from one to the next
SAME_PLACE, TWIN = 0.2, 0.5  # overlaps of boxes
# Eyes and nose in that picture.
LIPS_ANCHORS = (crop.LIPS_ANCHORS - crop.LIPS_MIDDLE) * MOUTH / crop.LIPS_SPAN + MOUTH / 2

RECORD = np.dtype([
  ('points', '<f2', (points.POINTS_WITH_IRISES, 3)),  # from the centre, in units of the side:
  ('centre', '<f4', 3), ('side', '<f4'),  # pixels of the film as shown
  ('mouth', 'u1', (MOUTH, MOUTH, 3)),  # held still by eyes and nose
])  # fmt: skip


@dataclasses.dataclass
class Track:
  """One face in consecutive frames of one take.

  Attributes:
    take: number of the part between two cuts.
    start: number of the first frame.
    rows: numbers of its records, one a frame.
    identity: float32 [E] of length 1, what recognises the person.
    first, last: boxes (x0, y0, x1, y1) in the first and the last frame.
  """

  take: int
  start: int
  rows: list = dataclasses.field(default_factory=list)
  identity: np.ndarray | None = None
  first: np.ndarray | None = None
  last: np.ndarray | None = None

  @property
  def stop(self):
    """Number of the frame after the last one."""
    return self.start + len(self.rows)


@dataclasses.dataclass(frozen=True)
class Reading:
  """What was seen in a film.

  Attributes:
    takes: int [T], number of the part between two cuts that each frame belongs to.
    tracks: of all faces.
    records: of RECORD, [N], on the disk.
    recognised: cosine of two identities from which they are one person.
    shown: (width, height) of the film as shown, pixels.
  """

  takes: np.ndarray
  tracks: list[Track]
  records: np.ndarray
  recognised: float
  shown: tuple[int, int]

  def landmarks(self, rows):
    """Reads float32 [n, 478, 3], pixels of the film as shown, of the records `rows`."""
    part = self.records[rows]
    return part['points'].astype(np.float32) * part['side'][:, None, None] + part['centre'][:, None]


def read(film, frames, folder=None):
  """Follows all faces of a film.

  Args:
    film: `film.Film`.
    frames: all of them from the first on, as `film.all_times` yields them.
    folder: where the nameless file is; None: the system's.

  Returns:
    `Reading`.
  """
  follower = _Follower(film)
  with tempfile.TemporaryFile(dir=folder) as file:
    for frame in frames:
      follower.see(frame, file)
    file.flush()
    count = file.tell() // RECORD.itemsize
    records = np.memmap(file, RECORD, 'r', shape=(count,)) if count else np.zeros(0, RECORD)
    for track in follower.tracks:
      track.identity = follower.recognise.mean(track.identity)
    return Reading(
      np.array(follower.takes, np.int32), follower.tracks, records,
      follower.recognise.threshold, film.shown,
    )  # fmt: skip


class _Follower:
  """Sees one frame after the other."""

  def __init__(self, film):
    self.film = film
    self.detector, self.network = FaceDetector(), landmarker.opencv(depth=True)
    self.recognise, self.cuts = Recognition(), Cuts()
    self.takes, self.tracks, self.living = [], [], []
    self.take = self.since = self.count = 0
    scale = max(1.0, max(film.shown) / SMALL)
    self.small = tuple(round(side / scale) for side in film.shown)
    self.to_small = _scaling(film.shown, self.small)
    self.to_tiny = _scaling(film.shown, (CUT_SIDE, CUT_SIDE))

  def see(self, frame, file):
    """Notes the faces of the next frame; their records are appended to a file."""
    number = len(self.takes)
    tiny = planes.look(frame, planes.compose(self.film.stored, self.to_tiny), (CUT_SIDE,) * 2)
    if self.cuts(tiny):
      self.take, self.living, self.since = self.take + 1, [], 0
    self.takes.append(self.take)
    kept, found = [], []
    for track, last in self.living:
      where, presence = self._points(frame, last)
      if presence < PRESENCE or _is_twin(where, kept):
        self.since = 0  # detect at once: it may be somebody who turned fast
      else:
        kept.append((track, where))
    if self.since % (SELDOM if kept else DETECT_EVERY) == 0:
      found = self._detected(frame, kept)
    self.since += 1
    for where in found:
      self.tracks.append(Track(self.take, number))
      kept.append((self.tracks[-1], where))
    for track, where in kept:
      self._note(frame, track, where, file)
    self.living = kept

  def _detected(self, frame, kept):
    """Lists the points of faces that nobody follows yet."""
    picture = planes.look(frame, planes.compose(self.film.stored, self.to_small), self.small)
    found, scale = [], self.to_small[[0, 1], [0, 1]]
    for face in self.detector(picture)[:MOST_FACES]:
      low, extent, eyes = face.box[:2] * scale, face.box[2:] * scale, face.eyes * scale
      box = np.concatenate([low, low + extent])
      if any(overlap(box, box_of(where[:, :2])) > SAME_PLACE for _, where in kept):
        continue
      where, presence = self._first_points(frame, Face(np.concatenate([low, extent]), eyes, 1.0))
      if presence >= PRESENCE and not _is_twin(where, [*kept, *((None, f) for f in found)]):
        found.append(where)
    return found

  def _first_points(self, frame, face):
    low, extent = face.box[:2], face.box[2:]
    where, presence = self._see(frame, *mesh.square(low, low + extent, *face.eyes))
    for _ in range(2):
      where, presence = self._points(frame, where)
    return where, presence

  def _points(self, frame, where):
    return self._see(frame, *mesh.square_of(where[: points.POINTS, :2]))

  def _see(self, frame, centre, across):
    """Runs the network on a square: points float32 [478, 3] in pixels as shown, probability."""
    side = landmarker.SIDE
    x, y = np.asarray(across, np.float64) / side
    turn = np.array([[x, -y], [y, x]])
    to_shown = np.column_stack([turn, centre - turn @ np.full(2, side / 2)])
    patch = planes.look(frame, planes.compose(self.film.stored, to_shown), (side, side))
    seen, presence = self.network(patch)
    flat = seen[:, :2] @ turn.T + to_shown[:, 2]
    deep = seen[:, 2:] * np.hypot(x, y)
    presence = float(1 / (1 + np.exp(-presence)))
    return np.concatenate([flat, deep], axis=1).astype(np.float32), presence

  def _note(self, frame, track, where, file):
    low, high = where.min(0), where.max(0)
    record = np.zeros((), RECORD)
    record['centre'], record['side'] = (low + high) / 2, max((high - low).max(), 1.0)
    record['points'] = (where - record['centre']) / record['side']
    five = points.five_points(where[: points.POINTS, :2].astype(np.float64))
    record['mouth'] = self._fitted(frame, LIPS_ANCHORS, five[:3], MOUTH)
    file.write(record.tobytes())
    track.rows.append(self.count)
    self.count += 1
    box = box_of(where[:, :2])
    track.first, track.last = box if track.first is None else track.first, box
    chips = track.identity = [] if track.identity is None else track.identity
    if len(track.rows) % CHIP_EVERY == 1 and len(chips) < CHIPS:
      chip = self._fitted(frame, crop.CHIP, five, crop.CHIP_SIDE)
      chips.append(self.recognise(chip))

  def _fitted(self, frame, goal, five, side):
    """Cuts out a picture in which points of the face lie where `goal` has them."""
    to_shown = align.similarity(goal, five).matrix
    return planes.look(frame, planes.compose(self.film.stored, to_shown), (side, side))


class Recognition:
  """Makes numbers of a face that are alike for one person.

  By SFace, if the package that carries its weights is installed; else by the small picture of the
  face itself, which tells people apart within one film only.

  Attributes:
    threshold: cosine from which two faces are one person's.
  """

  def __init__(self):
    try:
      self.network, self.threshold = SFace(), 0.35
    except InputError:
      self.network, self.threshold = None, 0.75

  def __call__(self, chip):
    """Returns float32 [E], of length 1, of uint8 RGB [112, 112, 3]."""
    if self.network is not None:
      numbers = self.network(chip[None])[0]
    else:
      small = cv2.resize(chip[16:], (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32)
      numbers = (small - small.mean((0, 1))).ravel()
    return numbers / max(float(np.linalg.norm(numbers)), 1e-6)

  @staticmethod
  def mean(numbers):
    """Averages several of one person."""
    mean = np.mean(numbers, axis=0)
    return (mean / max(float(np.linalg.norm(mean)), 1e-6)).astype(np.float32)


def _scaling(size, small):
  """Maps places of a small copy to places of the whole."""
  return np.diag([size[0] / small[0], size[1] / small[1]]) @ np.eye(2, 3)


def _is_twin(where, others):
  """Says whether a face is one of the others, which somebody follows already."""
  box = box_of(where[:, :2])
  return any(overlap(box, box_of(other[:, :2])) > TWIN for _, other in others)
