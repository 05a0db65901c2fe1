"""Sound in: any file, rate and channel count -> mono float32 at 16 kHz."""

import fractions

import numpy as np
import soxr

from ifmdm_jax import errors
from ifmdm_jax.audio import mix, sound
from ifmdm_jax.rates import FPS, SAMPLE_RATE

MIN_SECONDS = 0.04  # one video frame


def num_frames(num_samples, sample_rate, fps=FPS):
  """Rounds seconds * fps in exact arithmetic; a tie goes to the even number, as Python's round."""
  return round(
    fractions.Fraction(int(num_samples)) / fractions.Fraction(sample_rate) * fractions.Fraction(fps)
  )


def read(path):
  """Reads a sound file, or the sound of a film, as it was recorded; see `sound.read`.

  Returns:
    (float32 [L] or [L, 2], nominally in [-1, 1], and its rate in Hz).
  """
  return sound.read(path)


def prepare(waveform, sample_rate):
  """Makes mono float32 [L'] at 16 kHz, L' = L * 16000 / sample_rate (rounded).

  Args:
    waveform: [L] or [L, C] (channels last), mixed so that no voice is cancelled; floats in [-1, 1]
      or integer PCM (8, 16, 32 bits).
    sample_rate: samples per second.

  Raises:
    errors.InputError: wrong shape or type, empty, shorter than one video frame, NaN or infinite
      samples, or floats that look like unscaled PCM.
  """
  waveform = check(waveform, sample_rate)
  mono = waveform if waveform.ndim == 1 else mix.mono(waveform)
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
  waveform = as_float(waveform)
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


def as_float(waveform):
  """Brings integer PCM to float32 in [-1, 1); floats keep their scale."""
  if waveform.dtype == np.uint8:  # 8-bit PCM is unsigned
    return (waveform.astype(np.float32) - 128) / 128
  if waveform.dtype in (np.int8, np.int16, np.int32):
    return waveform.astype(np.float32) / np.float32(-float(np.iinfo(waveform.dtype).min))
  if np.issubdtype(waveform.dtype, np.floating):
    return waveform.astype(np.float32)
  raise errors.InputError(
    f'expected float or 8, 16, 32-bit PCM samples, got {waveform.dtype}: convert to float32'
  )
