"""H.264 + AAC that a browser plays, written frame by frame."""

import os
import queue
import threading
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from ifmdm_jax import errors, files, media
from ifmdm_jax.audio import mix
from ifmdm_jax.errors import InputError
from ifmdm_jax.rates import FPS
from ifmdm_jax.trust import fingerprint, label, manifest
from ifmdm_jax.trust.mark import LIGHT, Marker
from ifmdm_jax.trust.origin import Origin
from ifmdm_jax.video import provenance as says

WAITING = 16  # frames between the maker and the encoder
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


def write(path, frames, waveform=None, sample_rate=16_000, fps=FPS, **options):
  """Writes uint8 RGB frames ([T, H, W, 3] or any iterable of [H, W, 3]) and their sound.

  Args:
    waveform: [L] or [L, C], floats in [-1, 1] or signed integers, never cut short; None: a video
      without sound.
    options: `metadata`, `crf`, `preset`, `provenance` of `Writer`.
  """
  with Writer(path, waveform, sample_rate, fps, **options) as writer:
    for frame in frames:
      writer.add(frame)


class Writer:
  """A context manager: `writer.add(frame)` for each frame, the sound keeps up by itself.

  The file takes its name only when all is well: until then it is a hidden one in the same folder,
  which a failure removes. An odd last row or column is dropped, as H.264 has half-size colour.
  Frames are encoded in a thread of their own, beside whatever makes the next ones: `add` waits only
  when it is many frames ahead, and what goes wrong there is raised by a later `add` or at the end.

  What leaves here carries a mark in its pixels and a signed manifest, see `trust`, unless it is
  written to be measured (`provenance=False`).
  """

  format = 'mp4'  # FFmpeg's name of the container

  def __init__(
    self,
    path,
    waveform=None,
    sample_rate=16_000,
    fps=FPS,
    metadata=None,
    crf=18,
    preset='superfast',
    provenance=True,
  ):
    """Prepares.

    Args:
      waveform: an array [L] or [L, C], or an iterator of blocks [n, C].
      metadata: container tags; None: those of `provenance.metadata`.
      crf, preset: of the encoder.
      provenance: a `trust.origin.Origin`; True: one that knows no more than that a computer drew
        it; False: neither mark nor manifest nor the AIGC tag, for what is to be measured.
    """
    self.path = files.target(path)  # of a link: where it leads
    self.fps, self.sample_rate = fps, int(sample_rate)
    self.origin = (Origin() if provenance is True else provenance) or None
    self.metadata = says.metadata() if metadata is None else metadata
    self.turns = 0  # quarters by which players turn a frame
    self.marker = Marker(self.origin.number) if self.origin and self.origin.marked else None
    self.encoder_options = {'crf': str(crf), 'preset': preset}
    self.blocks = None if waveform is None else _blocks(waveform)
    if self.origin and self.origin.spoken:
      self.blocks = label.spoken_over(self.blocks, self.sample_rate, self.origin.spoken)
    self.num_frames = self.num_samples = 0
    self.container = self.size = None

  def __enter__(self):
    with errors.explained('a file to write', self.path):
      self.temporary = files.temporary(self.path.with_suffix('.mp4'))
      self.signed = files.temporary(self.path.with_name(f'{self.path.stem[:70]}_signed.mp4'))
      for path in (self.temporary, self.signed):
        path.unlink(missing_ok=True)
    try:
      self._open()
    except BaseException:  # a signal, too: nobody calls __exit__ then
      self._discard()
      raise
    return self

  def _open(self):
    import av  # here: networks and their training run without

    try:
      self.temporary.touch(exist_ok=False)  # FFmpeg would only fail at a frame
      place = str(self.temporary.absolute())  # FFmpeg takes the start of `10:30.mp4` for a protocol
      options = {'movflags': '+faststart'}
      if self.origin:
        self.metadata = self.metadata | self.origin.tags()
        options['movflags'] += '+use_metadata_tags'  # else FFmpeg drops tags that it does not know
      options = {} if self.format == 'matroska' else options
      self.container = av.open(place, 'w', format=self.format, container_options=options)
    except OSError as error:
      raise InputError(
        f'expected a folder to write into, {errors.system(error, self.path.parent)}'
      ) from error
    self.container.metadata.update(self.metadata)
    self.video = self.audio = None
    # Two queues in C, of places and of frames: a signal that ends the run may come anywhere, and
    # would leave a lock that Python code holds locked for ever.
    self.places, self.waiting, self.failure = queue.SimpleQueue(), queue.SimpleQueue(), None
    for _ in range(WAITING):
      self.places.put(None)
    self.encoder = threading.Thread(target=self._encode_all, daemon=True)
    self.encoder.start()

  def add(self, frame):
    """One uint8 RGB frame [H, W, 3], not changed afterwards; the first one decides the size."""
    frame = np.asarray(frame)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
      raise InputError(
        f'expected uint8 frames [H, W, 3], got {frame.dtype} {frame.shape}: '
        'convert them to RGB bytes'
      )
    height, width = (side // 2 * 2 for side in frame.shape[:2])
    self.size = self.size or (height, width)
    if (height, width) != self.size:
      raise InputError(
        f'expected frames of {self.size[1]} x {self.size[0]}, '
        f'got {width} x {height}: resize them to one size'
      )
    self._put(frame[:height, :width])

  def _put(self, frame):
    """Hands a frame to the encoder's thread."""
    self._raise_failure()
    self.places.get()
    self.waiting.put(frame)
    self.num_frames += 1

  def _encode_all(self):
    """The encoder's thread: frames from the queue until None; after a failure they are dropped."""
    count = 0
    while (frame := self.waiting.get()) is not None:
      if self.failure is None:
        try:
          self._encode(frame, count)
        except BaseException as error:  # raised again where the frames come from
          self.failure = error
      self.places.put(None)
      count += 1

  def _raise_failure(self):
    if self.failure is not None:
      with errors.explained('a file to write', self.path):
        raise self.failure

  def _encode(self, frame, index):
    import av  # here: networks and their training run without
    from av.video.reformatter import Colorspace  # see above

    if self.video is None:
      self._start(*frame.shape[:2])
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), 'rgb24')
    picture = picture.reformat(format='yuv420p', dst_colorspace=Colorspace.ITU709)
    self._mark(picture, index / self.fps)
    picture.pts, picture.time_base = index, 1 / Fraction(self.fps)
    self.container.mux(self.video.encode(picture))
    self._add_sound(until=(index + 1) / self.fps)

  def _mark(self, picture, time, scale=LIGHT):
    """Writes label and mark into a frame of PyAV, in place."""
    if self.origin and self.origin.label and time < label.SECONDS:
      label.draw(picture, self.origin.label, self.turns)
    if self.marker:
      self.marker.mark_light(media.planes(picture)[0], time, scale)

  def _start(self, height, width):
    # Both streams must be known before the first packet.
    self.video = self.container.add_stream('libx264', rate=Fraction(self.fps))
    self.video.width, self.video.height, self.video.pix_fmt = width, height, 'yuv420p'
    self.video.options = self.encoder_options
    self.video.codec_context.time_base = 1 / Fraction(self.fps)
    self.video.codec_context.gop_size = int(2 * self.fps)  # a browser can jump to every 2 s
    bt709 = 1  # say which colours these are
    self.video.codec_context.colorspace = bt709
    self.video.codec_context.color_primaries = self.video.codec_context.color_trc = bt709
    self.video.codec_context.color_range = 1  # 16 to 235
    self._open_sound()
    if self.audio is not None:
      self._add_block(self.first)

  def _open_sound(self):
    if self.blocks is not None:
      self.first = next(self.blocks, np.zeros((0, 1), np.float32))
      rate = self.sample_rate if self.sample_rate in AAC_RATES else 48_000
      layout = 'mono' if self.first.shape[1] == 1 else 'stereo'
      self.audio = self.container.add_stream('aac', rate=rate, layout=layout)
      self.audio.bit_rate = 96_000 if layout == 'mono' else 160_000

  def _add_sound(self, until):
    """Encodes sound up to a time in seconds, so that the streams lie side by side in the file."""
    while self.audio is not None and self.num_samples < until * self.sample_rate:
      block = next(self.blocks, None)
      if block is None:
        return
      self._add_block(block)

  def _add_block(self, block):
    import av  # here: networks and their training run without

    if not len(block):
      return
    layout = 'mono' if block.shape[1] == 1 else 'stereo'
    sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.T), 'fltp', layout)
    sound.sample_rate, sound.pts = self.sample_rate, self.num_samples
    sound.time_base = Fraction(1, self.sample_rate)
    self.container.mux(self.audio.encode(sound))
    self.num_samples += len(block)

  def __exit__(self, kind, *_):
    try:
      self.waiting.put(None)
      self.encoder.join()
      if kind is None:
        self._raise_failure()
        with errors.explained('a file to write', self.path):
          self._finish()
    finally:
      self._discard()

  def _finish(self):
    if self.video is None:
      raise InputError(
        f'expected at least one frame for {self.path}, got none: is the sound shorter than 20 ms?'
      )
    self._add_sound(until=float('inf'))
    for stream in (self.video, self.audio):
      if stream is not None:
        self.container.mux(stream.encode(None))
    self._close()
    if self.origin:
      self._sign()
    os.replace(self.temporary, self.path)

  def _sign(self):
    """Replaces the temporary file by one that has a manifest, where that can be had."""
    suffix = self.path.suffix.lower()
    form = suffix if self.format == 'matroska' or suffix in manifest.FORMATS else '.mp4'
    signable = form in manifest.FORMATS and manifest.available()
    code = fingerprint.compute(self.temporary) if signable and fingerprint.available() else None
    if manifest.sign(self.temporary, self.signed, self.origin, code, form):
      os.replace(self.signed, self.temporary)

  def _discard(self):
    self._close()
    for path in (self.temporary, self.signed):
      path.unlink(missing_ok=True)  # already renamed when all went well

  def _close(self):
    container, self.container = self.container, None
    if container is not None:
      container.close()


def _blocks(waveform: np.ndarray | Iterator[np.ndarray], size=8192):
  """Float32 blocks [n, C], C = 1 or 2, of an array or of an iterator of blocks."""
  if hasattr(waveform, '__next__'):
    blocks = waveform
  else:
    whole = np.asarray(waveform)
    blocks = (whole[start : start + size] for start in range(0, len(whole), size))
  gram, channels = mix.Gram(), None
  for block in blocks:
    block = np.asarray(block)
    full_scale = np.iinfo(block.dtype).max if np.issubdtype(block.dtype, np.integer) else 1
    block = block.reshape(len(block), -1).astype(np.float32) / np.float32(full_scale)
    channels = channels or block.shape[1]
    if block.shape[1] != channels:
      raise InputError(
        f'expected blocks of sound [n, {channels}] as before, got {block.shape}: keep the number '
        'of channels'
      )
    block = np.nan_to_num(block)
    if channels > 2:
      gram.add(block)
      block = mix.apply(block, gram)[:, None]
    yield np.clip(block, -1, 1)
