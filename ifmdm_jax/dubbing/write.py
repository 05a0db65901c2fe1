"""Writes a film like another one: its size, colours, times and rotation, and its other tracks."""

from fractions import Fraction

from ifmdm_jax import media
from ifmdm_jax.dubbing import planes
from ifmdm_jax.errors import InputError, note
from ifmdm_jax.video.write import Writer

SUFFIXES = {'.mp4': 'mp4', '.mov': 'mov', '.mkv': 'matroska'}  # FFmpeg's names
KEPT = 'audio', 'subtitle'  # kinds of tracks that go over as they are
QUALITY = {
  'libx264': {'crf': '16', 'preset': 'superfast'},
  'libx265': {'crf': '17', 'preset': 'ultrafast', 'x265-params': 'log-level=error'},
}
TAG = 'hvc1'  # by which Apple's players know HEVC
# What a codec needs before the first sample: these containers can hide it.
EARLY, EDIT_LISTS = 0.2, ('mp4', 'mov')
FINEST = 90_000  # ticks a second of a result whose source counts in finer ones


class FilmWriter(Writer):
  """A context manager: `writer.add(frame, time)` for each frame of PyAV.

  As `video.Writer` the file takes its name only when all is well. A film in HEVC stays HEVC,
  everything else becomes H.264. An odd side is kept, with colours of full size, as both codecs
  have no odd sides otherwise.
  """

  def __init__(self, path, film, rate, sound, metadata, provenance=True):
    """Prepares.

    Args:
      path: *.mp4, *.mov or *.mkv.
      film: `film.Film` that it is to be like.
      rate, sound: Hz, and blocks float32 [n, C] of the new voice; None: the film's sound goes over.
      metadata: container tags.
      provenance: see `video.Writer`.
    """
    super().__init__(path, sound, rate, metadata=metadata, provenance=provenance)
    self.turns = film.rotation // 90
    if self.marker:
      self.marker.shown = film.shown, film.stored
    self.film, self.others, self.last = film, None, -1
    self.format = SUFFIXES[self.path.suffix.lower()]

  def add(self, frame, time):
    """Writes one frame of the film's format and size, which is shown from `time` on, seconds."""
    self._put((frame, time))

  def _encode(self, item, _):
    frame, time = item
    if self.video is None:
      self._start()
    if frame.format.name != self.video.pix_fmt:
      frame = frame.reformat(format=self.video.pix_fmt)
    elif self.origin:
      frame = planes.copied(frame)  # the decoder may need its own
    what = planes.kind(frame)
    self._mark(frame, time, 255 * ((what.largest + 1) // 256) / what.span)
    ticks = max(round(time / self.base), self.last + 1)
    frame.pts, frame.dts, frame.time_base, self.last = ticks, None, self.base, ticks
    frame.pict_type = 0  # the encoder's choice, not the decoder's
    self.container.mux(self.video.encode(frame))
    self._add_sound(until=time)
    self.others.copy(until=time)

  def _start(self):
    film = self.film
    codec = 'libx265' if film.codec == 'hevc' else 'libx264'
    form = film.format
    if any(side % 2 for side in film.size):
      form = planes.FORMAT.sub(r'yuv\g<1>444p\g<3>', form)
    self.base = max(film.time_base, Fraction(1, FINEST))
    self.video = self.container.add_stream(codec, rate=Fraction(film.rate))
    (self.video.width, self.video.height), self.video.pix_fmt = film.size, form
    self.video.options, context = dict(QUALITY[codec]), self.video.codec_context
    context.time_base, context.thread_count = self.base, 0
    context.gop_size = max(1, round(2 * film.rate))  # players can jump to every 2 s
    for name, value in film.colours._asdict().items():
      setattr(context, name, value)
    if film.aspect:
      context.sample_aspect_ratio = film.aspect
    if codec == 'libx265' and self.format != 'matroska':
      context.codec_tag = TAG
    if film.rotation:
      if not hasattr(self.video, 'set_display_rotation'):
        raise InputError(
          f'expected a film that is stored upright, {film.path} is turned by {film.rotation} '
          'degrees: install av 18 or newer, or convert it'
        )
      self.video.set_display_rotation(film.rotation)
    self._open_sound()
    early = EARLY if self.audio is None and self.format in EDIT_LISTS else 0.0
    self.others = _Others(film, self.container, self.path.name, self.audio is not None, early)
    if self.audio is not None:
      self._add_block(self.first)

  def _finish(self):
    self._add_sound(until=float('inf'))
    self.others.copy(until=float('inf'))
    super()._finish()

  def _discard(self):
    if self.others is not None:
      self.others.close()
    super()._discard()


class _Others:
  """The other tracks of a film, which go over as they are."""

  def __init__(self, film, target, name, voiced=True, early=0.0):
    """Adds them to the container `target`, and says which ones it cannot hold.

    Args:
      voiced: whether the sound that players would take is replaced.
      early: seconds before the film's start from which packets are taken.
    """
    self.target, self.copies, self.early, lost = target, {}, early, []
    self.opened = media.opened(film.path, 'video')
    self.source, _ = self.opened.__enter__()
    sounds = media.tracks(self.source, 'audio')
    default = [stream for stream in sounds if int(stream.disposition) & 1]
    replaced = [stream.index for stream in [*default, *sounds][:voiced]]  # that players would take
    for stream in self.source.streams:
      if stream.index in (film.index, *replaced):
        continue
      context = stream.codec_context
      codec = (
        'unknown' if context is None else getattr(context.codec, 'canonical_name', context.name)
      )
      if stream.type not in KEPT or codec not in target.supported_codecs:
        lost.append(f'{stream.type} ({codec})')
        continue
      self.copies[stream.index] = copy = target.add_stream_from_template(stream)
      if language := stream.metadata.get('language'):
        copy.metadata['language'] = language
    if lost:
      note(f'not kept, as {name} cannot hold them: {", ".join(lost)}')
    self.packets = self._timed()
    self.next = next(self.packets, None)

  def copy(self, until):
    """Writes what comes before a time, seconds."""
    while self.next is not None and self.next[0] <= until:
      self.target.mux(self.next[1])
      self.next = next(self.packets, None)

  def _timed(self):
    """Yields (seconds, packet)."""
    streams = [self.source.streams[index] for index in self.copies]
    if not streams:
      return
    origin = media.origin(self.source)
    for packet in self.source.demux(streams):
      if packet.dts is None:
        continue
      shift = round(origin / packet.time_base)
      packet.dts -= shift
      packet.pts = None if packet.pts is None else packet.pts - shift
      time = float(packet.dts * packet.time_base)
      if time >= -self.early:
        packet.stream = self.copies[packet.stream.index]
        yield time, packet

  def close(self):
    """Closes the film."""
    opened, self.opened = self.opened, None
    if opened is not None:
      opened.__exit__(None, None, None)
