"""Cuts a voice of any length into windows, the same from a file and from a microphone.

Everything that is computed depends on the plan alone, never on the sizes of the blocks in which
sound arrives, so that streamed frames equal offline frames.
"""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ifmdm_jax.audio import mix
from ifmdm_jax.audio import waveform as waveforms
from ifmdm_jax.errors import InputError
from ifmdm_jax.rates import FPS

FEATURES_PER_FRAME = 2
SILENT = 1e-10  # power of silence: -100 dB


@dataclasses.dataclass(frozen=True)
class Plan:
  """Sizes of a window, in video frames.

  Attributes:
    new: what a window adds.
    known: motion made before, at the start of the window, which it goes on with. Short windows
      without it forget where the head was going, and the network was trained on long ones.
    future: sound that must be there beyond it. Motion is sampled for it as well and thrown away, so
      that no emitted frame stands at the edge of the sound. A stream is new + future frames behind
      its voice.
    past: sound that is encoded again, for the speech encoder's sake; `known` or more.
  """

  new: int
  future: int
  known: int
  past: int

  @property
  def length(self):
    """Frames of motion in a window."""
    return self.known + self.new + self.future


class Window(NamedTuple):
  """The sound of a window, as the motion network sees it."""

  y: np.ndarray  # float32 [2T, A], speech features
  valid: np.ndarray  # float32 [T], 0 for frames before the voice began
  count: int  # frames to emit
  level: np.ndarray  # float64 [new], loudness of the sound of each new frame, dB


def places(plan, done, count, xp=np):
  """Where the features of a window lie among those of its sound.

  The sound is the last `plan.past` frames before the window's new ones, or fewer where the voice
  has just begun, then those. Frames before the voice take its first feature, frames after it the
  last.

  Args:
    plan: `Plan`.
    done: frames emitted before.
    count: features of the sound.
    xp: NumPy, or its namesake of JAX where `done` and `count` are traced.

  Returns:
    int [2T], which feature each half frame of the window takes, and bool [T], the valid frames.
  """
  known, past = xp.minimum(plan.known, done), xp.minimum(plan.past, done)
  # At odd rates the last frame can round away: at least one is there.
  first = xp.minimum(FEATURES_PER_FRAME * (past - known), count - FEATURES_PER_FRAME)
  half_frames = xp.arange(FEATURES_PER_FRAME * plan.length, dtype=np.int32)
  which = half_frames + FEATURES_PER_FRAME * (past - plan.known)
  valid = xp.arange(plan.length, dtype=np.int32) >= plan.known - known
  return xp.clip(which, first, count - 1), valid


def loudness(sound):
  """Measures how loud a piece of sound is, dB of full scale."""
  sound = np.nan_to_num(np.asarray(sound, np.float64))
  power = np.square(sound).mean() if sound.size else 0.0
  return round(float(10.0 * np.log10(power + SILENT)), 2)


class Listener:
  """Collects blocks of sound and hands out windows of speech features.

    listener.add(block)
    while listener.ready():
      window = listener.take()
    listener.close()                   # the voice has ended: what is left becomes ready

  Attributes:
    done: frames handed out so far.
  """

  def __init__(self, encoder, plan, sample_rate):
    """`sample_rate`: Hz.

    Raises:
      InputError: of that, it is no rate of sound.
    """
    waveforms.check_rate(sample_rate)
    self.encoder, self.plan, self.sample_rate = encoder, plan, sample_rate
    self.done = 0
    self._blocks, self._start = [], 0  # blocks, and the index of their first sample
    self._total, self._closed = 0, False
    self._gram, self._mixed = mix.Gram(), 0  # of channels so far, and of how many samples

  def add(self, block):
    """A waveform [l] or [l, C] of any length, with the same C every time.

    Raises:
      InputError: it is something else, such as bytes, one number, or channels before samples.
    """
    block = waveforms.check_block(block)
    if self._blocks and block.shape[1:] != self._blocks[0].shape[1:]:
      raise InputError(
        f'expected blocks {("l", *self._blocks[0].shape[1:])} as before, got {block.shape}: '
        'keep the number of channels'
      )
    if len(block):
      self._blocks.append(block)
      self._total += len(block)

  def close(self):
    """Ends the voice."""
    self._closed = True

  def check_heard(self):
    """Raises InputError where the voice that has ended is too short for a frame."""
    if not waveforms.num_frames(self._total, self.sample_rate):
      raise InputError(
        f'expected at least {1 / FPS} s of sound (one video frame), got {self._total} samples at '
        f'{self.sample_rate} Hz: pass blocks [l] or [l, C] of a longer voice'
      )

  def ready(self):
    """Whether `take` has something to give."""
    if self._closed:
      return self.done < waveforms.num_frames(self._total, self.sample_rate)
    return self._total >= self._sample(self.done + self.plan.new + self.plan.future)

  def ended(self):
    """Whether the voice is over and all of it was taken."""
    return self._closed and not self.ready()

  def take(self):
    """Returns the next `Window`. After the end of the voice the last feature is repeated."""
    plan, first = self.plan, self.done
    start = max(0, first - plan.past)  # of the sound, in frames
    end = first + plan.new + plan.future
    sound = self._between(self._sample(start), self._sample(end))
    level = np.array([self._level(first + frame) for frame in range(plan.new)])
    features = self.encoder.features(self._mono(sound, end), self.sample_rate)
    which, valid = places(plan, first, len(features))
    count = plan.new
    if self._closed:
      count = min(count, waveforms.num_frames(self._total, self.sample_rate) - first)
    self.done += count
    self._forget(self._sample(max(0, self.done - plan.past)))
    return Window(features[which], valid.astype(np.float32), count, level)

  def _mono(self, sound, end):
    """Mixes channels by all that has come up to frame `end`, however it was cut into blocks."""
    if sound.ndim == 1 or not len(sound):
      return sound
    sound, stop = waveforms.check(sound, self.sample_rate), min(self._sample(end), self._total)
    self._gram.add(waveforms.as_float(self._between(self._mixed, stop)))
    self._mixed = stop
    return mix.apply(sound, self._gram)

  def _sample(self, frame):
    return round(frame * self.sample_rate / FPS)

  def _level(self, frame):
    """Loudness of one frame, dB of full scale: of its own sound, so the same in every plan."""
    return loudness(self._between(self._sample(frame), self._sample(frame + 1)))

  def _between(self, start, end):
    whole = self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks)
    self._blocks = [whole]  # joined once, not once a window
    return whole[start - self._start : end - self._start]

  def _forget(self, sample):
    # Whole blocks and views: a long array that was given at once is not copied window by window.
    whole = self._blocks[0][sample - self._start :]
    self._blocks, self._start = [whole], sample


def windows(blocks, listener, advance, submit):
  """Yields `advance(window)` for each window of a voice, as soon as its sound is there.

  The next window is under way while the caller uses the last one, if its sound has arrived; one at
  a time, since each begins where the last one ended.

  Args:
    blocks: iterable of waveforms [l] or [l, C].
    listener: a `Listener`.
    advance: (Window) -> anything.
    submit: starts a call and returns its future, see `device.Pool`.
  """

  def start():
    return submit(lambda: advance(listener.take())) if listener.ready() else None

  def ready():
    job = start()
    while job:
      result = job.result()
      job = start()
      yield result

  if isinstance(blocks, str | bytes) or not isinstance(blocks, Iterable):
    raise InputError(
      f'expected blocks of sound, an iterable of waveforms [l] or [l, C], got '
      f'{type(blocks).__name__}: pass e.g. [waveform]'
    )
  for block in blocks:
    listener.add(block)
    yield from ready()
  listener.close()
  listener.check_heard()
  yield from ready()
