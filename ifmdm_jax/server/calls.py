"""A session and the client that has it: what it says, what it is told, and when it is over."""

import asyncio
import collections
import secrets
import time

from ifmdm_jax.errors import InputError
from ifmdm_jax.server.limits import Refused

# What a client may turn. Steps, guidance and others are not: programs are compiled for them.
KNOBS = ('motion_mean', 'motion_std', 'head', 'mouth', 'expression', 'brows', 'blinks_per_minute',
         'gaze', 'unit')  # fmt: skip
BEHIND = 2.0  # seconds of a microphone that may wait; what comes then is left out
PAUSE = 25  # frames without speech that end a reply which nobody ended
LISTENERS, EVENTS = 4, 64  # of a call, and that wait for one of them


class Call:
  """One client's session.

    call = await calls.begin(image, kind='webrtc')
    await call.say(pcm, 24_000)
    async for frame in call.frames(): ...
    await call.close('left')

  Attributes:
    id: that the client knows it by; who has it may speak by it.
    kind: 'webrtc', 'avatar' or 'realtime'.
    session: a `streaming.session.Session`.
    over: why it ended, None while it goes on.
    closing: functions () -> awaitable, called once when it ends.
    alive: () -> seconds since the client gave a sign of life.
  """

  def __init__(self, calls, session, kind, microphone):
    self.calls, self.session, self.kind = calls, session, kind
    self.id = secrets.token_urlsafe(16)
    self.over, self.closing, self.alive = None, [], lambda: 0.0
    self.begun, self.times = calls.clock(), collections.deque(maxlen=51)
    self.speaking = self.replying = self._broken = False
    self._last, self._quiet = None, 0  # frame; frames without speech since
    self.name, self._microphone, self._listeners = None, microphone, []
    self._watch = asyncio.create_task(self._watched())

  async def frames(self):
    """Yields the session's frames; raises as `frame` does."""
    while (frame := await self.frame()) is not None:
      yield frame

  async def frame(self):
    """Waits for the next frame, None where it is over, and tells listeners how speech goes.

    Raises:
      Refused: the model failed.
    """
    self._followed()
    late = self.session.late
    try:
      frame = await anext(self.session, None)
    except Exception as error:  # of the maker's thread: its trace is not for clients
      self.calls.counts['failures'] += 1
      kind = type(error).__name__
      raise Refused(500, f'the model failed ({kind}): begin another session') from None
    if frame is not None:
      self.times.append(self.calls.clock())
      self.calls.counts['frames'] += 1
      self.calls.counts['late'] += self.session.late - late
      self._follow(frame)
    return frame

  async def say(self, pcm, rate, more=False, name=None):
    """Appends sound to a reply.

    Args:
      pcm: 16-bit mono PCM as bytes, or a waveform.
      rate: Hz.
      more: the reply goes on; else it is complete.
      name: of the reply, which its events bear.

    Raises:
      Refused: too much is waiting.
      InputError: it is no sound.
    """
    seconds = len(pcm) / rate / (2 if isinstance(pcm, bytes) else 1)
    if self.session.timeline.waiting + seconds > self.calls.limits.waiting:
      raise Refused(429, f'expected at most {self.calls.limits.waiting:g} s of speech that waits, '
                    'this is more: send it later')  # fmt: skip
    if not self.replying and self._microphone:  # a reply is not to be mixed with a microphone
      await self.session.flush()
      self.session.timeline.microphone = False
    self.replying, self.name = True, name
    await self.session.push_audio(pcm, rate)
    if not more:
      await self.session.flush()

  async def finish(self):
    """Ends a reply: all of it was said."""
    await self.session.flush()

  async def hear(self, pcm, rate):
    """Takes sound of the client's microphone, which a reply takes precedence over."""
    if not self.replying and self.session.timeline.waiting < BEHIND:
      await self.session.push_audio(pcm, rate)

  async def interrupt(self):
    """Breaks a reply off."""
    waited = self.session.busy
    await self.session.interrupt()
    if self.speaking:
      self._broken = True
    elif waited:
      self._tell('interrupted')
    self._listen_again()

  async def change(self, options):
    """Turns knobs."""
    await self.session.change(**knobs(options))

  def listen(self):
    """Returns a queue of (event, name of the reply).

    Events are 'started', 'ended' and 'interrupted', and 'closed' at the end.

    Raises:
      Refused: there are too many listeners.
    """
    if len(self._listeners) >= LISTENERS:
      raise Refused(429, f'expected {LISTENERS} listeners of a session at most, it has them')
    queue = asyncio.Queue(EVENTS)
    self._listeners.append(queue)
    return queue

  def leave(self, queue):
    """Takes back `listen`."""
    self._listeners.remove(queue)

  @property
  def fps(self):
    """Frames a second of late; 0 where there were none."""
    if len(self.times) < 2 or self.calls.clock() - self.times[-1] > 2:
      return 0.0
    return (len(self.times) - 1) / max(1e-6, self.times[-1] - self.times[0])

  async def close(self, reason):
    """Ends it and frees its place."""
    if self.over is not None:
      return
    self.over = reason
    self.calls.of.pop(self.id, None)
    self._tell('closed')
    try:
      await self.session.close()
    finally:
      self.calls.taken -= 1
      self.calls.counts['ended'] += 1
      for close in self.closing:
        await close()
      if asyncio.current_task() is not self._watch:
        self._watch.cancel()

  def _follow(self, frame):
    """Tells what a frame begins, before it is handed out."""
    if frame.speaking and not self.speaking:
      self.speaking = True
      self._tell('started')
    self._last, self._quiet = frame, 0 if self.session.busy else self._quiet + 1

  def _followed(self):
    """Tells what the last frame ended, after it was handed out."""
    frame = self._last
    if self._quiet > PAUSE:
      self._listen_again()
    if frame is None or not self.speaking:
      return
    broken = self._broken and not frame.speaking
    if broken or frame.end_of_speech or self._quiet > PAUSE:
      self.speaking = self._broken = False
      self._tell('interrupted' if broken else 'ended')
      if not self.session.busy:
        self._listen_again()

  def _listen_again(self):
    self.replying, self.session.timeline.microphone = False, self._microphone

  def _tell(self, event):
    for queue in self._listeners:
      if queue.full():
        queue.get_nowait()  # who does not listen misses the oldest
      queue.put_nowait((event, self.name))

  async def _watched(self):
    """Ends it where its time is over or its client is gone."""
    limits = self.calls.limits
    while self.over is None:
      await asyncio.sleep(0.5)
      if self.calls.clock() - self.begun > 60 * limits.minutes:
        await self.close(f'{limits.minutes:g} minutes are over')
      elif self.alive() > limits.gone:
        await self.close('the client is gone')
      elif self.session.failure:
        await self.close('the model failed')


class Calls:
  """All calls of a server.

  Attributes:
    of: by their ids.
    taken: places that are taken; more than len(of) while some begin.
    draining: whether the server is being stopped.
    counts: for reports.
  """

  def __init__(self, live, limits, clock=time.monotonic):
    self.live, self.limits, self.clock = live, limits, clock
    self.of, self.taken, self.draining = {}, 0, False
    self.counts = collections.Counter(begun=0, ended=0, frames=0, late=0, failures=0)

  @property
  def most(self):
    """Calls at once: as many as are allowed, and no more than get all their frames."""
    allowed = min(self.limits.sessions, self.live.most)
    return max(1, int(min(allowed, self.limits.load / max(self.live.share, 1e-9))))

  def get(self, key):
    """Returns a call by its id.

    Raises:
      Refused: there is none.
    """
    if key not in self.of:
      raise Refused(404, 'expected a session that goes on, there is none of that id: begin one')
    return self.of[key]

  def check_room(self):
    """Raises Refused where no call can begin."""
    if self.draining:
      raise Refused(503, 'the server is being stopped: use another one')
    if self.taken >= self.most:
      raise Refused(503, f'all {self.taken} sessions are taken: try again later')

  async def begin(self, image, kind, *, seed=0, microphone=False, options=None, **rest):
    """Begins a call with a portrait; `rest`: of `Live.session`.

    Raises:
      Refused: all places are taken, or the server is being stopped.
      InputError: a knob cannot be.
    """
    self.check_room()
    options = knobs(options or {})
    self.taken += 1
    beginning = asyncio.ensure_future(
      self.live.session(image, seed=seed, microphone=microphone, **rest, **options)
    )
    try:
      session = await asyncio.shield(beginning)
    except asyncio.CancelledError:  # the client is gone while its session begins
      beginning.add_done_callback(self._unwanted)
      raise
    except BaseException:
      self.taken -= 1
      raise
    call = Call(self, session, kind, microphone)
    self.of[call.id] = call
    self.counts['begun'] += 1
    return call

  async def drain(self, seconds):
    """Lets running calls end within a time, then ends them."""
    self.draining = True
    until = self.clock() + seconds
    while self.taken and self.clock() < until:
      await asyncio.sleep(0.1)
    await asyncio.gather(*(call.close('the server is stopped') for call in list(self.of.values())))

  def _unwanted(self, beginning):
    if beginning.cancelled() or beginning.exception():
      self.taken -= 1
      return

    async def leave():
      try:
        await beginning.result().close()
      finally:
        self.taken -= 1

    self._leaving = asyncio.ensure_future(leave())


def knobs(options):
  """Checks the knobs of a client.

  Raises:
    InputError: it is none of KNOBS, or no number, name or list of them.
  """
  if not isinstance(options, dict):
    raise InputError('expected options as an object, such as {"head": 0.5}')
  unknown = sorted(set(options) - set(KNOBS))
  if unknown:
    raise InputError(f'expected options of {", ".join(KNOBS)}, got {unknown[0]!r}')
  for name, value in options.items():
    inner = [value]
    if isinstance(value, list | dict):
      inner = list(value.values()) if isinstance(value, dict) else value
    if len(inner) > 64 or any(isinstance(each, list | dict | bool) for each in inner):
      raise InputError(f'expected {name} to be a number, a name, or some of them, got others')
    if isinstance(value, str) != (name == 'gaze') or value is None and name not in (
      'motion_mean', 'motion_std', 'blinks_per_minute',
    ):  # fmt: skip
      raise InputError(f'expected {name} to be {"a name" if name == "gaze" else "a number"}')
    if name != 'gaze' and any(isinstance(each, str) for each in inner):
      raise InputError(f'expected {name} to be a number, got letters')
  return {name: tuple(value) if isinstance(value, list) else value
          for name, value in options.items()}  # fmt: skip
