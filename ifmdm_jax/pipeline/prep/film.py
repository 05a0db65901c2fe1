"""One raw film to training clips: everybody who talks, cut out, with the voice in sync.

The film is read twice as a stream, first to find and measure the tracks, then to cut out those that
stay. Nothing in memory grows with the film but what result.json will say: frames are a stream, and
sound, landmarks and pictures wait on disk.
"""

import dataclasses
import os
import pathlib

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import cut
from ifmdm_jax.face.matte import PersonMatte
from ifmdm_jax.face.track import follow
from ifmdm_jax.pipeline import frames as codec
from ifmdm_jax.pipeline.landmarks import pack
from ifmdm_jax.pipeline.prep import filters, squares
from ifmdm_jax.pipeline.prep import sound as sounds
from ifmdm_jax.pipeline.prep.job import Job, write_picture, write_sound
from ifmdm_jax.pipeline.prep.sound import PER_FRAME
from ifmdm_jax.rates import FPS

SHORTEST_SYNC = 50  # frames: shorter tracks say too little about sync
TRUST = 0.5  # r from which a track's own shift is believed


@dataclasses.dataclass
class Candidate:
  """A track of the first reading; its arrays and its picture wait on disk."""

  person: int  # counts the faces of a film; pieces of one long take share it
  start: int  # frame number
  stop: int
  arrays: pathlib.Path  # landmarks, squares
  picture: pathlib.Path
  measures: dict[str, float]  # see `filters`
  lag: int | None = None  # frames by which its voice is late, as it says itself


@dataclasses.dataclass(frozen=True)
class Piece:
  """What of a candidate is cut out: its frames `first` to `stop`."""

  track: Candidate
  measures: dict[str, float]
  lag: int  # frames by which its voice is late
  first: int
  stop: int
  silent: bool


@dataclasses.dataclass(frozen=True)
class _Writing:
  """A piece whose frames are being written in the second reading."""

  piece: Piece
  squares: np.ndarray  # int32 [T, 3] from its first frame
  frames: codec.Encoder
  matte: codec.Encoder | None


class Film(Job):
  """Finds, measures, filters and cuts out the tracks of one film."""

  def run(self):
    sound = sounds.extract(self.source.path, self.folder / 'sound.tmp', self.sound)
    candidates = self.find()
    for track in candidates:
      self._listen(track, sound)
    self.offset = offset_of(candidates)
    chosen = [self._choose(track, sound) for track in candidates]
    self._cut_out([piece for piece in chosen if piece], sound)

  def find(self):
    """Lists the tracks of the whole film; their landmarks wait on disk."""
    limits, candidates = self.settings.limits, []
    longest, shortest = round(self.settings.longest * FPS), round(limits.seconds * FPS)
    for track in follow(self.counted_frames(), shortest, longest):
      if track.stop - track.start < FPS // 5:
        continue  # a flicker of the detector is nobody
      places = squares.squares_of(track, self.settings)
      arrays = self.folder / f'{len(candidates)}.tmp.npz'
      np.savez(arrays, landmarks=track.landmarks, squares=places)
      picture = arrays.with_suffix('.jpg')
      write_picture(picture, track.picture)
      measures = filters.picture_measures(track, squares.in_square(track.landmarks, places))
      candidates.append(Candidate(track.person, track.start, track.stop, arrays, picture, measures))
    if not candidates:
      self.drop('no face', 0.0, 'of the frames have a face')
    return candidates

  def _listen(self, track, sound):
    """Measures the voice of a track, and by how many frames it is late."""
    measures = track.measures
    measures['loudness'] = measures['sync'] = np.nan
    if sound is None:
      return
    voice = sound[track.start * PER_FRAME : track.stop * PER_FRAME].astype(np.float32) / 32767
    measures['loudness'] = filters.loudness(voice) if len(voice) else -120.0
    count = min(len(voice) // PER_FRAME, track.stop - track.start)
    passes = filters.first_failure(measures, self.settings.limits) is None
    if count < SHORTEST_SYNC or not passes:
      return
    with np.load(track.arrays) as file:
      landmarks = file['landmarks'][:count]
    lag = self.estimate_lag(voice[: count * PER_FRAME], landmarks)
    track.lag = lag.frames
    measures['sync'] = lag.r

  def _choose(self, track, sound):
    """Returns what to cut out of a track, or drops it and returns None."""
    measures, limits = track.measures, self.settings.limits
    silent = sound is None or measures['loudness'] < limits.loudness
    if silent and self.settings.keep_silent:
      measures = {**measures, 'loudness': np.nan, 'talking': np.nan, 'sync': np.nan}
    elif sound is None:
      self.drop('no sound', 0, 'sound tracks in the file', track=track, measures=measures)
      return None
    failure = filters.first_failure(measures, limits)
    if failure:
      reason, value, limit = failure
      self.drop(reason, value, track=track, limit=limit, measures=measures)
      return None
    lag, first, stop = 0, track.start, track.stop
    if not silent:  # only where there is sound for the pictures
      lag = self._lag(track)
      first, stop = max(first, -lag), min(stop, len(sound) // PER_FRAME - lag)
    if stop - first < limits.seconds * FPS:
      self.drop(
        'too short',
        max(0, stop - first) / FPS,
        'seconds with both picture and sound',
        track=track,
        limit=limits.seconds,
        measures=measures,
      )
      return None
    return Piece(track, measures, lag, first, stop, silent)

  def _lag(self, track):
    """Returns how late a track's voice is: by its own word, or else by the film's."""
    if not self.settings.correct_sync:
      return 0
    return track.lag if sure(track) else self.offset or 0

  def _cut_out(self, pieces, sound):
    """Reads the film again: every piece's square of every frame, straight into its file."""
    if not pieces:
      return
    find = PersonMatte() if self.settings.matte else None
    waiting = sorted(enumerate(pieces), key=lambda pair: -pair[1].first)
    writing = []
    for number, frame in enumerate(self.frames(max(piece.stop for piece in pieces))):
      while waiting and waiting[-1][1].first == number:
        writing.append(self._open(*waiting.pop()))
      for open_piece in writing:
        square = open_piece.squares[number - open_piece.piece.first]
        picture = cut(frame, tuple(square), self.settings.size)
        open_piece.frames.add(picture)
        if find:
          open_piece.matte.add(find(picture))
        if number + 1 == open_piece.piece.stop:
          open_piece.frames.close()
          if find:
            open_piece.matte.close()
      writing = [w for w in writing if number + 1 < w.piece.stop]
    if writing or waiting:
      raise InputError(f'{self.source.name} was shorter when it was read again: did it change?')
    for index, piece in enumerate(pieces):
      self._finish(index, piece, sound)

  def _open(self, index, piece):
    with np.load(piece.track.arrays) as file:
      places = file['squares'][piece.first - piece.track.start :]
    pictures = self.encoder(index, 'frames')
    return _Writing(
      piece, places, pictures, self.encoder(index, 'matte') if self.settings.matte else None
    )

  def _finish(self, index, piece, sound):
    """Writes what a piece needs beside its frames."""
    track = piece.track
    with np.load(track.arrays) as file:
      part = slice(piece.first - track.start, piece.stop - track.start)
      landmarks, places = file['landmarks'][part], file['squares'][part]
    points = pack(squares.in_square(landmarks, places))
    np.savez(self.folder / f'{index:03d}.npz', landmarks=points, squares=places)
    if not piece.silent:
      first, stop = piece.first + piece.lag, piece.stop + piece.lag
      voice = sound[first * PER_FRAME : stop * PER_FRAME]
      write_sound(self.folder / f'{index:03d}.flac', voice)
    os.replace(track.picture, self.folder / f'{index:03d}.jpg')
    self.keep(
      index,
      face=track.person,
      start=piece.first,
      stop=piece.stop,
      offset_frames=piece.lag,
      sound=not piece.silent,
      measures=piece.measures,
    )


def sure(track):
  """Says whether a track's own estimate of its lag is believed."""
  return track.lag is not None and track.measures['sync'] >= TRUST


def offset_of(candidates):
  """Returns the film's lag, frames: the median of what its surest tracks say, or None."""
  lags = [t.lag for t in candidates if sure(t) for _ in range(t.stop - t.start)]
  return int(np.median(lags)) if lags else None
