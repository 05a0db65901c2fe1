"""The other candidate for frames in records: H.264 in memory with a keyframe every few frames."""

import io
from fractions import Fraction

import numpy as np

FPS = 25
KEYFRAME = 8  # frames from one keyframe to the next
BT709 = 1  # FFmpeg's number


class Encoder:
  """Writes a square video to a file or file-like object; a context manager.

  Args:
    target: a path, or a binary file open for writing and seeking.
    size: side of the frames, pixels; even.
    crf: quality of x264, 18 can hardly be distinguished from the original.
  """

  def __init__(self, target, size, crf=18, keyframe=KEYFRAME, preset='veryfast'):
    import av

    self.container = av.open(target, 'w', format='mp4')
    self.stream = self.container.add_stream('libx264', rate=FPS)
    self.stream.width = self.stream.height = size
    self.stream.pix_fmt = 'yuv420p'
    self.stream.options = {'crf': str(crf), 'preset': preset, 'bf': '0', 'threads': '1'}
    context = self.stream.codec_context
    context.gop_size, context.time_base = keyframe, Fraction(1, FPS)
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = 1
    self.count = 0

  def add(self, frame):
    """One uint8 RGB frame [size, size, 3]."""
    import av
    from av.video.reformatter import Colorspace

    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), 'rgb24')
    picture = picture.reformat(format='yuv420p', dst_colorspace=Colorspace.ITU709)
    picture.pts, picture.time_base = self.count, Fraction(1, FPS)
    self.container.mux(self.stream.encode(picture))
    self.count += 1

  def __enter__(self):
    return self

  def __exit__(self, kind, *_):
    if kind is None:
      self.container.mux(self.stream.encode(None))
    self.container.close()


def encode(frames, **options):
  """uint8 RGB [T, R, R, 3] -> bytes."""
  file = io.BytesIO()
  with Encoder(file, len(frames[0]), **options) as encoder:
    for frame in frames:
      encoder.add(frame)
  return file.getvalue()


class Frames:
  """Reads what `Encoder` wrote like an array: `frames[7]`, `frames[[7, 90, 3]]`, `frames[:16]`.

  Args:
    data: the bytes of the file.
    count: frames in it.
    size: side that the frames are brought to, pixels; None: as stored.
  """

  def __init__(self, data, count, size=None):
    self.data, self.count, self.size = data, count, size

  def __len__(self):
    return self.count

  def __getitem__(self, index):
    if isinstance(index, slice):
      index = range(*index.indices(self.count))
    if np.ndim(index) == 0:
      return self._decode([self._checked(index)])[0]
    return self._decode([self._checked(i) for i in index])

  def __array__(self, dtype=None, copy=None):
    return self[:].astype(dtype or np.uint8)

  def _checked(self, index):
    index = int(index)
    if not -self.count <= index < self.count:
      raise IndexError(f'frame {index} of {self.count}')
    return index % self.count

  def _decode(self, wanted):
    """In order of time, so that neighbours share their keyframe."""
    import av
    from av.video.reformatter import Colorspace

    found = {}
    with av.open(io.BytesIO(self.data)) as container:
      stream = container.streams.video[0]
      stream.thread_type, stream.codec_context.thread_count = 'NONE', 1  # loaders have threads
      tick = int(1 / (FPS * stream.time_base))
      stored, at, decoder = None, None, None
      for number in sorted(set(wanted)):
        # Decode on from where we are, unless a keyframe lies between.
        if at is None or number // KEYFRAME != at // KEYFRAME:
          container.seek(number * tick, stream=stream)
          decoder = container.decode(stream)
          at = None
        while at is None or at < number:
          stored = next(decoder)
          at = stored.pts // tick
        side = self.size or stored.width
        found[number] = stored.to_ndarray(
          format='rgb24', width=side, height=side, interpolation='AREA',
          src_colorspace=Colorspace.ITU709,
        )  # fmt: skip
    frames = [found[number] for number in wanted]
    return np.stack(frames) if frames else np.zeros((0, 0, 0, 3), np.uint8)
