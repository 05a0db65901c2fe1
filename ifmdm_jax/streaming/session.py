"""A live avatar: listens, speaks, can be interrupted, and rests between replies.

  live = Live(ifm.load(), most=4)
  async with await live.session(portrait, rate=24_000) as session:
    await session.push_audio(pcm)            # a reply, as it arrives
    await session.flush()                    # it has ended
    async for frame in session:              # 25 a second, for ever
      show(frame.image), play(frame.audio)

One model serves many sessions. Frames are made a moment before they are due: what nobody has seen
yet is thrown away where a reply begins or is broken off, and motion goes on from the last frame
that was seen.
"""

import asyncio
import collections
import threading
from typing import NamedTuple

import numpy as np
import soxr

from ifmdm_jax.audio import mix
from ifmdm_jax.audio import waveform as waveforms
from ifmdm_jax.errors import InputError
from ifmdm_jax.rates import FPS
from ifmdm_jax.trust.mark import Marker

AHEAD = 60.0  # seconds of speech that may wait; who pushes more waits
LATE = 2.0  # frames by which one may be late before the clock is set anew
FADE = 0.01  # seconds in which broken-off sound dies away


class Frame(NamedTuple):
  """One 25th of a second.

  `audio` is to be played while `image` is shown.
  """

  image: np.ndarray  # uint8 RGB [S, S, 3]
  audio: np.ndarray  # int16 [rate / 25], mono
  pts: float  # seconds since the session's first frame
  end_of_speech: bool  # the last one of a reply that was flushed; of none that was broken off
  speaking: bool  # whether the sound is a reply's, and not the silence between


class Session:
  """One avatar: sound goes in, frames come out at 25 a second; made by `streaming.live.Live`.

  A client that reads slowly gets later frames, not more of them: nothing is made ahead of it.

  Attributes:
    who: its slot.
    timeline: its `streaming.timeline.Timeline`.
    paced: whether frames come when they are due. Else they come as soon as they are made, and only
      where there is speech.
    frames: number handed out.
    late: number of those that were late by more than LATE frames.
    failure: what went wrong, an exception.
  """

  def __init__(self, live, who, timeline, paced=True):
    self.live, self.who, self.timeline, self.paced = live, who, timeline, paced
    self.frames = self.late = 0
    self.failure, self.closed = None, False
    self._ready = collections.deque()  # frames
    self._lock = threading.Lock()  # of the frames, which two threads take and give
    self._interrupted = self._was_speaking = False
    self._loop = self._arrived = None
    self._due, self._marker = None, Marker() if live.provenance else None
    self._resampler = self._resampled = None
    timeline.wanted = self._wants

  @property
  def busy(self):
    """Whether speech is waiting or is being spoken."""
    with self._lock:
      ready = any(frame.speaking for frame in self._ready)
    return self._was_speaking or ready or self.timeline.speaking or self.timeline.waiting > 0

  async def __aenter__(self):
    return self

  async def __aexit__(self, *_):
    await self.close()

  async def push_audio(self, pcm, rate=None):
    """Takes sound of a reply; waits while more than AHEAD seconds are waiting already.

    Args:
      pcm: a waveform [l] or [l, C], or bytes of 16-bit mono PCM.
      rate: Hz; None: the session's.

    Raises:
      InputError: it is no sound, or the session is over.
    """
    self.check()
    sound = self._mono(pcm, rate)
    second = self.timeline.rate
    for start in range(0, len(sound), second):
      while self.timeline.waiting > AHEAD:
        self.check()
        await asyncio.sleep(1 / FPS)
      self.check()
      self.timeline.push(sound[start : start + second])
      self.live.wake()

  async def flush(self):
    """Ends a reply: the frame that ends it says so."""
    self.check()
    if self._resampler is not None:
      self.timeline.push(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
      self._resampler = self._resampled = None
    self.timeline.flush()
    self.live.wake()

  async def interrupt(self):
    """Breaks a reply off: silent from the next frame on, and the mouth closes."""
    self.check()
    with self._lock:
      self._resampler = self._resampled = None
      self.timeline.interrupt()
      self._interrupted, self._was_speaking = True, False
      for k, frame in enumerate(self._ready):
        self._ready[k] = self._hushed(frame, first=k == 0)
    self.live.wake()

  async def change(self, **options):
    """Changes knobs while it runs, such as head=0.5, motion_std=1.2 or gaze='camera'.

    Raises:
      InputError: an option cannot be, or is one that a program is compiled for.
    """
    self.check()
    await asyncio.to_thread(self.live.change, self.who, options)

  async def close(self):
    """Ends the session and frees its place."""
    if not self.closed:
      self.end()
      await asyncio.to_thread(self.live.leave, self.who)
      self._ready.clear()  # pictures go now, and not when the collector finds them
      self.timeline.wanted = _never

  def __aiter__(self):
    return self

  async def __anext__(self):
    """Waits until the next frame is due."""
    if self._loop is None:
      self._loop, self._arrived = asyncio.get_running_loop(), asyncio.Event()
    while True:
      if self.failure:
        raise self.failure
      if self.closed:
        raise StopAsyncIteration
      now = self.live.clock()
      self._arrived.clear()
      if not self._ready:
        self.live.wake()
        await self._arrived.wait()
        continue
      if self._due is None or not self.paced:
        self._due = now
      if self._due > now:
        await asyncio.sleep(self._due - now)
        continue  # it may have been taken back meanwhile
      return self._next(now)

  def skip(self):
    """Throws away what is ready, unseen by anybody."""
    with self._lock:
      self.frames += len(self._ready)
      self._ready.clear()
    self.live.wake()

  def check(self):
    """Raises what went wrong, or InputError where the session is over."""
    if self.failure:
      raise self.failure
    if self.closed:
      raise InputError('expected a session that goes on, this one is over: begin another one')

  # -- the maker's side, in its thread

  def unseen(self):
    """Takes back frames that would be wrong by now.

    Returns:
      Whether a reply was broken off; and the number of the frame that is to be made next, or None
      where all goes on.
    """
    broken = self._interrupted
    if not (broken or self.timeline.can_begin()):
      return broken, None
    keep = 1 if broken else self.live.soonest  # better late by one than open for longer
    with self._lock:
      while len(self._ready) > keep and (broken or _unsaid(self._ready[-1])):
        self._ready.pop()
      frame = self.frames + len(self._ready)
      self.timeline.rewind(frame)
      if broken:
        self.timeline.hush(self.frames)
        self._interrupted = False
    return broken, frame

  def deliver(self, frames):
    """Takes uint8 [n, S, S, 3], the next frames that were made."""
    for image in frames:
      audio, ends, speaking = self.timeline.sounds.popleft()
      with self._lock:
        number = self.frames + len(self._ready)
        if self._marker:
          image = self._marker.mark(image, number / FPS)
        frame = Frame(image, audio, number / FPS, ends, speaking)
        self._ready.append(self._hushed(frame) if self._interrupted else frame)
    self._signal()

  def fail(self, error):
    """Ends the session by an exception."""
    self.failure = error
    self._signal()

  def end(self):
    """Ends the session for whoever reads it."""
    self.closed = True
    self._signal()

  def _wants(self):
    """Says whether the next window should be made."""
    room = not self.closed and len(self._ready) <= self.live.cover
    return room and (self.paced or self.timeline.can_speak())

  def _signal(self):
    if self._loop is not None and not self._loop.is_closed():
      self._loop.call_soon_threadsafe(self._arrived.set)

  def _next(self, now):
    late = (now - self._due) * FPS
    if late > LATE:
      self.late += 1
      self._due = now
    self._due += 1 / FPS
    with self._lock:
      frame = self._ready.popleft()
      self.frames += 1
    self._was_speaking = frame.speaking and not frame.end_of_speech
    self.live.wake()
    return frame

  def _hushed(self, frame, first=False):
    """Returns a frame without its sound, which dies away where it has begun."""
    quiet = np.zeros_like(frame.audio)
    if first:
      count = round(FADE * self.timeline.rate)
      quiet[:count] = frame.audio[:count] * np.linspace(1, 0, count)
    return frame._replace(audio=quiet, speaking=False, end_of_speech=False)

  def _mono(self, pcm, rate):
    """Returns float32 [l] at the timeline's rate."""
    if isinstance(pcm, bytes | bytearray | memoryview):
      if len(pcm) % 2:
        raise InputError(f'expected 16-bit PCM, got {len(pcm)} bytes: an even number')
      pcm = np.frombuffer(pcm, '<i2')
    sound = waveforms.as_float(waveforms.check_block(pcm))
    if not np.isfinite(sound).all() or np.abs(sound).max(initial=0) > 64:
      raise InputError('expected samples in [-1, 1], got others: divide by 32768 or pass int16')
    if sound.ndim == 2:
      sound = mix.mono(sound) if sound.size else sound[:, 0]
    rate = rate or self.timeline.rate
    if rate == self.timeline.rate:
      return sound
    if rate != self._resampled:
      waveforms.check_rate(rate)
      self._resampler = soxr.ResampleStream(rate, self.timeline.rate, 1, dtype='float32')
      self._resampled = rate
    return self._resampler.resample_chunk(np.ascontiguousarray(sound))


def _never():
  return False


def _unsaid(frame):
  """Says whether a frame is of the rest between replies, and no end of one."""
  return not (frame.speaking or frame.end_of_speech)
