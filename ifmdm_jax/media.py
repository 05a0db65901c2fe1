"""Opens films and sounds with FFmpeg: files of this machine alone, formats of a list, one track.

A file from a stranger may be a list of other files, or name an address: such formats are not on the
list, and no protocol but that of files is.
"""

import contextlib
import dataclasses
import math
import os

import numpy as np

from ifmdm_jax import files
from ifmdm_jax.errors import InputError

# What FFmpeg may take a file for. Not here: playlists (hls, dash, concat, sdp), devices, pictures,
# text that FFmpeg would draw, and samples without a header.
FORMATS = (
  'mov,mp4,matroska,webm,avi,mpegts,mpeg,asf,flv,live_flv,kux,ogg,mxf,gxf,dv,nut,nsv,rm,ivr,wtv,ty,'
  'vivo,swf,gif,apng,ivf,obu,av1,h261,h263,h264,hevc,vvc,vc1,dirac,dnxhd,cavsvideo,avs2,avs3,m4v,'
  'mpegvideo,mjpeg,mpjpeg,smjpeg,yuv4mpegpipe,bink,smk,roq,dhav,'
  'wav,w64,aiff,au,caf,flac,mp3,aac,ac3,ac4,eac3,amr,amrnb,amrwb,ape,tak,tta,wv,shn,mpc,mpc8,dts,'
  'dtshd,truehd,mlp,gsm,ilbc,g722,g723_1,g728,g729,voc,iff,oma,sbc,loas,dsf,qcp,rso,sox,nistsphere,'
  'ircam,wve,xwma,vqf,qoa,osq,sln,iff,aptx,aptx_hd,lc3,dss,act,aea,avr,hcom,ace,apc,wsaud,xa'
)
# Their headers say how long they are; of others FFmpeg guesses.
SAY_THEIR_LENGTH = {'mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm', 'wav', 'w64', 'avi', 'flac', 'asf'}
# They say when a packet is to be heard; of others FFmpeg counts what came before.
SAY_TIMES = {
  'mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm', 'mpegts', 'mpeg', 'asf', 'flv', 'live_flv', 'kux',
  'ogg', 'nut', 'rm', 'ivr', 'wtv', 'ty', 'mxf', 'gxf', 'nsv',
}  # fmt: skip
TS_DISCONT = 0x0200  # FFmpeg's flag of a format whose times may jump
JOINED = {'flv', 'live_flv', 'kux'}  # times may start again in them, though FFmpeg does not say so

BACK, AHEAD = 0.5, 10.0  # seconds by which times of a broadcast may differ from what is due
LONGEST_HOLE = 3600.0  # seconds without anything that are believed
LEAD_IN = 0.5  # seconds before zero that a codec needs, and nobody is to see or hear
KINDS = {'audio': 'sound', 'video': 'pictures'}


class MissingStream(InputError):
  """The file can be read, but holds no pictures, or no sound."""


class Undecodable(InputError):
  """FFmpeg does not know what it is."""


class Damaged(InputError):
  """A film cannot be decoded further; `reason` says why."""

  def __init__(self, path, reason, time):
    super().__init__(
      f'expected a whole film, {path} cannot be decoded further than {time:.2f} s ({reason}): '
      'convert it to MP4'
    )
    self.reason = reason


@dataclasses.dataclass
class Flaws:
  """What was wrong with a track, noted while it is read.

  Attributes:
    damaged: packets that could not be decoded, and
    why: not the last of them.
    missing: seconds in which there is nothing, though the track goes on after them.
    first: time of the first of these, seconds.
    end: where the track ends, and
    promised: where its header says that it does; None: it does not say.
    broken: why the file cannot be read further; '': it can.
    track: which one was read, of
    tracks: of its kind in the file.
  """

  damaged: int = 0
  why: str = ''
  missing: float = 0.0
  first: float | None = None
  end: float = 0.0
  promised: float | None = None
  broken: str = ''
  track: int = 1
  tracks: int = 1

  def hole(self, time, seconds):
    """Notes that nothing is there for some seconds."""
    self.missing += seconds
    self.first = time if self.first is None else self.first

  def sentence(self, kind='sound'):
    """Says what is wrong, '' if nothing is."""
    parts = []
    if self.damaged:
      parts.append(f'{self.damaged} packet{"s" * (self.damaged > 1)} of {kind} cannot be decoded')
    if self.missing:
      parts.append(f'{self.missing:.2f} s of {kind} are missing, from {self.first:.2f} s on')
    if self.broken and self.end:
      parts.append(f'{kind} cannot be read further than {self.end:.2f} s ({self.broken})')
    elif self.broken:
      parts.append(f'{kind} cannot be read ({self.broken})')
    elif self.promised is not None and 0 < self.end < self.promised - 1:
      parts.append(
        f'of {kind} {self.end:.2f} s are there, the file promises {self.promised:.2f}: was it cut?'
      )
    return ', '.join(parts)


@contextlib.contextmanager
def opened(path, kind, track=None):
  """Opens a file and chooses a track: yields (container, stream).

  Args:
    path: of a file.
    kind: 'audio' or 'video'.
    track: which one of this kind, 1 is the first; None: the one that is marked as default, else the
      first.

  Raises:
    InputError: there is no such file or track, or nothing can decode it.
  """
  import av  # here: networks and their training run without

  # Absolute: a name with a colon would be taken for a protocol.
  file = os.path.abspath(files.check(path, f'a file with {KINDS[kind]}'))
  lists = {'format_whitelist': FORMATS, 'protocol_whitelist': 'file'}
  try:
    container = av.open(file, metadata_errors='ignore', container_options=lists)
  except (av.error.FFmpegError, OSError) as error:
    refused = isinstance(error, av.error.ArgumentError)
    why = 'neither a sound nor a film that FFmpeg may open' if refused else reason(error)
    raise Undecodable(
      f'expected a file with {KINDS[kind]}, {path} cannot be read '
      f'({why}): convert it to {advice(kind)}'
    ) from error
  with container:
    yield container, _choose(container, path, kind, track)


def tracks(container, kind):
  """Lists the streams of a kind; the picture on the cover of a song is none."""
  cover = getattr(_av().stream.Disposition, 'attached_pic', 0)
  streams = getattr(container.streams, kind)
  return [stream for stream in streams if not int(stream.disposition) & int(cover)]


def _choose(container, path, kind, track):
  streams = tracks(container, kind)
  if not streams:
    raise MissingStream(f'expected a file with {KINDS[kind]}, {path} has none: pass another file')
  if track is not None and not 1 <= track <= len(streams):
    raise InputError(
      f'expected --track 1 to {len(streams)}, got {track}: {path} has {len(streams)} '
      f'track{"s" * (len(streams) > 1)} with {KINDS[kind]}'
    )
  default = _av().stream.Disposition.default
  marked = [s for s in streams if int(s.disposition) & int(default)]
  stream = streams[track - 1] if track else (marked or streams)[0]
  if stream.codec_context is None:
    raise Undecodable(
      f'expected a file with {KINDS[kind]}, nothing here decodes the codec of {path}: '
      f'convert it to {advice(kind)}'
    )
  if kind == 'video':
    stream.thread_type = 'AUTO'
  return stream


def decoded(container, stream, flaws, strict=False):
  """Yields the frames of a track; a packet that cannot be decoded costs itself.

  Args:
    container, stream: of `opened`.
    flaws: `Flaws`, where it is noted.
    strict: raise av.error.FFmpegError instead.

  Raises:
    av.error.FFmpegError: see `strict`.
  """
  av = _av()
  same = tracks(container, stream.type)
  flaws.tracks, flaws.track = len(same), [s.index for s in same].index(stream.index) + 1
  if container.format.name in SAY_THEIR_LENGTH and container.duration:
    length = stream.duration * stream.time_base if stream.duration else None
    flaws.promised = float(length or container.duration / av.time_base)
    if 'matroska' in container.format.name:  # counts from zero, not from where it starts
      flaws.promised -= origin(container)
  for packet in _packets(container, stream, flaws, strict):
    try:
      yield from packet.decode() if packet is not None else stream.codec_context.decode(None)
    except av.error.EOFError:
      return
    except av.error.FFmpegError as error:
      if strict:
        raise
      flaws.damaged, flaws.why = flaws.damaged + 1, reason(error)


def _packets(container, stream, flaws, strict):
  """Yields the packets of a track, None at an end that came too soon."""
  av = _av()
  clock = _Clock() if _restarts(container) else None
  wanted = (
    [s for s in container.streams if s.type in KINDS and s.codec_context] if clock else [stream]
  )
  packets = container.demux(wanted)
  while True:
    try:
      packet = next(packets)
    except StopIteration:
      return
    except (av.error.FFmpegError, OSError) as error:
      if strict:
        raise
      flaws.broken = reason(error)
      yield None
      return
    if clock:
      clock.mend(packet)
    if packet.stream.index == stream.index:
      yield packet


def _restarts(container):
  """Says whether times of a format may wrap round, or start again."""
  flags = getattr(container.format, 'flags', 0)  # a number, in older versions of an enum
  return bool(int(getattr(flags, 'value', flags)) & TS_DISCONT) or container.format.name in JOINED


class _Clock:
  """Lets the times of joined recordings go on; all tracks of a file are moved by the same."""

  def __init__(self):
    self.offsets, self.due = [0.0, 0.0], {}  # seconds: of now, and before the last jump

  def mend(self, packet):
    """Moves the times of a packet."""
    stamp = packet.pts if packet.dts is None else packet.dts
    if stamp is None or not packet.size or not packet.time_base:
      return
    base, track = float(packet.time_base), packet.stream.index
    due = self.due.get(track, stamp * base + self.offsets[0])
    # Tracks do not jump at the same place of the file: one may still be before it.
    offset = min(self.offsets, key=lambda offset: abs(stamp * base + offset - due))
    if not due - BACK <= stamp * base + offset <= due + AHEAD:
      offset = due - stamp * base
      self.offsets = [offset, self.offsets[0]]
    self.due[track] = stamp * base + offset + (packet.duration or 0) * base
    shift = round(offset / base)
    if shift:
      packet.pts = None if packet.pts is None else packet.pts + shift
      packet.dts = None if packet.dts is None else packet.dts + shift


def planes(frame):
  """Returns views of the planes of a planar frame of PyAV, uint8 or uint16 [h, w]."""
  dtype = np.uint16 if frame.format.name.endswith('le') else np.uint8
  views = []
  for plane in frame.planes:
    rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype().itemsize)
    views.append(rows[: plane.height, : plane.width])
  return views


def origin(container):
  """Returns the time at which a film or a sound starts, seconds.

  A codec's lead-in lies just before zero and is passed over; broadcasts start before zero where
  their times wrap round.
  """
  start = (container.start_time or 0) / _av().time_base
  return 0.0 if -LEAD_IN <= start <= 0 and not _restarts(container) else start


def check_hole(seconds, path, kind):
  """Raises an InputError if times jump further ahead than anybody pauses."""
  if not math.isfinite(seconds) or seconds > LONGEST_HOLE:
    raise InputError(
      f'expected {KINDS[kind]} without long gaps, the times of {path} jump by {seconds:.0f} s: '
      f'convert it to {advice(kind)}'
    )


def reason(error):
  """Says why FFmpeg, or the system, could not do it."""
  return getattr(error, 'strerror', None) or type(error).__name__


def advice(kind):
  """Names the format to convert to."""
  return 'WAV' if kind == 'audio' else 'MP4'


def _av():
  import av  # here: networks and their training run without

  return av
