"""One film to training clips: the function that every core, or every Beam worker, runs.

`process` reads the film twice as a stream, first to find and judge the tracks, then to cut out
those that stay. What it leaves:

  output/videos/KEY/               appears at once and whole, so a killed run goes on from here
    result.json                      source, its checksum, kept and dropped tracks with numbers
    000.frames                       the frames of track 0, see `pipeline.frames`
    000.npz                          landmarks, squares; 000.flac: the sound, 16 kHz mono, in sync
    000.matte                        if asked for: where the person is, see `face.matte`
    000.jpg, d000.jpg                pictures of a kept and a dropped track, for the report

Nothing in memory grows with the film but what result.json will say: frames are a stream, and sound,
landmarks and pictures wait on disk.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import tempfile

import cv2
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import crop_square, cut
from ifmdm_jax.face.matte import PersonMatte
from ifmdm_jax.face.points import smooth
from ifmdm_jax.face.track import follow
from ifmdm_jax.pipeline import frames as codec
from ifmdm_jax.pipeline.prep import filters

FPS, SAMPLE_RATE = 25, 16_000
PER_FRAME = SAMPLE_RATE // FPS
JUDGED = 50  # frames: shorter tracks say too little about sync
TRUST = 0.5  # r from which a track's own shift is believed
UNIT = 32768  # landmarks are stored as whole numbers: 0 is -1/2 side, 32768 is +1/2


@dataclasses.dataclass(frozen=True)
class Settings:
  """What decides the result; a film is done anew when one of these changes."""

  size: int = 512  # side of the stored frames, pixels
  face_fraction: float = 0.5  # height of the face as a share of the square
  smoothing: float = 0.0  # seconds over which the square follows the head; 0: it stands still
  longest: float = 20.0  # seconds of a track; longer takes become several
  quality: int = codec.QUALITY  # of the stored frames, WebP's 0 to 100
  keep_silent: bool = False  # keep tracks without sound, for stage 1
  correct_sync: bool = True
  matte: bool = False  # find the person in every frame, for training that blurs the background
  limits: filters.Limits = filters.Limits()


def process(source, output, settings, sync):
  """Brings `output`/videos/KEY up to date and returns what its result.json says.

  Args:
    source: a `layouts.Source`.
    output: folder of the whole set.
    sync: (waveform [L] at 16 kHz, landmarks [T, 468, 2]) -> (frames by which the voice is late, r).
  """
  folder = pathlib.Path(output) / 'videos' / source.key
  done = finished(folder, source, settings)
  if done:
    return done
  shutil.rmtree(folder, ignore_errors=True)
  folder.parent.mkdir(parents=True, exist_ok=True)
  temporary = pathlib.Path(tempfile.mkdtemp(prefix=f'.{source.key}.', dir=folder.parent))
  try:
    result = _Film(source, temporary, settings, sync).run()
    save_result(temporary, result)
    os.chmod(temporary, 0o755)
    os.replace(temporary, folder)
  finally:
    shutil.rmtree(temporary, ignore_errors=True)
  return result


def sweep(output):
  """Removes what killed runs left half-made."""
  for folder in (pathlib.Path(output) / 'videos').glob('.*'):
    shutil.rmtree(folder, ignore_errors=True)


def describe(source, settings):
  """What a result was made of; another size of file or other settings make it stale."""
  return dict(
    source=source.name,
    key=source.key,
    person=source.person,
    split=source.split,
    licence=source.licence,
    settings=dataclasses.asdict(settings),
    bytes=os.path.getsize(source.path),
  )


def finished(folder, source, settings):
  """The result in a folder if it is of this file and these settings, else None."""
  path = pathlib.Path(folder) / 'result.json'
  if not path.exists():
    return None
  result = json.loads(path.read_text())
  wanted = json.loads(json.dumps(describe(source, settings)))
  return result if all(result.get(k) == v for k, v in wanted.items()) else None


def save_result(folder, result):
  (pathlib.Path(folder) / 'result.json').write_text(json.dumps(result, indent=1) + '\n')


def failed(source, output, settings, reason, value, detail=''):
  """Writes the result of a film that gave nothing: why, and the number behind it."""
  folder = pathlib.Path(output) / 'videos' / source.key
  folder.mkdir(parents=True, exist_ok=True)
  dropped = [dict(source=source.name, reason=reason, value=value, detail=detail)]
  result = dict(describe(source, settings), kept=[], dropped=dropped)
  save_result(folder, result)
  return result


class _Film:
  """State of one call of `process`."""

  def __init__(self, source, folder, settings, sync):
    self.source, self.folder, self.settings, self.sync = source, folder, settings, sync
    self.kept, self.dropped, self.damage, self.seconds = [], [], '', 0.0

  def run(self):
    with open(self.source.path, 'rb') as file:
      checksum = hashlib.file_digest(file, 'sha256').hexdigest()
    try:
      sound = self._sound()
      self._find()
      self._judge_sync(sound)
      offset = self._offset()
      self._judge(sound, offset)
      self._cut_out(sound)
    except InputError as error:
      size = os.path.getsize(self.source.path)
      reason = (
        'no video in it' if str(error).endswith('has none: pass another file') else 'unreadable'
      )
      self.kept = []
      self._drop(None, reason, size, f'bytes; {error}'.replace(self.source.path, self.source.name))
      offset = None
    finally:
      for path in self.folder.glob('*.tmp*'):
        path.unlink()
    return dict(
      describe(self.source, self.settings),
      sha256=checksum,
      seconds=round(self.seconds, 2),
      offset_frames=offset,
      damage=self.damage,
      kept=self.kept,
      dropped=self.dropped,
    )

  def _drop(self, track, reason, value, detail='', limit=None, **more):
    entry = dict(source=self.source.name, reason=reason, value=_short(value))
    entry.update(limit=limit) if limit is not None else None
    entry.update(detail=detail) if detail else None
    if track is not None:
      name = f'd{len(self.dropped):03d}.jpg'
      os.replace(track.picture, self.folder / name)
      entry.update(start=track.start, stop=track.stop, face=track.person, picture=name)
    self.dropped.append({**entry, **more})

  def _frames(self, until=None):
    """The frames at 25 fps; a file damaged on the way ends there."""
    import av

    from ifmdm_jax.video import read

    count = 0
    try:
      # One thread: there is a process per core, and threads hold frames of 4K each.
      for count, frame in enumerate(read.frames(self.source.path, threads=1), 1):
        yield frame
        if until is not None and count >= until:
          return
    except av.error.FFmpegError as error:
      if not count:
        raise InputError(
          f'expected a video, {self.source.name} cannot be decoded ({error.strerror})'
        ) from error
      self.damage = f'{error.strerror} after {count / FPS:.2f} s'

  def _sound(self):
    """The sound as `_Sound`, time zero that of the pictures; None: there is none."""
    from ifmdm_jax.video import read

    path = self.folder / 'sound.tmp'
    try:
      with open(path, 'wb') as file:
        for block in read.mono_blocks(self.source.path, SAMPLE_RATE):
          file.write(np.clip(np.round(block * 32767), -32768, 32767).astype(np.int16).tobytes())
    except InputError:
      if not path.exists() or not path.stat().st_size:
        return None  # what a broken sound track has said so far counts
    return _Sound(path) if path.stat().st_size else None

  def _find(self):
    """Tracks of the whole film; their landmarks wait on disk."""
    limits, self.tracks = self.settings.limits, []
    longest, shortest = round(self.settings.longest * FPS), round(limits.seconds * FPS)
    counted = self._counted(self._frames())
    for track in follow(counted, shortest, longest):
      if track.stop - track.start < FPS // 5:
        continue  # a flicker of the detector is nobody
      squares = squares_of(track, self.settings)
      measures = filters.picture_measures(track, in_square(track.landmarks, squares))
      path = self.folder / f'{len(self.tracks)}.tmp.npz'
      np.savez(path, landmarks=track.landmarks, squares=squares)
      picture = path.with_suffix('.jpg')
      cv2.imwrite(str(picture), track.picture[..., ::-1])
      light = dataclasses.replace(
        track, landmarks=_Length(len(track.landmarks)), sharpness=None, picture=picture
      )
      self.tracks.append((light, path, measures))
    if not self.tracks:
      self._drop(None, 'no face', 0.0, 'of the frames have a face')

  def _counted(self, frames):
    for frame in frames:
      self.seconds += 1 / FPS
      yield frame

  def _judge_sync(self, sound):
    """Measures of the sound, and by how many frames each track's voice is late."""
    self.lags = {}
    for track, path, measures in self.tracks:
      measures['loudness'] = measures['sync'] = np.nan
      if sound is None:
        continue
      heard = sound[track.start * PER_FRAME : track.stop * PER_FRAME].astype(np.float32) / 32767
      measures['loudness'] = filters.loudness(heard) if len(heard) else -120.0
      count = min(len(heard) // PER_FRAME, track.stop - track.start)
      worth = filters.first_failure(measures, self.settings.limits) is None
      if count < JUDGED or not worth:
        continue
      with np.load(path) as file:
        lag, r = self.sync(heard[: count * PER_FRAME], file['landmarks'][:count])
      measures['sync'] = float(r)
      self.lags[path] = lag

  def _offset(self):
    """The film's shift, frames: the median of what its surest tracks say; None: nobody is sure."""
    shifts = [
      self.lags[path]
      for track, path, measures in self.tracks
      if path in self.lags and measures['sync'] >= TRUST
      for _ in range(track.stop - track.start)
    ]
    return int(np.median(shifts)) if shifts else None

  def _lag(self, path, measures, offset):
    """Frames by which a track's voice is late: by its own word, or else by the film's."""
    if not self.settings.correct_sync:
      return 0
    if path in self.lags and measures['sync'] >= TRUST:
      return self.lags[path]
    return offset or 0

  def _judge(self, sound, offset):
    """Splits tracks into kept ones, with what there is to cut, and dropped ones."""
    passed = []
    for track, path, measures in self.tracks:
      silent = sound is None or measures['loudness'] < self.settings.limits.loudness
      if silent and self.settings.keep_silent:
        measures = {**measures, 'loudness': np.nan, 'talking': np.nan, 'sync': np.nan}
      elif sound is None:
        self._drop(track, 'no sound', 0, 'sound tracks in the file', measures=_rounded(measures))
        continue
      failure = filters.first_failure(measures, self.settings.limits)
      if failure:
        reason, value, limit = failure
        self._drop(track, reason, value, limit=limit, measures=_rounded(measures))
        continue
      lag = 0 if silent else self._lag(path, measures, offset)
      first, last = track.start, track.stop
      if not silent:  # only where there is sound for the pictures
        first, last = max(first, -lag), min(last, len(sound) // PER_FRAME - lag)
      if last - first < self.settings.limits.seconds * FPS:
        seconds = max(0, last - first) / FPS
        self._drop(track, 'too short', seconds, 'seconds with both picture and sound',
                   limit=self.settings.limits.seconds, measures=_rounded(measures))  # fmt: skip
        continue
      passed.append((track, path, measures, lag, first, last, silent))
    self.passed = passed

  def _cut_out(self, sound):
    """The second reading: every kept track's square of every frame, straight into its file."""
    import soundfile

    if not self.passed:
      return
    size, ends = self.settings.size, max(entry[5] for entry in self.passed)
    find = PersonMatte() if self.settings.matte else None
    writers = {}
    waiting = sorted(enumerate(self.passed), key=lambda pair: -pair[1][4])
    for number, frame in enumerate(self._frames(ends)):
      while waiting and waiting[-1][1][4] == number:
        index, entry = waiting.pop()
        with np.load(entry[1]) as file:
          squares = file['squares'][entry[4] - entry[0].start :]
        encoders = [self._encoder(index, kind) for kind in ('frames', 'matte')[: 2 if find else 1]]
        writers[index] = (encoders, squares, entry)
      for index, (encoders, squares, entry) in list(writers.items()):
        picture = cut(frame, tuple(squares[number - entry[4]]), size)
        encoders[0].add(picture)
        if find:
          encoders[1].add(find(picture))
        if number + 1 == entry[5]:
          for encoder in encoders:
            encoder.close()
          del writers[index]
    for index, (track, path, measures, lag, first, last, silent) in enumerate(self.passed):
      with np.load(path) as file:
        part = slice(first - track.start, last - track.start)
        landmarks, squares = file['landmarks'][part], file['squares'][part]
      points = pack(in_square(landmarks, squares))
      np.savez(self.folder / f'{index:03d}.npz', landmarks=points, squares=squares)
      if not silent:
        heard = sound[(first + lag) * PER_FRAME : (last + lag) * PER_FRAME]
        soundfile.write(self.folder / f'{index:03d}.flac', heard, SAMPLE_RATE)
      picture = f'{index:03d}.jpg'
      os.replace(track.picture, self.folder / picture)
      self.kept.append(
        dict(
          source=self.source.name,
          name=f'{self.source.key}_{index:03d}',
          face=track.person,
          start=first,
          stop=last,
          offset_frames=lag,
          sound=not silent,
          matte=self.settings.matte,
          bytes=(self.folder / f'{index:03d}.frames').stat().st_size,
          picture=picture,
          measures=_rounded(measures),
        )
      )

  def _encoder(self, index, kind):
    return codec.Encoder(open(self.folder / f'{index:03d}.{kind}', 'wb'), self.settings.quality)


class _Sound:
  """int16 [L] at 16 kHz in a file; slices are read when asked for, not mapped: maps count as
  memory, page by page."""

  def __init__(self, path):
    self.path = path

  def __len__(self):
    return self.path.stat().st_size // 2

  def __getitem__(self, part):
    start, stop, _ = part.indices(len(self))
    return np.fromfile(self.path, np.int16, max(0, stop - start), offset=2 * start)


class _Length:
  """Stands where landmarks were that wait on disk."""

  def __init__(self, count):
    self.count = count

  def __len__(self):
    return self.count


def squares_of(track, settings):
  """int32 [T, 3] (x0, y0, side): `crop_square`, standing still or following the head slowly.

  A square that follows keeps its side, and moves by the head's path smoothed over time.
  """
  x0, y0, side = crop_square(track.landmarks, track.shape, settings.face_fraction)
  squares = np.tile(np.array([x0, y0, side], np.int32), (len(track.landmarks), 1))
  if settings.smoothing:
    import scipy.ndimage

    centre = (track.landmarks.min(1) + track.landmarks.max(1)) / 2
    path = scipy.ndimage.gaussian_filter1d(smooth(centre), settings.smoothing * FPS, axis=0)
    squares[:, :2] += np.round(path - np.median(centre, axis=0)).astype(np.int32)
    room = np.array(track.shape[::-1]) - side
    squares[:, :2] = np.clip(squares[:, :2], np.minimum(0, room), np.maximum(0, room))
  return squares


def in_square(landmarks, squares):
  """Pixels of the source -> fractions of the square, [T, 468, 2]."""
  return (landmarks - squares[:, None, :2]) / squares[:, None, 2:].astype(np.float32)


def pack(fractions):
  """float [T, 468, 2] -> uint16, steps of 1/64 pixel of 512; from -1/2 to 3/2 of the side."""
  return np.clip(np.round((fractions + 0.5) * UNIT), 0, 65535).astype(np.uint16)


def unpack(stored):
  """The fractions that `pack` was given, float32."""
  return stored.astype(np.float32) / UNIT - 0.5


def _short(value):
  return round(float(value), 4) if isinstance(value, float) else value


def _rounded(measures):
  return {k: round(float(v), 4) for k, v in measures.items() if not np.isnan(v)}
