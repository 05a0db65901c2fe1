"""Clips that are ready (square, one face in every frame), and stills: clips of one frame.

Nothing is cut or filtered; landmarks begin where landmarks.npz says, or where a face is detected.
"""

import pathlib

import cv2
import numpy as np

from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.face.matte import PersonMatte
from ifmdm_jax.face.points import POINTS
from ifmdm_jax.pipeline import frames as codec
from ifmdm_jax.pipeline.landmarks import pack
from ifmdm_jax.pipeline.prep import sound as sounds
from ifmdm_jax.pipeline.prep import squares
from ifmdm_jax.pipeline.prep.job import Job, write_picture, write_sound
from ifmdm_jax.pipeline.prep.sound import PER_FRAME
from ifmdm_jax.video import image

THUMBNAIL = 128  # pixels


class ReadyClip(Job):
  """Stores a whole clip as one track."""

  def run(self):
    sound = sounds.extract(self.source.path, self.folder / 'sound.tmp', self.sound)
    landmarks, side = self._store(self.counted_frames(), self.find, self.settings.quality)
    if landmarks is None:
      return
    if sound is not None:
      write_sound(self.folder / '000.flac', sound[: len(landmarks) * PER_FRAME])
    self._finish(landmarks, side, sound is not None)

  def find(self, frames):
    """Returns landmarks float32 [T, 468, 2] in pixels of frames, NaN where there is no face."""
    return FaceLandmarker().track(frames)

  def _store(self, frames, find, quality):
    """Writes frames and mattes as they pass by; returns their landmarks and their side."""
    person = PersonMatte() if self.settings.matte else None
    pictures = self.encoder(0, 'frames', quality)
    mattes = self.encoder(0, 'matte') if person else None
    size, shape = self.settings.size, None

    def stored():
      nonlocal shape
      for frame in frames:
        if shape is None:
          self._picture(frame)
        shape = frame.shape[:2]
        picture = cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
        pictures.add(picture)
        if person:
          mattes.add(person(picture))
        yield frame

    landmarks = find(stored())
    for encoder in (pictures, mattes):
      if encoder is not None:
        encoder.close()
    missing = ~np.isfinite(landmarks).all((1, 2))
    if shape[0] != shape[1]:
      self.drop('not square', shape[1] / shape[0], 'times as wide as high')
    elif missing.any():
      self.drop('no face', float(missing.mean()), 'of the frames have no face')
    else:
      return landmarks, shape[0]
    for path in self.folder.glob('000.*'):
      path.unlink()
    return None, shape[0]

  def _picture(self, frame):
    small = cv2.resize(frame, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    write_picture(self.folder / '000.jpg', small)

  def _finish(self, landmarks, side, sound, measures=None, **about):
    places = np.tile(np.array([0, 0, side], np.int32), (len(landmarks), 1))
    points = pack(squares.in_square(landmarks, places))
    np.savez(self.folder / '000.npz', landmarks=points, squares=places)
    whole = dict(face=0, start=0, stop=len(landmarks), offset_frames=0, sound=sound)
    self.keep(0, **whole, measures=measures or {}, **about)


class Still(ReadyClip):
  """Stores a picture as a clip of one frame, without loss: there are few, and all are read often.

  `landmarks.npz` beside it (an array [468 or 478, 2] per file name, fractions of the side, of
  whatever program) tells where to begin.
  """

  def run(self):
    picture = image.read_image(self.source.path)
    landmarks, side = self._store([picture], self.find, codec.LOSSLESS)
    if landmarks is not None:
      self._finish(landmarks, side, False)

  def find(self, frames):
    """Returns landmarks float32 [1, 468, 2] in pixels of one frame, NaN without a face."""
    (picture,) = frames
    path = pathlib.Path(self.source.path)
    known = path.with_name('landmarks.npz')
    if known.exists():
      with np.load(known) as file:
        if path.name in file:
          guess = file[path.name][:POINTS].astype(np.float32)
          extent = np.float32(picture.shape[1::-1])
          return FaceLandmarker().landmarks(picture, guess * extent)[0][None]
    return super().find([picture])
