"""One model for many live avatars: a thread makes frames a moment before they are due.

live = Live(ifm.load(), most=4)
async with await live.session(portrait, rate=24_000) as session: ...
"""

import asyncio
import math
import threading
import time

import numpy as np

from ifmdm_jax.clip import check_image, check_seed
from ifmdm_jax.errors import InputError
from ifmdm_jax.rates import FPS
from ifmdm_jax.streaming.session import Session
from ifmdm_jax.streaming.slots import Slots
from ifmdm_jax.streaming.timeline import Timeline

FEWEST, MOST = 2, 12  # frames that are ready while the next window is made
FORGETS = 0.8  # how much of a slow window's time is kept from one window to the next
IDLE = 1.0  # seconds after which the maker looks again, woken or not


class Live:
  """One model that many sessions share; a thread of its own makes their frames.

  Attributes:
    sampler: a `streaming.slots.Streamable`.
    most: sessions at once.
    seconds: for reports: `windows` and `frames` made, seconds of `making` them, and those until the
      `first` frame of the last window was there.
  """

  def __init__(self, sampler, most=1, *, plan=None, provenance=True, clock=time.monotonic):
    """Makes room.

    Args:
      sampler: such as `ifmdm_jax.load` returns.
      most: sessions at once.
      plan: windows, a `streaming.windows.Plan`; None: the sampler's `live`.
      provenance: whether frames carry the mark, see `trust.mark`.
      clock: () -> seconds.
    """
    self.sampler, self.most, self.clock = sampler, most, clock
    self.plan, self.provenance = plan or sampler.live, provenance
    self.seconds = {'windows': 0, 'frames': 0, 'making': 0.0, 'first': 0.0}
    self._slots = Slots(sampler, most, self.plan, steady=True)
    self._sessions, self._first = {}, FEWEST / FPS  # seconds until a window's first frame
    self._each = 0.0  # seconds of making a frame
    self._lock, self._wake = threading.Lock(), threading.Event()
    self._thread, self._closed = None, False

  @property
  def free(self):
    """Number of sessions that can still begin."""
    return self._slots.free

  @property
  def cover(self):
    """Frames that are ready while the next window is made: as many as pass until it is there."""
    return min(MOST, max(FEWEST, self.soonest + 1))

  @property
  def soonest(self):
    """Frames that pass until the first one of a window is there, if nothing comes between."""
    return math.ceil(self._first * FPS)

  @property
  def share(self):
    """Share of the maker's time that one session takes, of late: 1 is all of it."""
    return self._each * FPS

  async def session(self, image, *, rate=24_000, seed=0, microphone=False, paced=True, **options):
    """Begins a `Session`.

    Args:
      image: uint8 RGB [R, R, 3], a square portrait, see `ifmdm_jax.read_portrait`.
      rate: Hz, of the sound that goes with the frames, a multiple of 25.
      seed: of the motion.
      microphone: sound arrives as it is spoken and never ends, see `streaming.timeline.Timeline`.
      paced: see `Session`.
      options: of the sampler.

    Raises:
      InputError: no session is free, or something of that cannot be.
    """
    return await asyncio.to_thread(self.begin, image, rate, seed, microphone, options, paced)

  def begin(self, image, rate, seed, microphone, options, paced=True):
    """Does the same, and waits until the portrait is encoded."""
    check_image(image)
    check_seed(seed)
    if self._closed:
      raise InputError('expected a live model, it has been closed: make another one')
    timeline = Timeline(self.sampler.listener(self.plan, rate).encoder, self.plan, rate,
                        microphone=microphone)  # fmt: skip
    with self._lock:
      who = self._slots.join(image, seed, timeline, **options)
      session = self._sessions[who] = Session(self, who, timeline, paced)
      if self._thread is None:
        self._thread = threading.Thread(target=self._run, name='live', daemon=True)
        self._thread.start()
    self.wake()
    return session

  def wake(self):
    """Lets the maker look whether there is something to be made."""
    self._wake.set()

  def change(self, who, options):
    """Changes the options of a session."""
    with self._lock:
      self._slots.change(who, **options)

  def leave(self, who):
    """Ends a session."""
    with self._lock:
      if self._sessions.pop(who, None):
        self._slots.leave(who)

  async def close(self):
    """Ends all sessions."""
    for session in list(self._sessions.values()):
      await session.close()
    self._closed = True
    self.wake()
    if self._thread is not None:
      await asyncio.to_thread(self._thread.join)

  def warm(self):
    """Compiles what sessions need, and measures how long a window takes."""
    size = self.sampler.size
    session = self.begin(np.zeros((size, size, 3), np.uint8), 16_000, 0, False, {})
    for _ in range(3):
      before, self._each = self.seconds['windows'], 0.0
      while self.seconds['windows'] == before and session.failure is None:
        time.sleep(0.01)
      session.skip()
    self._first = self.seconds['first']
    self.leave(session.who)
    session.end()
    if session.failure:
      raise session.failure

  def _run(self):
    """Makes windows as they are wanted: the thread."""
    while not self._closed:
      self._wake.wait(IDLE)
      self._wake.clear()
      while self._made():
        pass

  def _made(self):
    """Makes windows once; whoever waits for frames raises what goes wrong."""
    with self._lock:
      try:
        return self._make()
      except Exception as error:
        for session in self._sessions.values():
          session.fail(error)
        return False

  def _make(self):
    """Makes a window of every session that wants one; returns whether there was any."""
    for who, session in self._sessions.items():
      broken, frame = session.unseen()
      if frame is not None:
        self._slots.rewind(who, frame)
      if broken:
        self._slots.hush(who)
    begun, count = time.perf_counter(), 0
    for who, frames in self._slots.step():
      if not count:
        first = self.seconds['first'] = time.perf_counter() - begun
        self._first = max(first, FORGETS * self._first + (1 - FORGETS) * first)
      count += len(frames)
      self._sessions[who].deliver(frames)
    if count:
      took = time.perf_counter() - begun
      self._each = FORGETS * (self._each or took / count) + (1 - FORGETS) * took / count
      self.seconds['windows'] += 1
      self.seconds['frames'] += count
      self.seconds['making'] += took
    return count > 0
