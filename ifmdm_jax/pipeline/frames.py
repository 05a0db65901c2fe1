"""Frames as WebP pictures in one file: any of them in a few milliseconds, without its neighbours.

H.264 with a keyframe every 8 frames would take three quarters of the bytes and more than twice the
time to read a few frames out of order, which is what training waits for: experiments/data_engine.

A file is the pictures one after the other, then the length of each and their number, as uint32.
"""

import functools
import io

import cv2
import numpy as np

from ifmdm_jax.errors import InputError

QUALITY = 80  # about 40 dB
LARGEST = 4096  # pixels of the side of a frame
LOSSLESS = 101  # six times the bytes, ten times the time to write


class Encoder:
  """Writes frames to a binary file that is open for writing; `finish` makes it whole."""

  def __init__(self, file, quality=QUALITY):
    """Takes the file; `quality`: 1 to 100, or LOSSLESS."""
    self.file, self.lengths, self.options = file, [], [cv2.IMWRITE_WEBP_QUALITY, quality]

  def add(self, frame):
    """Appends one uint8 frame, RGB [R, R, 3] or grey [R, R], read as three equal channels."""
    bgr = np.ascontiguousarray(frame[..., ::-1]) if frame.ndim == 3 else frame
    picture = cv2.imencode('.webp', bgr, self.options)[1]
    self.file.write(picture.tobytes())
    self.lengths.append(picture.size)

  def finish(self):
    """Writes the lengths of the pictures, which the reader needs."""
    self.file.write(np.array([*self.lengths, len(self.lengths)], '<u4').tobytes())

  def close(self):
    """Finishes and closes the file."""
    self.finish()
    self.file.close()


def encode(frames, quality=QUALITY):
  """Returns the bytes of a file of some frames."""
  file = io.BytesIO()
  encoder = Encoder(file, quality)
  for frame in frames:
    encoder.add(frame)
  encoder.finish()
  return file.getvalue()


class Frames:
  """Reads what `Encoder` wrote like an array: `frames[7]`, `frames[[7, 90, 3]]`, `frames[:16]`.

  Args:
    data: the bytes of the file.
    size: side that the frames are brought to, pixels; None: as stored.
  """

  def __init__(self, data, size=None):
    self.data, self.size = memoryview(data), size
    count = int.from_bytes(self.data[-4:], 'little')
    if not 4 * (count + 1) <= len(self.data):
      raise InputError(f'expected pictures in a record, its {len(self.data)} bytes are none')
    lengths = np.frombuffer(self.data[-4 * (count + 1) : -4], '<u4')
    self.ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])

  def __len__(self):
    return len(self.ends) - 1

  @functools.cached_property
  def side(self):
    """Side R of the frames, pixels; nothing is decoded for it."""
    return self.size or _side(self.data)

  @property
  def shape(self):
    """(T, R, R, 3)."""
    return (len(self), self.side, self.side, 3)

  def __getitem__(self, index):
    if isinstance(index, slice):
      index = range(*index.indices(len(self)))
    if np.ndim(index) == 0:
      return self._decode(int(index))
    if not len(index):
      return np.zeros((0, self.side, self.side, 3), np.uint8)
    return np.stack([self._decode(int(i)) for i in index])

  def __array__(self, dtype=None, copy=None):
    return self[:].astype(dtype or np.uint8)

  def _decode(self, index):
    if not -len(self) <= index < len(self):
      raise IndexError(f'frame {index} of {len(self)}')
    index %= len(self)
    picture = self.data[self.ends[index] : self.ends[index + 1]]
    frame = None
    if 30 <= len(picture) and _side(picture) <= LARGEST:
      frame = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if frame is None:
      raise InputError(f'expected {len(self)} pictures in a record, number {index} is damaged')
    frame = frame[..., ::-1]
    if self.size and self.size != len(frame):
      frame = cv2.resize(frame, (self.size, self.size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(frame)


def _side(picture):
  """Longer side of a WebP picture, as its header has it: 14 bits each (RFC 9649)."""
  lossless = picture[12:16] == b'VP8L'  # there they are one less, and without a gap
  if lossless:
    bits = int.from_bytes(picture[21:25], 'little')
    return max(bits & 0x3FFF, bits >> 14 & 0x3FFF) + 1
  width, height = (int.from_bytes(picture[at : at + 2], 'little') for at in (26, 28))
  return max(width & 0x3FFF, height & 0x3FFF)
