"""A still that a generator animates by a voice: one more clip of one more person.

Landmarks are those of the frames as they are drawn, as of any film, not what they were driven by.
"""

import dataclasses
import hashlib
import types
import zlib

import cv2
import numpy as np

from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError, note
from ifmdm_jax.face import align, crop
from ifmdm_jax.face.points import LEFT_CHEEK, NOSE_TIP, RIGHT_CHEEK, RIGID, eye_distance, height
from ifmdm_jax.perception.sface import SFace
from ifmdm_jax.pipeline.prep import filters, layouts, ready
from ifmdm_jax.pipeline.prep.job import write_picture, write_sound
from ifmdm_jax.pipeline.voices import Voice
from ifmdm_jax.rates import FPS, SAMPLE_RATE

STRIDE = 8  # frames between those whose identity is measured


@dataclasses.dataclass(frozen=True)
class Limits(filters.Limits):
  """What a still and its clip have to meet; see docs/data.md."""

  frontal: float = 0.3  # nearer cheek's share of the distances of both from the nose, of the still
  border: float = 0.0  # share of points of the still that lie beyond its border, at most
  identity: float = 0.5  # cosine of SFace with the still, of the frame that is least alike
  shape: float = 0.15  # of what expression hardly moves, away from the still, in eye distances


@dataclasses.dataclass(frozen=True)
class AnimatedStill(layouts.Source):
  """A still of a prepared set and the voice that it is to be given.

  Attributes:
    stills: `records.Records`.
    index: of the still among them.
    voice: the `Voice`.
    generator: its name and version.
  """

  stills: object = None
  index: int = 0
  voice: Voice | None = None
  generator: str = ''

  @property
  def still(self):
    """The still, a `Clip` of one frame."""
    return self.stills[self.index]

  @property
  def bytes(self):
    """Counts the bytes of the stored still."""
    return len(self.still.frames.data)

  def checksum(self):
    """Returns SHA-256 of the stored still."""
    return hashlib.sha256(self.still.frames.data).hexdigest()

  def about(self):
    """Tells what else the clip depends on."""
    return dict(kind=self.kind, animated=self.generator, voice=self.voice.name)


class Animated(ready.ReadyClip):
  """Stores what a generator draws of a still and a voice as one track, if it can be shown."""

  def __init__(self, generate, recognise, *job):
    """Takes, besides what a `Job` takes:

    generate: of a `generator.Generator` that needs a picture and a voice.
    recognise: chips -> embeddings, see `SFace`; None: identity is not measured.
    """
    super().__init__(*job)
    self.generate, self.recognise = generate, recognise

  def run(self):
    still, voice = self.source.still, self.source.voice
    picture, points = still.frames[0], still.landmarks[0]
    seen = still_measures(points, len(picture))
    if self._fails(seen, picture):
      return
    shown = []
    clip = Clip(name=still.name, image=picture, waveform=voice.waveform, rate=SAMPLE_RATE)
    blocks = self.generate(clip, seed=zlib.crc32(self.source.name.encode()))
    landmarks, side = self._store(_noting(blocks, shown), self.find, self.settings.quality)
    if landmarks is None:
      return
    measures = seen | self.measures(picture, points, shown, landmarks, side)
    if self._fails(measures, picture):
      for path in self.folder.glob('000.*'):
        path.unlink()
      return
    write_sound(self.folder / '000.flac', np.int16(np.round(32767 * voice.waveform)))
    self._finish(landmarks, side, True, measures=measures, animated=self.source.generator)

  def measures(self, picture, points, shown, landmarks, side):
    """Measures a drawn clip against its still: {name: number}.

    Args:
      picture, points: the still, and its landmarks in its pixels.
      shown: every STRIDE-th frame.
      landmarks: [T, 468, 2] of all frames, in pixels of those.
      side: of the frames, pixels.
    """
    found = dict(
      seconds=len(landmarks) / FPS,
      outside=filters.outside(landmarks / side),
      talking=filters.talking(landmarks),
      shape=shape_error(points, landmarks),
    )
    if self.recognise is not None:
      chips = [crop.chip(frame, p) for frame, p in zip(shown, landmarks[::STRIDE])]
      faces = self.recognise(np.stack([crop.chip(picture, points), *chips]))
      faces = faces / np.linalg.norm(faces, axis=1, keepdims=True)
      found['identity'] = float((faces[1:] @ faces[0]).min())
    return found

  def _fails(self, measures, picture):
    """Notes the first limit that is missed, with the still; says whether there is one."""
    failure = first_failure(measures, self.settings.limits)
    if failure is None:
      return False
    reason, value, limit, quantity = failure
    path = self.folder / 'still.tmp.jpg'
    small = cv2.resize(picture, (ready.THUMBNAIL,) * 2, interpolation=cv2.INTER_AREA)
    write_picture(path, small)
    track = types.SimpleNamespace(start=0, stop=0, person=0, picture=path)
    self.drop(reason, value, quantity, track=track, limit=limit, measures=measures)
    return True


def _noting(blocks, shown):
  """Yields the frames of blocks one by one, keeping every STRIDE-th in `shown`."""
  count = 0
  for block in blocks:
    for frame in np.asarray(block):
      if count % STRIDE == 0:
        shown.append(frame.copy())
      count += 1
      yield frame


AT_MOST = (*filters.AT_MOST, 'border', 'shape')
REASONS = filters.REASONS | dict(
  frontal='not frontal',
  border='face cut by the border',
  shape='folded or torn',
  identity='another face',
)
UNITS = filters.UNITS | dict(
  frontal="of the cheeks' distances is the nearer one's",
  border='of the points lie beyond the border',
  shape="of the eyes' distance away from the still's shape",
  identity='is the lowest cosine with the still',
)


def first_failure(measures, limits):
  """Returns (reason, number, limit, what the number is) of the first limit missed, or None."""
  for name, value in measures.items():
    limit = getattr(limits, name)
    if (value > limit) if name in AT_MOST else (value < limit):
      return REASONS[name], value, limit, UNITS.get(name, name)
  return None


def still_measures(points, side):
  """Measures what can be said of a still before it is drawn: {name: number}.

  Args:
    points: landmarks [468, 2], pixels.
    side: of the picture, pixels.
  """
  sides = np.linalg.norm(points[[LEFT_CHEEK, RIGHT_CHEEK]] - points[NOSE_TIP], axis=-1)
  return dict(
    face=height(points[None]),
    frontal=float(sides.min() / sides.sum()),
    border=float(((points < 0) | (points > side)).any(-1).mean()),
  )


def shape_error(points, landmarks):
  """Measures how far the rigid parts of a face leave the still's shape, in eye distances.

  Root mean square after the best similarity, of the worst frame.

  Args:
    points: landmarks [468, 2] of the still.
    landmarks: [T, 468, 2] of the frames, in any unit.
  """
  errors = []
  for frame in landmarks:
    moved = align.similarity(points[RIGID], frame[RIGID])(points[RIGID])
    error = np.sqrt(np.square(moved - frame[RIGID]).sum(-1).mean())
    errors.append(error / eye_distance(frame))
  return float(np.max(errors))


def recognition():
  """Returns what tells faces apart, or None, with a note, where it is not installed."""
  try:
    return SFace()
  except InputError as error:
    note(f'nobody checks whether the drawn face is that of the still: {error}')
    return None
