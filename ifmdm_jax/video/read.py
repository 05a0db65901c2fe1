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


def frames(path, fps=FPS, threads=0, flaws=None, blank=False) -> Iterator[np.ndarray]:
  """Yields uint8 RGB [H, W, 3]: for every 1/fps the frame nearest in time, by true timestamps.

  Variable frame rates, dropped frames and 29.97 fps come out right; 25 fps comes out untouched.
  Frames are as players show them: turned and mirrored as phones say, with square pixels, in sRGB if
  they are HDR, without the combs of interlacing, and all of the first one's size. The number of
  frames is round(seconds * fps). Where packets are damaged, what can be decoded is at its time, and
  the last good frame stands until then.

  Args:
    path: of a film.
    fps: of what is yielded.
    threads: of the decoder, each holds a frame or two of its own; 0: one per core.
    flaws: a `media.Flaws`, in which stands what is wrong, and where they end.
    blank: yield black frames where there is none that is good.

  Raises:
    InputError: there is no film; `media.Damaged` where it breaks off.
  """
  import av  # here: networks and their training run without

  flaws = media.Flaws() if flaws is None else flaws
  try:
    yield from _even(path, fps, threads, flaws, blank)
  except av.error.FFmpegError as error:
    raise media.Damaged(path, media.reason(error), flaws.end) from error


def _even(path, fps, threads, flaws, blank):
  with media.opened(path, 'video') as (container, stream):
    stream.codec_context.thread_count = threads
    origin, show = media.origin(container), _Shown(stream, path)
    number, last, last_time, end = 0, None, 0.0, 0.0
    spacing = float(1 / stream.average_rate) if stream.average_rate else 1 / fps
    good = _Good(media.decoded(container, stream, flaws), flaws)
    for frame in progressive(good, stream):
      time = last_time + spacing if frame.time is None else frame.time - origin
      media.check_hole(time - last_time, path, 'video')
      if last is not None and good.lost and time > last_time + 1.5 * spacing:
        flaws.hole(last_time + spacing, time - last_time - spacing)
        while number / fps < last_time + spacing / 2:
          yield last
          number += 1
        while number / fps < time - spacing / 2:
          yield np.zeros_like(last) if blank else last
          number += 1
      elif last is not None:  # all ticks that are nearer to `last`
        while number / fps < (last_time + time) / 2:
          yield last
          number += 1
        if time > last_time:
          spacing = time - last_time
      last, last_time, end = show(frame), time, time + spacing
      flaws.end = end
    if flaws.broken or good.waiting:
      raise media.Damaged(path, flaws.broken or flaws.why, flaws.end)
    if last is None:
      raise InputError(f'expected a video, {path} holds no frames: pass another file')
    # A frame shown for half a tick too short is a rounding of timestamps, not an end.
    while number < max(1, round(end * fps)):
      yield last
      number += 1


def read_frames(path, fps=FPS):
  """Reads a whole short video, uint8 [T, H, W, 3]."""
  return np.stack(list(frames(path, fps)))


class _Good:
  """Iterates over decoded frames but those that were decoded from damaged ones.

  Attributes:
    waiting: for a frame that needs no other, since a packet was damaged.
    lost: whether frames may be missing for that.
  """

  def __init__(self, decoded, flaws):
    self.decoded, self.flaws = decoded, flaws
    self.seen, self.keys, self.waiting, self.lost = 0, 0, False, False

  def __iter__(self):
    for frame in self.decoded:
      self._look()
      if self.waiting and not frame.key_frame:
        continue
      # Decoders differ in what they still give: the hole may be before the second such frame.
      self.keys += frame.key_frame
      self.waiting, self.lost = False, self.lost and self.keys <= 2
      yield frame
    self._look()

  def _look(self):
    if self.flaws.damaged > self.seen:
      self.seen, self.keys, self.waiting, self.lost = self.flaws.damaged, 0, True, True


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
    return np.ascontiguousarray(_upright(image, frame))


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


def _upright(image, frame):
  """Turns and mirrors pixels [H, W, 3] as a film says; to quarters of a turn."""
  a, b, c, d = _display(frame)
  if abs(int(b)) + abs(int(c)) > abs(int(a)) + abs(int(d)):
    image, a, d = image.swapaxes(0, 1), c, b
  return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def mirrored(frame):
  """Says whether players show a frame as in a mirror."""
  a, b, c, d = map(float, _display(frame))
  return a * d - b * c < 0


def _display(frame):
  """Reads (a, b, c, d) of where players show a pixel: x' = a x + c y, y' = b x + d y."""
  said = [data for data in frame.side_data if data.type.name == 'DISPLAYMATRIX']
  if not said:
    return 1, 0, 0, 1
  a, b, _, c, d = np.frombuffer(bytes(said[0]), np.int32)[:5]
  return a, b, c, d


def progressive(frames, stream):
  """Yields frames, those that are two half frames at once without their combs."""
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
