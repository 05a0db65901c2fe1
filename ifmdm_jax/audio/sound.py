"""Reads the sound of any file that FFmpeg opens, as a stream: an hour costs no more than a second.

Time zero is the start of the file, for pictures and sound alike. Samples stand where their times
say: a hole is silence, what comes twice is dropped, and a rate or a number of channels that changes
on the way is followed. MP3 and AAC without a container (ADTS) hold no times: what is missing there
cannot be seen.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from ifmdm_jax import files, media
from ifmdm_jax.audio import mix
from ifmdm_jax.errors import InputError

SLACK = 0.02  # seconds by which times may be wrong: some containers round them
JUMP = 1.0  # seconds back, from which times have started again
MOST_CHANNELS = 64
RATES = 100, 1_000_000  # Hz
MOST_SAMPLES = 2**29  # that are held at once: 2 GiB, 9 hours at 16 kHz


def read(path, track=None, flaws=None):
  """Reads a whole sound as it was recorded.

  Args:
    path: any file that FFmpeg decodes, a film too.
    track: which track, 1 is the first; None: the one that is marked as default.
    flaws: `media.Flaws`, where what is wrong with it is noted.

  Returns:
    (float32 [L] or [L, 2], rate in Hz); more than two channels are mixed.

  Raises:
    InputError: there is no such file, no sound or no sample in it, or nothing decodes it.
  """
  rate, blocks = audio_blocks(path, track, flaws)
  waveform = _joined(blocks, path)
  return (waveform[:, 0] if waveform.shape[1] == 1 else waveform), rate


def audio(path, sample_rate=16_000, track=None, flaws=None):
  """Reads a sound as mono float32 [L] at `sample_rate`; an hour at 16 kHz is 230 MB.

  Raises:
    InputError: as `read`, or there are samples that are NaN or infinite.
  """
  return _joined(mono_blocks(path, sample_rate, track, flaws), path)


def audio_blocks(path, track=None, flaws=None) -> tuple[int, Iterator[np.ndarray]]:
  """Returns the rate and float32 blocks [n, C] as recorded, C = 1 or 2 all the way.

  What has more channels is mixed to 2 if it says where they stand, or else to 1.
  """
  rate, pieces = _pieces(path, track, flaws)
  first = next(pieces)
  channels = min(2, first.shape[1]) if first.shape[1] <= 2 else 1
  fit = _Mixer(path, track)

  def blocks():
    for block in itertools.chain([first], pieces):
      if block.shape[1] != channels:
        block = np.repeat(fit(block)[:, None], channels, 1)
      yield block

  return rate, blocks()


def mono_blocks(path, sample_rate=16_000, track=None, flaws=None):
  """Yields the same as `audio` block by block, [n] each: memory does not grow."""
  import soxr  # here: networks and their training run without

  rate, pieces = _pieces(path, track, flaws)
  resampler, seen, fit = soxr.ResampleStream(rate, sample_rate, 1, dtype='float32'), 0, None
  fit = _Mixer(path, track)
  for block in pieces:
    if not np.isfinite(block).all():
      bad = seen + int(np.argmin(np.isfinite(block).all(1)))
      raise InputError(
        f'expected finite samples, {path} has NaN or infinite ones from '
        f'{bad / rate:.3f} s on: repair the sound'
      )
    seen += len(block)
    mono = np.ascontiguousarray(fit(block))
    yield mono if rate == sample_rate else resampler.resample_chunk(mono)
  if rate != sample_rate:
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _joined(blocks, path):
  held, count = [], 0
  for block in blocks:
    held.append(block)
    count += block.size
    if count > MOST_SAMPLES:
      raise InputError(
        f'expected a sound that fits into 2 GiB, {path} is longer: cut it, read it as one channel '
        'of 16000 Hz, or stream it (--stream)'
      )
  return np.concatenate(held)


class _Mixer:
  """Mixes blocks [n, C] of a file to [n]; how, the whole file decides, see `mix`.

  It is read for that once more, when the first block comes that has channels to mix.
  """

  def __init__(self, path, track):
    self.path, self.track, self.gram = path, track, None

  def __call__(self, block):
    if block.shape[1] == 1:
      return block[:, 0]
    if self.gram is None:
      self.gram = mix.Gram()
      for piece in _pieces(self.path, self.track)[1]:
        self.gram.add(piece)
    return mix.apply(block, self.gram)


def _pieces(path, track=None, flaws=None):
  """Returns the rate and blocks [n, C] on the time line, at least one; C may change on the way."""
  flaws = media.Flaws() if flaws is None else flaws
  try:
    pieces = _decoded(path, track, flaws)
    rate = next(pieces, None)
  except media.Undecodable:
    rare = _libsndfile(path)  # a few formats only libsndfile knows
    if rare is None:
      raise
    rate, pieces = rare
  first = next(pieces, None)
  if first is None:
    wrong = f' ({flaws.sentence()})' if flaws.damaged or flaws.broken else ''
    raise InputError(f'expected sound, {path} holds no samples{wrong}: pass another file')
  return rate, itertools.chain([first], pieces)


def _decoded(path, track, flaws):
  """Yields the rate, then blocks [n, C]."""
  with media.opened(path, 'audio', track) as (container, stream):
    if stream.channels > MOST_CHANNELS:
      raise InputError(
        f'expected at most {MOST_CHANNELS} channels, {path} has {stream.channels}: '
        'mix them to one or two'
      )
    origin, line, to_float = media.origin(container), None, _ToFloat()
    timed = container.format.name in media.SAY_TIMES
    for frame in media.decoded(container, stream, flaws):
      if not frame.samples:
        continue
      if not RATES[0] <= frame.sample_rate <= RATES[1]:
        raise InputError(
          f'expected sound of {RATES[0]} Hz or more, {path} has {frame.sample_rate} Hz: '
          'is its header wrong?'
        )
      first = line is None
      if first:
        line = _TimeLine(frame.sample_rate, path, flaws)
        yield line.rate
      known = frame.time is not None and (timed or first)
      time = frame.time - origin if known else None
      for block in to_float(frame):
        yield from line.add(block, frame.sample_rate, time)
        time = None  # the next one follows it
    if line is not None:
      yield from line.finish()


class _TimeLine:
  """Puts blocks where their times say, at the rate of the first one."""

  def __init__(self, rate, path, flaws):
    self.rate, self.path, self.flaws = rate, path, flaws
    self.kind, self.resampler = None, None  # (rate, channels) of the blocks of now
    self.start, self.count = 0.0, 0  # seconds where these began, and their samples
    self.shift, self.last, self.begun = 0.0, None, False

  @property
  def now(self):
    return self.start + (self.count / self.kind[0] if self.kind else 0.0)

  def add(self, block, rate, time):
    """Yields what a block [n, C] adds, time in seconds, None: right after what came before."""
    if (rate, block.shape[1]) != self.kind:
      yield from self._change(rate, block.shape[1])
    gap = self._gap(time)
    if gap > 0:
      media.check_hole(gap, self.path, 'audio')
      if self.begun:
        self.flaws.hole(self.now, gap)
      yield from self._silence(round(gap * rate))
    elif gap < 0:
      block = block[round(-gap * rate) :]
    self.begun = True
    if len(block):
      self.count += len(block)
      self.flaws.end = self.now
      yield from self._resampled(block)

  def finish(self):
    """Yields what a resampler still holds."""
    if self.resampler is not None:
      rest = self.resampler.resample_chunk(np.zeros((0, self.kind[1]), np.float32), last=True)
      if len(rest):
        yield rest

  def _gap(self, time):
    """Seconds between the end of what is there and a block, 0 where both meet well enough."""
    if time is None or time == self.last:  # times that stand still say nothing
      return 0.0
    self.last = time
    gap = time + self.shift - self.now
    if self.begun and gap < -JUMP:  # goes on where it was
      self.shift -= gap
      gap = 0.0
    return gap if not self.begun or abs(gap) > SLACK else 0.0

  def _change(self, rate, channels):
    yield from self.finish()
    self.start, self.count, self.kind = self.now, 0, (rate, channels)
    self.resampler = None
    if rate != self.rate:
      import soxr  # here: networks and their training run without

      self.resampler = soxr.ResampleStream(rate, self.rate, channels, dtype='float32')

  def _silence(self, count):
    self.count += count
    while count > 0:
      part = min(count, 65_536)
      yield from self._resampled(np.zeros((part, self.kind[1]), np.float32))
      count -= part

  def _resampled(self, block):
    if self.resampler is not None:
      block = self.resampler.resample_chunk(np.ascontiguousarray(block))
    if len(block):
      yield block


class _ToFloat:
  """Decoded frames as float32 [n, C]; more than two channels as 2 if they say where they stand."""

  def __init__(self):
    self.kind, self.resampler = None, None

  def __call__(self, frame):
    channels, name = frame.layout.nb_channels, frame.layout.name
    surround = channels > 2 and not name.endswith('channels') and 'ambisonic' not in name
    kind = frame.format.name, name, frame.sample_rate
    if kind != self.kind:
      self.kind, self.resampler = kind, None
    if surround or frame.format.name.rstrip('p') not in SAMPLES:
      yield from self._by_ffmpeg(frame, 'stereo' if surround else name)
      return
    array, (zero, scale) = frame.to_ndarray(), SAMPLES[frame.format.name.rstrip('p')]
    array = array.T if frame.format.is_planar else array.reshape(-1, channels)
    array = array.astype(np.float32)
    if zero or scale != 1:
      array = (array - np.float32(zero)) * np.float32(1 / scale)
    yield np.ascontiguousarray(array)

  def _by_ffmpeg(self, frame, layout):
    import av  # here: networks and their training run without

    if self.resampler is None:
      self.resampler = av.AudioResampler(format='fltp', layout=layout, rate=frame.sample_rate)
    for piece in self.resampler.resample(frame):  # at the same rate it holds nothing back
      yield piece.to_ndarray().T


# Formats of samples: what silence is, and full scale.
SAMPLES = {'u8': (128, 128), 's16': (0, 2**15), 's32': (0, 2**31), 'flt': (0, 1), 'dbl': (0, 1)}


def _libsndfile(path, size=65_536):
  try:
    import soundfile  # here: networks and their training run without

    rate = soundfile.info(files.check(path)).samplerate
  except (ImportError, RuntimeError, UnicodeError, InputError):  # LibsndfileError: a RuntimeError
    return None

  def blocks():
    try:
      yield from soundfile.blocks(str(path), blocksize=size, dtype='float32', always_2d=True)
    except RuntimeError as error:
      raise InputError(
        f'expected a file with sound, {path} is damaged ({error}): convert it to WAV'
      ) from error

  return rate, blocks()
