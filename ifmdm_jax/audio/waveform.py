"""Sound in: any file, rate and channel count -> mono float32 at 16 kHz."""

import fractions
import os

import numpy as np
import soundfile
import soxr

from ifmdm_jax import errors
from ifmdm_jax.rates import FPS, SAMPLE_RATE

MIN_SECONDS = 0.04  # one video frame


def num_frames(num_samples, sample_rate, fps=FPS):
  """Rounds seconds * fps in exact arithmetic; a tie goes to the even number, as Python's round."""
  return round(
    fractions.Fraction(int(num_samples)) / fractions.Fraction(sample_rate) * fractions.Fraction(fps)
  )


def read(path):
  """Decodes a sound file, or the sound of a video file.

  Args:
    path: WAV, FLAC, OGG, MP3 (libsndfile), or anything FFmpeg opens, e.g. MP4 or M4A.

  Returns:
    waveform: float32 [L] (mono) or [L, C], nominally in [-1, 1].
    sample_rate: samples per second, int.

  Raises:
    errors.InputError: there is no such file, it cannot be decoded, or it holds no sound.
  """
  path = os.fspath(path)
  if not os.path.isfile(path):
    raise errors.InputError(f'expected a sound or video file, {path} does not exist: check it')
  try:
    waveform, sample_rate = soundfile.read(path, dtype='float32')
  except soundfile.LibsndfileError:
    waveform, sample_rate = _read_av(path)
  if not waveform.size:
    raise errors.InputError(f'expected sound, {path} decodes to no samples: pass another file')
  return waveform, int(sample_rate)


def _read_av(path):
  """FFmpeg's decoders; the first sample returned is at the start of the container's timeline."""
  import av  # heavy, and only for what libsndfile cannot read

  try:
    with av.open(path) as container:
      if not container.streams.audio:
        raise errors.InputError(f'expected sound, {path} has no audio stream: pass another file')
      stream = container.streams.audio[0]
      # Planar float32 in the file's own rate and layout: one conversion for every codec.
      convert = av.AudioResampler(format='fltp', layout=stream.layout, rate=stream.rate)
      blocks, start = [], None
      for frame in container.decode(stream):
        if start is None:
          start = frame.time or 0.0
        blocks += [f.to_ndarray() for f in convert.resample(frame)]
      blocks += [f.to_ndarray() for f in convert.resample(None)]
      sample_rate = stream.rate
      origin = (container.start_time or 0) / av.time_base
  except (av.error.FFmpegError, UnicodeDecodeError) as error:
    reason = getattr(error, 'strerror', None) or 'not a media file'
    raise errors.InputError(
      f'expected a sound or video file, {path} cannot be decoded ({reason}): convert it to WAV'
    ) from error
  if not blocks:
    return np.zeros((0,), np.float32), sample_rate
  waveform = np.concatenate(blocks, axis=1).T
  # A sound track that begins later than its pictures keeps that delay, or lips would lead.
  delay = max(0, round((start - origin) * sample_rate))
  waveform = np.pad(waveform, ((delay, 0), (0, 0)))
  return (waveform[:, 0] if waveform.shape[1] == 1 else waveform), sample_rate


def prepare(waveform, sample_rate):
  """Makes mono float32 [L'] at 16 kHz, L' = L * 16000 / sample_rate (rounded).

  Args:
    waveform: [L] or [L, C] (channels last); floats in [-1, 1] or integer PCM (8, 16, 32 bits).
    sample_rate: samples per second.

  Raises:
    errors.InputError: wrong shape or type, empty, shorter than one video frame, NaN or infinite
      samples, or floats that look like unscaled PCM.
  """
  waveform = check(waveform, sample_rate)
  mono = waveform if waveform.ndim == 1 else waveform.mean(axis=1)
  if sample_rate != SAMPLE_RATE:
    mono = soxr.resample(mono, sample_rate, SAMPLE_RATE)
  return np.ascontiguousarray(mono, dtype=np.float32)


def check_rate(sample_rate):
  """Raises InputError where a sample rate is no number of Hz that sound may have."""
  number = isinstance(sample_rate, int | float | np.number | fractions.Fraction)
  if not number or isinstance(sample_rate, bool) or not 100 <= sample_rate <= 1e6:
    raise errors.InputError(
      f'expected a sample rate in Hz, got {sample_rate!r:.80}: pass e.g. 16000'
    )


def check_block(waveform):
  """Returns a piece of sound of any length as an array [l] or [l, C] of numbers.

  Raises:
    errors.InputError: it is none; channels come last.
  """
  waveform = np.asarray(waveform)
  if waveform.ndim not in (1, 2) or (waveform.ndim == 2 and waveform.shape[1] > 64):
    raise errors.InputError(
      f'expected a waveform [samples] or [samples, channels], got shape {waveform.shape}: '
      'put the samples first'
    )
  if waveform.dtype.kind not in 'fiu':
    raise errors.InputError(
      f'expected float or 8, 16, 32-bit PCM samples, got {waveform.dtype}: convert to float32'
    )
  return waveform


def check(waveform, sample_rate):
  """Checks a waveform and returns it as float32; an InputError says what is wrong with it."""
  check_rate(sample_rate)
  waveform = check_block(waveform)
  seconds = waveform.shape[0] / sample_rate
  if not waveform.size or seconds < MIN_SECONDS:
    raise errors.InputError(
      f'expected at least {MIN_SECONDS} s of sound (one video frame), got {seconds:.4f} s '
      f'({waveform.shape[0]} samples at {sample_rate} Hz): pass a longer recording'
    )
  waveform = _to_float(waveform)
  if not np.isfinite(waveform).all():
    bad = int((~np.isfinite(waveform)).sum())
    raise errors.InputError(
      f'expected finite samples, got {bad} NaN or infinite of {waveform.size}: repair the sound'
    )
  peak = float(np.abs(waveform).max())
  if peak > 64:
    raise errors.InputError(
      f'expected floats in [-1, 1], got a peak of {peak:.0f}: divide by 32768 or pass int16'
    )
  return waveform


def _to_float(waveform):
  """Integer PCM to float32 in [-1, 1); floats keep their scale."""
  if waveform.dtype == np.uint8:  # 8-bit PCM is unsigned
    return (waveform.astype(np.float32) - 128) / 128
  if waveform.dtype in (np.int8, np.int16, np.int32):
    return waveform.astype(np.float32) / np.float32(-float(np.iinfo(waveform.dtype).min))
  if np.issubdtype(waveform.dtype, np.floating):
    return waveform.astype(np.float32)
  raise errors.InputError(
    f'expected float or 8, 16, 32-bit PCM samples, got {waveform.dtype}: convert to float32'
  )
