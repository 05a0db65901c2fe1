"""The sound of a conversation: speech when it is there, silence between, never a gap.

A reply arrives in pieces, faster or slower than it is played, and may be broken off. What a
listener has heard stays as it was; everything after that can still be changed.
"""

import collections
import threading

import numpy as np

from ifmdm_jax.audio import waveform as waveforms
from ifmdm_jax.errors import InputError
from ifmdm_jax.rates import FPS
from ifmdm_jax.streaming.windows import Window, loudness, places

SPARE = 16  # frames of sound that are kept so that the last ones can be taken back
STALE = 12  # frames of silence after which the rest of a reply is played, though nobody ended it
PATIENT = 5  # frames that a reply may be held back, at most, where its sound arrives unevenly
QUIET = -50.0  # dB, what may be left out where a microphone is behind


class Segment:
  """Sound of one reply, in whole frames once it is closed."""

  def __init__(self, hop):
    self.hop, self.closed, self.marked = hop, False, False
    self._blocks, self._length = collections.deque(), 0

  @property
  def frames(self):
    """Whole frames that are there."""
    return self._length // self.hop

  @property
  def empty(self):
    """Whether nothing is left."""
    return not self._length

  def add(self, sound):
    """Appends float32 [l]."""
    if len(sound):
      self._blocks.append(sound)
      self._length += len(sound)

  def close(self, marked):
    """Fills the last frame with silence; `marked`: its end is one that somebody asked for."""
    self.closed, self.marked = True, marked
    self.add(np.zeros(-self._length % self.hop, np.float32))

  def peek(self, frames):
    """Returns the sound of the first frames, float32 [frames * hop]."""
    wanted, found = frames * self.hop, []
    for block in self._blocks:
      if wanted <= 0:
        break
      found.append(block[:wanted])
      wanted -= len(block)
    return np.concatenate(found) if found else np.zeros(0, np.float32)

  def drop(self, frames):
    """Forgets the first frames."""
    left = min(frames * self.hop, self._length)
    self._length -= left
    while left:
      block = self._blocks.popleft()
      if len(block) > left:
        self._blocks.appendleft(block[left:])
      left -= min(left, len(block))


class Timeline:
  """Cuts windows out of a conversation; a listener as `streaming.windows.Listener` is one.

    timeline.push(sound); timeline.flush()       # a reply
    timeline.interrupt()                         # nothing more of it
    if timeline.ready(): window = timeline.take()
    timeline.sounds                              # what is played with the frames of the windows

  Safe for two threads, one that brings sound and one that takes windows.

  Attributes:
    done: frames handed out.
    speaking: whether the last window was speech.
    sounds: deque of (int16 [hop], whether a reply ends there, whether it is speech), one each frame
      handed out, to be taken away by the reader.
    wanted: () -> whether the next window should be made.
  """

  def __init__(self, encoder, plan, rate, *, microphone=False):
    """Prepares.

    Args:
      encoder: of speech.
      plan: `Plan`.
      rate: Hz, a multiple of 25.
      microphone: sound arrives as it is spoken and never ends: where it has fallen behind, pauses
        are shortened.

    Raises:
      InputError: of that rate a video frame has no whole number of samples.
    """
    waveforms.check_rate(rate)
    if rate % FPS:
      raise InputError(f'expected a rate that {FPS} divides, got {rate} Hz: take 16000 or 24000')
    self.encoder, self.plan, self.rate, self.microphone = encoder, plan, int(rate), microphone
    self.hop = self.rate // FPS
    self.done, self.speaking, self.wanted = 0, False, lambda: True
    self.sounds = collections.deque()
    self._segments = collections.deque()
    self._kept, self._lock = np.zeros(0, np.float32), threading.Lock()
    self._slack, self._starved, self._waited = 1, False, 0
    self._silence = {}  # features of silence by its length

  @property
  def waiting(self):
    """Seconds of speech that have not been handed out."""
    with self._lock:
      return sum(segment.frames for segment in self._segments) / FPS

  def push(self, sound):
    """Appends float32 [l] at the timeline's rate to the reply that is open, or begins one."""
    with self._lock:
      if not self._segments or self._segments[-1].closed:
        self._segments.append(Segment(self.hop))
      self._segments[-1].add(sound)
      self._waited = 0

  def flush(self):
    """Ends the reply: all of it is played, and its last frame says so."""
    with self._lock:
      if self._segments and not self._segments[-1].closed:
        self._segments[-1].close(marked=True)

  def interrupt(self):
    """Forgets all speech that has not been handed out."""
    with self._lock:
      self._segments.clear()

  def can_speak(self):
    """Whether the next window can have speech."""
    with self._lock:
      return self._speech() > 0

  def can_begin(self):
    """Whether a reply waits that can be played from now on, and has not begun."""
    return not self.speaking and self.can_speak()

  def ready(self):
    """Whether a window is wanted: there is always one."""
    return self.wanted()

  def ended(self):
    """Never: a conversation ends where its owner leaves."""
    return False

  def rewind(self, frame):
    """Takes frames from number `frame` on back, and what is left of their `sounds`.

    They have been neither shown nor heard.
    """
    with self._lock:
      back = self.done - frame
      for _ in range(min(back, len(self.sounds))):
        self.sounds.pop()
      self._kept = self._kept[: len(self._kept) - back * self.hop]
      self.done = frame
      if back:
        self.speaking = False

  def hush(self, frame):
    """Makes what is handed out from number `frame` on silent."""
    with self._lock:
      back = min(len(self._kept), (self.done - frame) * self.hop)
      self._kept[len(self._kept) - back :] = 0

  def take(self):
    """Returns the next `Window`: of speech where there is enough of it, of silence elsewhere."""
    plan, hop = self.plan, self.hop
    with self._lock:
      new, ends, count = self._next()
      future = self._peek(plan.future) if count == plan.new else np.zeros(0, np.float32)
      future = np.pad(future, (0, plan.future * hop - len(future)))
      past = self._kept[-plan.past * hop :]
      first, self.done = self.done, self.done + plan.new
      self._kept = np.concatenate([self._kept, new])[-(plan.past + SPARE) * hop :]
    sound = np.concatenate([past, new, future])
    pieces = new.reshape(plan.new, hop)
    for k, piece in enumerate(pieces):
      pcm = np.rint(np.clip(piece, -1, 1) * 32767).astype(np.int16)
      self.sounds.append((pcm, bool(ends[k]), k < count))
    features = self._features(sound)
    which, valid = places(plan, first, len(features))
    level = np.array([loudness(piece) for piece in pieces])
    return Window(features[which], valid.astype(np.float32), plan.new, level)

  def _features(self, sound):
    if sound.any():
      return self.encoder.features(sound, self.rate)
    if len(sound) not in self._silence:  # between replies: encoded once
      self._silence[len(sound)] = self.encoder.features(sound, self.rate)
    return self._silence[len(sound)]

  def _speech(self):
    """Counts frames of speech that the next window may have."""
    new, whole = self.plan.new, self.plan.new + self.plan.future
    closed = sum(segment.frames for segment in self._segments if segment.closed)
    is_open = bool(self._segments) and not self._segments[-1].closed
    there = closed + (self._segments[-1].frames if is_open else 0)
    if not self.speaking and not closed and there < whole + self._slack:
      return 0  # not yet: what has begun should go on
    if there >= whole or there >= new and self.speaking:
      return new
    return min(new, closed)

  def _next(self):
    """Returns the sound of the next new frames, where replies end, and how many are speech."""
    if self.microphone:
      self._catch_up()
    new, count = self.plan.new, self._speech()
    ends, found, left = np.zeros(new, bool), [], count
    while self._segments:
      segment = self._segments[0]
      frames = min(left, segment.frames)
      found.append(segment.peek(frames))
      segment.drop(frames)
      left -= frames
      if not (segment.closed and segment.empty):
        break
      ends[max(count - left - 1, 0)] |= segment.marked  # silent, where all was played before
      self._segments.popleft()
      self._slack = max(1, self._slack - 1)
    silence = np.zeros((new - count) * self.hop, np.float32)
    self._follow(count)
    return np.concatenate([*found, silence]), ends, count

  def _follow(self, count):
    """Takes note of what was played: late sound is given more time, forgotten sound is ended."""
    new = self.plan.new
    broken = self.speaking and count < new and bool(self._segments)
    if broken and not self._segments[-1].closed:
      self._slack = min(PATIENT, self._slack + 1)
    self.speaking = count == new or count > 0 and bool(self._segments)
    self._waited += new
    late = self._waited > STALE and not self.speaking and self._segments
    if late and not (self._segments[-1].closed or self._segments[-1].empty):
      self._segments[-1].close(marked=False)
      self._segments.append(Segment(self.hop))  # whose end may still be asked for

  def _catch_up(self):
    """Leaves out pauses while more is waiting than has to."""
    aim = self.plan.new + self.plan.future + self._slack + 1
    while self._segments and self._segments[0].frames > aim:
      if loudness(self._segments[0].peek(1)) > QUIET:
        break
      self._segments[0].drop(1)

  def _peek(self, frames):
    """Returns up to `frames` frames of what is waiting, float32."""
    found = []
    for segment in self._segments:
      found.append(segment.peek(min(frames, segment.frames)))
      frames -= min(frames, segment.frames)
    return np.concatenate(found) if found else np.zeros(0, np.float32)
