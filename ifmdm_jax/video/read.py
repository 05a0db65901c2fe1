"""Reads films: frames on an even 25 fps grid, as they are meant to be seen, and their sound.

Both are streams: an hour costs no more memory than a second. Time zero is the start of the
container, for pictures and sound alike, so a sound that begins later keeps its delay.
"""

from collections.abc import Iterator

import numpy as np

from ifmdm_jax import media
from ifmdm_jax.audio.sound import audio, audio_blocks, mono_blocks
from ifmdm_jax.errors import InputError
from ifmdm_jax.media import MissingStream
from ifmdm_jax.rates import FPS

__all__ = [
  'SUFFIXES', 'MissingStream', 'audio', 'audio_blocks', 'frames', 'mono_blocks', 'read_frames',
]  # fmt: skip

# Of films, lower case: whatever FFmpeg opens that may hold pictures that move.
SUFFIXES = set(
  '.mp4 .mov .mkv .webm .avi .m4v .qt .3gp .3g2 .f4v .mj2 .ism .ismv .mk3d .divx .xvid .ts .mts '
  '.m2ts .m2t .tod .trp .mpg .mpeg .mpe .mpv .m1v .m2v .m2p .mod .vob .wmv .asf .flv .kux .ogv '
  '.ogm .mxf .gxf .dv .dif .nut .nsv .rm .rmvb .ivr .wtv .ty .viv .ivf .obu .h261 .h263 .h264 .264 '
  '.h26l .avc .h265 .265 .hevc .h266 .266 .vvc .vc1 .drc .mjpeg .mjpg .y4m .bik .smk .roq .dav '
  '.gif .amv .insv .lrv'.split()
)
MOST_PIXELS = 2**26  # of a frame
HDR = {16: 'PQ', 18: 'HLG'}  # transfer functions, as FFmpeg counts them
WIDE = {9, 11, 12}  # primaries of BT.2020 and P3
BT709, SRGB = 1, 13


def frames(path, fps=FPS, threads=0, flaws=None) -> Iterator[np.ndarray]:
  """Yields uint8 RGB [H, W, 3]: for every 1/fps the frame nearest in time, by true timestamps.

  Variable frame rates, dropped frames and 29.97 fps come out right; 25 fps comes out untouched.
  Frames are as players show them: turned as phones say, with square pixels, in sRGB if they are
  HDR, without the combs of interlacing, and all of the first one's size. The number of frames is
  round(seconds * fps). Each of the decoder's `threads` (0: one per core) holds a frame or two of
  its own. In `flaws`, a `media.Flaws`, stands where they end.

  Raises:
    InputError: there is no film; `media.Damaged` where it breaks off.
  """
  import av  # here: networks and their training run without

  flaws = media.Flaws() if flaws is None else flaws
  try:
    yield from _even(path, fps, threads, flaws)
  except av.error.FFmpegError as error:
    raise media.Damaged(path, media.reason(error), flaws.end) from error


def _even(path, fps, threads, flaws):
  with media.opened(path, 'video') as (container, stream):
    stream.codec_context.thread_count = threads
    origin, show = media.origin(container), _Shown(stream, path)
    number, last, last_time, end = 0, None, 0.0, 0.0
    spacing = float(1 / stream.average_rate) if stream.average_rate else 1 / fps
    decoded = media.decoded(container, stream, flaws, strict=True)
    for frame in progressive(decoded, stream):
      time = last_time + spacing if frame.time is None else frame.time - origin
      media.check_hole(time - last_time, path, 'video')
      if last is not None:  # all ticks that are nearer to `last`
        while number / fps < (last_time + time) / 2:
          yield last
          number += 1
        if time > last_time:
          spacing = time - last_time
      last, last_time, end = show(frame), time, time + spacing
      flaws.end = end
    if last is None:
      raise InputError(f'expected a video, {path} holds no frames: pass another file')
    # A frame shown for half a tick too short is a rounding of timestamps, not an end.
    while number < max(1, round(end * fps)):
      yield last
      number += 1


def read_frames(path, fps=FPS):
  """Reads a whole short video, uint8 [T, H, W, 3]."""
  return np.stack(list(frames(path, fps)))


class _Shown:
  """Decoded frames as they are meant to be seen: uint8 RGB [H, W, 3] of one size."""

  def __init__(self, stream, path):
    from av.video.reformatter import VideoReformatter  # here: networks run without

    self.convert, self.path = VideoReformatter(), path
    aspect = stream.sample_aspect_ratio
    self.aspect = float(aspect) if aspect and 0.1 <= aspect <= 10 else 1.0  # of a pixel
    self.size = None

  def __call__(self, frame):
    if self.size is None:
      wide, high = max(self.aspect, 1.0), max(1 / self.aspect, 1.0)
      self.size = round(frame.width * wide), round(frame.height * high)
      if self.size[0] * self.size[1] > MOST_PIXELS:
        raise InputError(
          f'expected frames of at most {MOST_PIXELS / 1e6:.0f} megapixels, {self.path} has '
          f'{self.size[0]} x {self.size[1]}: make it smaller'
        )
    options = dict(width=self.size[0], height=self.size[1], format='rgb24')
    if frame.color_trc in HDR:
      shown = tone_mapped(self.convert, frame, self.path, **options)
    else:
      # FFmpeg's guess for untagged video is BT.601; HD video is BT.709 and says so.
      colorspace = BT709 if int(frame.colorspace) == BT709 else None
      shown = self.convert.reformat(frame, src_colorspace=colorspace, **options)
    image = shown.to_ndarray()
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90) % 4))


def tone_mapped(convert, frame, path, **options):
  """Converts an HDR frame to the colours of sRGB.

  Args:
    convert: PyAV's VideoReformatter.
    frame: of PyAV, whose transfer function is one of HDR.
    path: of the film, for messages.
    options: of the reformatter: width, height, format.

  Raises:
    InputError: the installed FFmpeg cannot.
  """
  import av  # here: networks and their training run without

  # Older ones took the names of colours for a label.
  if int(av.__version__.split('.')[0]) < 17:
    raise InputError(
      f'expected a film of standard dynamic range, {path} is HDR ({HDR[frame.color_trc]}): '
      'install av 17 or newer, or convert it'
    )
  try:
    return convert.reformat(frame, dst_color_trc=SRGB, dst_color_primaries=BT709, **options)
  except av.error.FFmpegError as error:
    raise InputError(
      f'expected a film of standard dynamic range, {path} is HDR ({HDR[frame.color_trc]}) '
      f'and cannot be converted ({media.reason(error)}): convert it'
    ) from error


def progressive(frames, stream):
  """Yields decoded frames, those that are two half frames at once without their combs.

  Args:
    frames: of PyAV, in order.
    stream: that they are of.
  """
  import av  # here: networks and their training run without

  graph = kind = None
  for frame in frames:
    if graph is None and not frame.interlaced_frame:
      yield frame
      continue
    if (frame.width, frame.height, frame.format.name) != kind:
      if graph is not None:
        yield from _pulled(graph, None)
      kind = frame.width, frame.height, frame.format.name
      graph = av.filter.Graph()
      buffer = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=stream.time_base
      )
      graph.link_nodes(buffer, graph.add('bwdif', 'mode=send_frame:deint=interlaced'),
                       graph.add('buffersink')).configure()  # fmt: skip
    yield from _pulled(graph, frame)
  if graph is not None:
    yield from _pulled(graph, None)


def _pulled(graph, frame):
  import av  # here: networks and their training run without

  graph.push(frame)
  while True:
    try:
      yield graph.pull()
    except (av.error.BlockingIOError, av.error.EOFError):
      return
