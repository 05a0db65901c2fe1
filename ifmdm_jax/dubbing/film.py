"""Reads a film to be dubbed: every frame as it is stored, at its own time, once or many times."""

import itertools
from typing import NamedTuple

import numpy as np

from ifmdm_jax import media
from ifmdm_jax.dubbing import planes
from ifmdm_jax.errors import InputError, note
from ifmdm_jax.video import read

SEEKABLE = {'mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm'}  # where times stand still
BACKWARDS = 16  # frames that are held to show a film backwards
BT709, LIMITED = 1, 1  # FFmpeg's numbers


class Colours(NamedTuple):
  """What a film says about its colours, in FFmpeg's numbers."""

  colorspace: int
  color_primaries: int
  color_trc: int
  color_range: int


class Film:
  """A film in a file.

  Attributes:
    path, container: of it, and FFmpeg's name for what it is.
    hdr, interlaced: whether its colours are of high dynamic range, its frames two half frames.
    codec: FFmpeg's name.
    size: (width, height) of the frames as stored.
    aspect: of a pixel, a Fraction or None.
    rotation: degrees by which players turn it, counterclockwise.
    shown: (width, height) of the frames as players show them.
    stored: [2, 3], from places of a frame as shown to places of a frame as stored.
    format: FFmpeg's name of the frames as they come from here.
    colours: `Colours`.
    rate, time_base: frames a second on average, and the unit of times; Fractions.
    length, count: seconds and frames, by the header; 0: it does not say.
    times: float64 [T], seconds from the start; None: not known yet, see `all_times`.
    end: seconds from the start at which the last frame ends.
  """

  def __init__(self, path):
    """Reads the header and the first frame.

    Raises:
      InputError: there is no film, or it has no frame.
    """
    self.path, self.times, self.end = path, None, 0.0
    with media.opened(path, 'video') as (container, stream):
      self.container, self.codec = container.format.name, stream.codec_context.name
      self.aspect = stream.sample_aspect_ratio or None
      self.time_base, self.rate = stream.time_base, stream.average_rate or read.FPS
      length = stream.duration * stream.time_base if stream.duration else None
      length = length or (container.duration or 0) / 1_000_000
      self.length = float(length)
      self.count = stream.frames or round(length * self.rate)
      self.index = stream.index
    self.format = self.size = self.colours = None
    self.interlaced = False
    first = next(self._frames(), None)
    if first is None:
      raise InputError(f'expected a video, {path} holds no frames: pass another file')
    _, frame, raw = first
    if read.mirrored(raw):
      raise InputError(f'expected a film that is not shown as in a mirror, {path} is: convert it')
    self.hdr = raw.color_trc in read.HDR
    self.rotation = round(raw.rotation / 90) % 4 * 90
    self.seekable = self.container in SEEKABLE
    self.shown, self.stored = _as_shown(self.size, self.aspect, self.rotation)

  def say(self):
    """Notes what will not be as it was."""
    if self.hdr:
      note(f'{self.path} is HDR: the result has standard dynamic range')
    if self.interlaced:
      note(f'{self.path} is interlaced: the result has whole frames')

  def line(self):
    """Says what it is, in a line."""
    turned = f', turned by {self.rotation} degrees' if self.rotation else ''
    return (
      f'{self.path}: {self.size[0]} x {self.size[1]}{turned}, {self.codec} {self.format}, '
      f'{float(self.rate):.3f} frames per second, {self.end:.2f} s'
    )

  def _prepare(self, frame):
    """Chooses, by the first frame, how all of them come."""
    self.size = frame.width, frame.height
    name = frame.format.name
    if frame.color_trc in read.HDR:
      self.format, self.colours = 'yuv420p', Colours(BT709, BT709, BT709, LIMITED)
      return
    self.colours = Colours(*(int(getattr(frame, each) or 0) for each in Colours._fields))
    if planes.FORMAT.fullmatch(name):
      self.format = name
      return
    across, down = (64 // side(64) for side in (frame.format.chroma_width,
                                               frame.format.chroma_height))  # fmt: skip
    sampling = {(2, 2): '20', (2, 1): '22'}.get((across, down), '44' if across < 4 else '20')
    sampling = '20' if len(frame.format.components) < 3 else sampling  # grey
    deep = max(part.bits for part in frame.format.components) > 8
    if frame.format.is_rgb:
      self.colours = Colours(BT709, BT709, BT709, LIMITED)
    self.format = f'yuv4{sampling}p{"10le" if deep else ""}'

  def _frames(self, first=0):
    """Yields (seconds or None, frame in `format`, frame as decoded)."""
    import av  # here: networks and their training run without
    from av.video.reformatter import VideoReformatter  # see above

    flaws = media.Flaws()
    try:
      with media.opened(self.path, 'video') as (container, stream):
        origin, convert = media.origin(container), VideoReformatter()
        if first:
          start = round((self.times[first] + origin) / stream.time_base)
          container.seek(start, stream=stream, backward=True)
        decoded = media.decoded(container, stream, flaws, strict=True)
        for raw in read.progressive(self._watched(decoded), stream):
          if self.format is None:
            self._prepare(raw)
          time = None if raw.time is None else raw.time - origin
          yield time, self._converted(convert, raw), raw
    except av.error.FFmpegError as error:
      raise media.Damaged(self.path, media.reason(error), flaws.end or self.end) from error
    self.promised = flaws.promised

  def _watched(self, frames):
    """Notes whether frames are two half frames at once."""
    for frame in frames:
      self.interlaced = self.interlaced or bool(frame.interlaced_frame)
      yield frame

  def _converted(self, convert, raw):
    size = dict(width=self.size[0], height=self.size[1])
    if raw.color_trc in read.HDR:
      return read.tone_mapped(convert, raw, self.path, format='yuv420p', dst_colorspace=BT709,
                              dst_color_range=LIMITED, **size)  # fmt: skip
    if raw.format.name == self.format and (raw.width, raw.height) == self.size:
      return raw
    colours = dict(dst_colorspace=BT709, dst_color_range=LIMITED) if raw.format.is_rgb else {}
    return convert.reformat(raw, format=self.format, **size, **colours)

  def all_times(self):
    """Yields all frames from the first on, and notes their times.

    Raises:
      InputError: the film breaks off, or its times jump by hours.
    """
    times, spacing, known = [], float(1 / self.rate), True
    for time, frame, _ in self._frames():
      last = times[-1] if times else 0.0
      known = known and time is not None
      time = last + (spacing if times else 0.0) if time is None else time
      media.check_hole(time - last, self.path, 'video')
      if times and time > last:
        spacing = time - last
      # Times that stand still, or go back, are moved on by the least that can be written.
      time = max(time, last + float(self.time_base)) if times else max(time, 0.0)
      times.append(time)
      self.end = time + spacing
      yield frame
    self.seekable = self.seekable and known and not self.interlaced
    self.times = np.array(times)
    self._check_whole()

  def _check_whole(self):
    """Raises InputError where there is less than the header promises."""
    if 'matroska' in self.container:  # there the header's is the longest track's
      with media.opened(self.path, 'video') as (_, stream):
        self.promised = _seconds(stream.metadata.get('DURATION'))
    if self.promised and self.end < self.promised - 1:
      raise InputError(
        f'expected a whole film, {self.path} ends after {self.end:.2f} s and promises '
        f'{self.promised:.2f}: was it cut? Fetch it again, or convert what is there to MP4'
      )

  def frames(self, first=0, last=None):
    """Yields the frames of numbers `first` to `last`, the latter left out; None: to the end."""
    last = len(self.times) if last is None else last
    if first >= last:
      return
    source, number = self._found(first)
    for _, frame, _ in source:
      if number >= first:
        yield frame
      number += 1
      if number >= last:
        return
    raise InputError(f'expected the film that was read before, {self.path} has changed: start anew')

  def _found(self, first):
    """Returns frames as `_frames`, the first of them `first` or before it, and its number."""
    if not self.seekable or first == 0:
      return self._frames(), 0
    source = self._frames(first)
    opening = next(source, None)
    slack = 1.5 * float(self.time_base)
    if opening is not None and opening[0] is not None:
      number = int(np.searchsorted(self.times, opening[0] - slack))
      near = number < len(self.times) and abs(self.times[number] - opening[0]) <= slack
      if near and number <= first:
        return itertools.chain([opening], source), number
    source.close()
    return self._frames(), 0  # from the start is always right

  def at(self, numbers):
    """Yields the frames of any numbers, int [N], in that order; few are held at a time."""
    start = 0
    while start < len(numbers):
      stop = start + 1
      forward = stop == len(numbers) or numbers[stop] >= numbers[start]
      step = (0, 1) if forward else (-1,)
      while stop < len(numbers) and numbers[stop] - numbers[stop - 1] in step:
        stop += 1
      part = numbers[start:stop]
      yield from self._forwards(part) if forward else self._backwards(part)
      start = stop

  def _forwards(self, numbers):
    source, frame, last = self.frames(int(numbers[0]), int(numbers[-1]) + 1), None, None
    for number in numbers:
      if number != last:
        frame, last = next(source), number
      yield frame

  def _backwards(self, numbers):
    for start in range(0, len(numbers), BACKWARDS):
      part = numbers[start : start + BACKWARDS]
      yield from reversed(list(self.frames(int(part[-1]), int(part[0]) + 1)))


def _as_shown(size, aspect, rotation):
  """Returns (width, height) as shown, and the map from there to the stored frame."""
  aspect = float(aspect) if aspect and 0.1 <= aspect <= 10 else 1.0
  wide, high = max(aspect, 1.0), max(1 / aspect, 1.0)
  width, height = round(size[0] * wide), round(size[1] * high)
  back = np.diag([size[0] / width, size[1] / height]) @ np.eye(2, 3)
  turned = {
    0: np.array([[1, 0, 0], [0, 1, 0]]),
    90: np.array([[0, -1, width], [1, 0, 0]]),
    180: np.array([[-1, 0, width], [0, -1, height]]),
    270: np.array([[0, 1, 0], [-1, 0, height]]),
  }[rotation]
  shown = (height, width) if rotation in (90, 270) else (width, height)
  return shown, planes.compose(back, turned.astype(np.float64))


def _seconds(text):
  """Reads Matroska's '00:01:02.5'; None where it is something else."""
  try:
    hours, minutes, seconds = str(text).split(':')
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
  except ValueError:
    return None
