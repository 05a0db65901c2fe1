"""Frames on an even 25 fps grid and sound blocks out of any file that FFmpeg opens.

Both are streams: an hour costs no more memory than a second. Time zero is the start of the
container, for pictures and sound alike, so a sound that begins later keeps its delay.
"""

import contextlib
import pathlib
from collections.abc import Iterator

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.rates import FPS

SUFFIXES = {'.mp4', '.mov', '.mkv', '.webm', '.avi', '.m4v'}  # of video files, lower case


class MissingStream(InputError):
  """The file can be read, but holds no pictures, or no sound."""


def frames(path, fps=FPS, threads=0) -> Iterator[np.ndarray]:
  """Yields uint8 RGB [H, W, 3]: for every 1/fps the frame nearest in time, by true timestamps.

  Variable frame rates, dropped frames and 29.97 fps come out right; 25 fps comes out untouched.
  Rotation stored by phones is applied. The number of frames is round(seconds * fps). Each of the
  decoder's `threads` (0: one per core) holds a frame or two of its own.
  """
  with _open(path, 'video') as (container, stream):
    stream.codec_context.thread_count = threads
    origin = _origin(container)
    number, last, last_time, end = 0, None, 0.0, 0.0
    spacing = float(1 / stream.average_rate) if stream.average_rate else 1 / fps
    for frame in container.decode(stream):
      time = last_time + spacing if frame.time is None else frame.time - origin
      if last is not None:  # all ticks that are nearer to `last`
        while number / fps < (last_time + time) / 2:
          yield last
          number += 1
        if time > last_time:
          spacing = time - last_time
      last, last_time, end = _to_rgb(frame), time, time + spacing
    if last is None:
      raise InputError(f'expected a video, {path} holds no frames: pass another file')
    # A frame shown for half a tick too short is a rounding of timestamps, not an end.
    while number < max(1, round(end * fps)):
      yield last
      number += 1


def read_frames(path, fps=FPS):
  """A whole short video, uint8 [T, H, W, 3]."""
  return np.stack(list(frames(path, fps)))


def _to_rgb(frame):
  from av.video.reformatter import Colorspace  # see above

  # FFmpeg's guess for untagged video is BT.601; HD video is BT.709 and says so.
  source = Colorspace.ITU709 if int(frame.colorspace) == 1 else None
  image = frame.to_ndarray(format='rgb24', src_colorspace=source)
  return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90) % 4))


def audio_blocks(path) -> tuple[int, Iterator[np.ndarray]]:
  """Sample rate and float32 blocks [n, C], C = 1 or 2, as recorded (more channels: mixed to 2)."""
  try:
    with _open(path, 'audio') as (_, stream):
      rate, channels = stream.rate, min(2, stream.channels)
  except InputError:
    rare = _libsndfile_blocks(path)  # a few formats only libsndfile knows
    if rare is None:
      raise
    return rare

  def blocks():
    import av  # here: networks and their training run without

    with _open(path, 'audio') as (container, stream):
      origin, started = _origin(container), False
      layout = 'mono' if channels == 1 else 'stereo'
      to_float = av.AudioResampler(format='fltp', layout=layout, rate=rate)
      for frame in container.decode(stream):
        if not started:
          delay = round(max(0.0, (frame.time or 0.0) - origin) * rate)
          if delay:
            yield np.zeros((delay, channels), np.float32)
          started = True
        for piece in to_float.resample(frame):
          yield piece.to_ndarray().T
      for piece in to_float.resample(None) if started else ():
        yield piece.to_ndarray().T

  return rate, _explained(blocks(), path)


def _libsndfile_blocks(path, size=65536):
  try:
    import soundfile  # here: networks and their training run without

    rate = soundfile.info(str(path)).samplerate
  except (ImportError, RuntimeError):  # LibsndfileError is a RuntimeError
    return None
  blocks = soundfile.blocks(str(path), blocksize=size, dtype='float32', always_2d=True)
  return rate, (block if block.shape[1] < 3 else block.mean(1, keepdims=True) for block in blocks)


def audio(path, sample_rate=16_000):
  """The sound as mono float32 [L] at `sample_rate`; an hour at 16 kHz is 230 MB.

  Raises:
    InputError: no file, no sound in it, no samples, or samples that are NaN or infinite.
  """
  return np.concatenate(list(mono_blocks(path, sample_rate)))


def mono_blocks(path, sample_rate=16_000):
  """The same block by block, [n] each: memory does not grow with the recording."""
  import soxr  # here: networks and their training run without

  rate, blocks = audio_blocks(path)
  resampler, seen = soxr.ResampleStream(rate, sample_rate, 1, dtype='float32'), 0
  for block in blocks:
    if not np.isfinite(block).all():
      bad = seen + int(np.argmin(np.isfinite(block).all(1)))
      raise InputError(
        f'expected finite samples, {path} has NaN or infinite ones from '
        f'{bad / rate:.3f} s on: repair the sound'
      )
    seen += len(block)
    mono = np.ascontiguousarray(block.mean(1))
    yield mono if rate == sample_rate else resampler.resample_chunk(mono)
  if not seen:
    raise InputError(f'expected sound, {path} holds no samples: pass another file')
  if rate != sample_rate:
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _origin(container):
  import av  # here: networks and their training run without

  return max(0, container.start_time or 0) / av.time_base  # a codec's lead-in is negative: skip it


@contextlib.contextmanager
def _open(path, kind):
  """(container, its first stream of that kind), or an InputError that names the file."""
  import av  # here: networks and their training run without

  path = pathlib.Path(path)
  if not path.is_file():
    raise InputError(f'expected a file with {kind}, {path} is not a file: check the path')
  try:
    container = av.open(str(path), metadata_errors='ignore')
  except (av.error.FFmpegError, OSError) as error:
    raise InputError(
      f'expected a file with {kind}, {path} cannot be read '
      f'({_reason(error)}): convert it to {_advice(kind)}'
    ) from error
  with container:
    streams = getattr(container.streams, kind)
    if not streams:
      raise MissingStream(f'expected a file with {kind}, {path} has none: pass another file')
    if kind == 'video':
      streams[0].thread_type = 'AUTO'
    yield container, streams[0]


def _explained(blocks, path):
  """Damaged sound in the middle of a file: the same one line, not FFmpeg's traceback."""
  import av  # here: networks and their training run without

  try:
    yield from blocks
  except av.error.FFmpegError as error:
    raise InputError(
      f'expected a file with audio, {path} is damaged ({_reason(error)}): convert it to WAV'
    ) from error


def _reason(error):
  return getattr(error, 'strerror', None) or type(error).__name__


def _advice(kind):
  return 'WAV' if kind == 'audio' else 'MP4'
