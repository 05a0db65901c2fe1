"""Many voices at once on one device: streams join and leave without compiling anything.

Motion of all slots is sampled in one batch of fixed size; frames of all of them are drawn in mixed
blocks of fixed size. An empty slot costs its share of the motion network and no drawing.
"""

import collections
import dataclasses
import functools
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.streaming.windows import Listener, Plan

REMEMBERED = 4  # windows of a stream that can be taken back
SILENT = -60.0  # dB, of a frame
NEVER = 1_000_000
RESTING = 25  # silent frames after which a face is at rest
FOLLOWS = 0.05  # how much of a frame its average at rest takes on
CLOSING = (0.3,)  # how open a mouth still is whose voice was broken off, frame by frame
CLOSED, RETURN = 20, 25  # frames that it stays closed, and in which it is as it would be again
# How much of its way a head goes in a frame where short windows would shake it: first, and last,
# over so many frames after a voice began or was broken off.
FIRST, LAST, FRAMES = 0.15, 0.75, 10


@runtime_checkable
class Streamable(Protocol):
  """What a generator offers to be run for many voices: pure functions of pytrees.

  Portraits, states and controls are pytrees of arrays; the first axis of the latter two, and of
  codes and speech features, is the voice.

  Attributes:
    block: frames drawn by one call.
    streaming, live: plans for voices that are still arriving, and for such that are interrupted.
  """

  block: int
  streaming: Plan
  live: Plan

  def options(self, **options):
    """Checks what a caller asks for and fills in defaults."""

  def portrait(self, image, options=None):
    """Encodes a picture uint8 [H, H, 3], as options say -> a pytree."""

  def listener(self, plan, sample_rate) -> Listener:
    """Listens to a voice that begins."""

  def start(self, portrait, plan, options, seed=0):
    """Returns (state, controls) of a voice that begins; the first axis is 1."""

  def constants(self, options):
    """Returns those of the options that `advance` is compiled for, by name."""

  def advance(self, y, valid, state, controls, level, *, new, **constants):
    """Samples the next window, of sound as loud as level [B, new]: (codes [B, new, ...], state)."""

  def rewound(self, before, after, controls, level, count):
    """Returns the state after `count` of the n frames, of sound as loud as level [B, n], that lie
    between two states."""

  def eased(self, codes, rest, open):
    """Moves the mouth of codes [n, ...] towards that at rest [...]; open [n], 1 changes nothing."""

  def steadied(self, codes, before, share):
    """Moves the head of codes [n, ...] on from one before [...] by shares [n] of its way."""

  def draw_mixed(self, portraits, who, codes, size):
    """Draws codes [n, ...] of portraits [N, ...] by number, who [n]: uint8 [n, R, R, 3]."""

  def ahead(self, calls):
    """Yields the results of calls in order, see `device.Pool`."""


@dataclasses.dataclass
class _Stream:
  listener: Listener
  image: np.ndarray
  seed: int
  options: Any
  portrait: Any = None  # [1, ...], encoded, where each is drawn by itself
  done: int = 0  # frames
  rest: Any = None  # code of the face at rest, an average
  quiet: int = 0  # silent frames lately
  hushed: int = NEVER  # frames since its voice was broken off
  turned: int = NEVER  # frames since its voice began or was broken off
  shown: Any = None  # code of the last frame, as it is drawn
  # (first frame, state before, state after, level, codes as they are drawn) of the last windows
  history: collections.deque = dataclasses.field(
    default_factory=lambda: collections.deque(maxlen=REMEMBERED)
  )


class Slots:
  """Up to `count` live streams of a `Streamable`.

    slots = Slots(sampler, 8)
    who = slots.join(image, seed=3)
    slots.add(who, block)                       # whenever sound arrives
    for who, frames in slots.step(): show(who, frames)
    slots.end(who)                              # the voice is over; the slot frees itself
    slots.leave(who)                            # or at once, dropping what was not emitted

  Fair: in each step a stream gets one window at most, however much sound it has brought, and frame
  k of every stream is drawn before frame k + `block` of any.
  """

  def __init__(self, sampler, count, plan=None, sample_rate=16_000, steady=False, **options):
    """Makes room.

    Args:
      sampler: a `Streamable`.
      count: streams at once.
      plan: windows; None: the sampler's `streaming`.
      sample_rate: Hz.
      steady: heads follow softly, as short windows shake them.
      options: of all streams, see the sampler.
    """
    self.sampler, self.count, self.plan = sampler, count, plan or sampler.streaming
    self.sample_rate, self.steady, self.options = sample_rate, steady, options
    self._constants = sampler.constants(sampler.options(**options))
    self.block = min(sampler.block, self.plan.new)
    # A CPU gains nothing by batches, and would pay for empty slots.
    self._batch = 1 if self.block == 1 else count
    self._streams: dict[int, _Stream] = {}
    self._portraits = self._state = self._controls = None

  @property
  def free(self):
    """Number of streams that can still join."""
    return self.count - len(self._streams)

  def join(self, image, seed=0, listener=None, **options):
    """Begins a stream with a portrait uint8 [H, H, 3]; returns its number, 0 .. count - 1.

    Args:
      image: the portrait.
      seed: of the motion.
      listener: who hears its voice, such as a `streaming.timeline.Timeline`; None: `add` does.
      options: of this stream alone, those that no program is compiled for.

    Raises:
      InputError: all slots are taken, or an option has to be the same for all streams.
    """
    if not self.free:
      raise InputError(f'expected a free slot, all {self.count} are taken: wait until one leaves')
    options = self._options(options)
    who = next(i for i in range(self.count) if i not in self._streams)
    portrait = self.sampler.portrait(image, options)
    begun = self.sampler.start(portrait, self.plan, options, seed)
    if self._state is None:
      empty = lambda x: np.zeros((self.count, *x.shape[1:]), x.dtype)
      self._state, self._controls = jax.tree.map(empty, begun)
    self._state, self._controls = _with_rows((self._state, self._controls), begun, [who], [0])
    listener = listener or self.sampler.listener(self.plan, self.sample_rate)
    self._streams[who] = _Stream(listener, image, seed, options)
    self._show(who, portrait)
    return who

  def change(self, who, **options):
    """Changes options of a stream, such as head=0.5, from its next window on.

    Raises:
      InputError: an option has to be the same for all streams.
    """
    stream = self._stream(who)
    options = self._options(options, stream.options)
    portrait = self.sampler.portrait(stream.image, options)
    controls = self.sampler.start(portrait, self.plan, options, stream.seed)[1]
    self._controls = _with_rows(self._controls, controls, [who], [0])
    stream.options = options
    self._show(who, portrait)

  def rewind(self, who, frame):
    """Takes frames of a stream from number `frame` on back, as far as REMEMBERED windows go."""
    stream = self._stream(who)
    stream.turned = 0
    while frame < stream.done and stream.history:
      first, state, after, level, codes = stream.history.pop()
      stream.done = max(first, frame)
      if frame > first:  # a part of it was shown
        count, controls = frame - first, _rows(self._controls, [who])
        part = self.sampler.rewound(state, after, controls, level, count)
        stream.history.append((first, state, part, level[:, :count], codes[:count]))
        state = part
      self._state = _with_rows(self._state, state, [who], [0])
    stream.shown = stream.history[-1][-1][-1] if stream.history else None

  def hush(self, who):
    """Closes the mouth of a stream whose voice was broken off, sooner than it would by itself."""
    self._stream(who).hushed = 0

  def add(self, who, block):
    """Takes sound of a stream: a waveform [l] or [l, C] of any length."""
    self._stream(who).listener.add(block)

  def end(self, who):
    """Ends the voice of a stream: what is left is still drawn, then the slot is free."""
    self._stream(who).listener.close()

  def leave(self, who):
    """Frees a slot at once."""
    self._stream(who)
    del self._streams[who]

  def step(self):
    """Yields (who, uint8 frames [n, R, R, 3]): one window of every stream that has the sound.

    Several pieces for one stream come in order; pieces of all streams are interleaved.
    """
    ready = {who: s for who, s in self._streams.items() if s.listener.ready()}
    if ready:
      codes = self._sample(ready)
      yield from self._draw_all(codes)
    for who, stream in list(self._streams.items()):
      if stream.listener.ended():
        del self._streams[who]

  def _options(self, options, known=None):
    """Returns the options of a stream, `known` ones of it changed if there are any."""
    options = (
      self.sampler.options(**{**self.options, **options})
      if known is None
      else (known.changed(**options))
    )
    if self.sampler.constants(options) != self._constants:
      names = ', '.join(self._constants)
      raise InputError(f'expected the {names} of all streams, got another: pass it to Slots')
    return options

  def _show(self, who, portrait):
    """Puts the portrait of a stream where it is drawn from."""
    if self.block == 1:  # one frame a call: each with its own
      self._streams[who].portrait = jax.tree.map(lambda x: jnp.asarray(x)[None], portrait)
      return
    if self._portraits is None:
      self._portraits = jax.tree.map(lambda x: jnp.zeros((self.count, *x.shape), x.dtype), portrait)
    self._portraits = _place(self._portraits, portrait, who)

  def _stream(self, who):
    if who not in self._streams:
      raise InputError(
        f'slot {who} is empty, expected one of {sorted(self._streams)}: its voice has ended or left'
      )
    return self._streams[who]

  def _sample(self, ready):
    """{who: codes [n, M]} of the streams that have a window."""
    windows, codes = {who: stream.listener.take() for who, stream in ready.items()}, {}
    rows = list(windows)
    for start in range(0, len(rows), self._batch):
      some = {who: windows[who] for who in rows[start : start + self._batch]}
      codes |= self._sample_some(some)
    return codes

  def _sample_some(self, windows):
    """The same of a batch or less, which is filled up with copies of the first."""
    rows = list(windows)
    filled = rows + rows[:1] * (self._batch - len(rows))
    y, valid, level = (
      np.stack([getattr(windows[who], name) for who in filled]) for name in ('y', 'valid', 'level')
    )
    before, controls = _rows((self._state, self._controls), filled)
    codes, after = self.sampler.advance(
      y, valid, before, controls, level, new=self.plan.new, **self._constants
    )
    self._state = _with_rows(self._state, after, rows, range(len(rows)))
    codes, drawn = np.asarray(codes), {}
    for k, who in enumerate(rows):
      stream, own = self._streams[who], [k]
      made = self._eased(stream, codes[k, : windows[who].count], level[k])
      drawn[who] = self._steadied(stream, made) if self.steady else made
      stream.history.append(
        (stream.done, _rows(before, own), _rows(after, own), level[own], drawn[who])
      )
      stream.done += self.plan.new
    return drawn

  def _eased(self, stream, codes, level):
    """Closes the mouth of a stream whose voice was broken off."""
    stream.rest = codes[0] if stream.rest is None else stream.rest
    open = np.ones(len(codes), np.float32)
    for k, (code, one) in enumerate(zip(codes, level)):
      stream.quiet = stream.quiet + 1 if one < SILENT else 0
      if stream.quiet == 0 and stream.hushed < NEVER:  # a new voice
        stream.hushed = max(stream.hushed, CLOSED + RETURN - len(CLOSING))
      if stream.quiet > RESTING:
        stream.rest = stream.rest + FOLLOWS * (code - stream.rest)
      open[k] = _open(stream.hushed)
      stream.hushed = min(stream.hushed + 1, NEVER)
    return codes if (open == 1).all() else self.sampler.eased(codes, stream.rest, open)

  def _steadied(self, stream, codes):
    """Lets a head follow softly, and more so where a voice began or was broken off."""
    since = np.minimum(stream.turned + np.arange(len(codes)), FRAMES)
    share = FIRST + (LAST - FIRST) * since.astype(np.float32) / FRAMES
    before = codes[0] if stream.shown is None else stream.shown
    codes = self.sampler.steadied(codes, before, share)
    stream.shown, stream.turned = codes[-1], min(stream.turned + len(codes), NEVER)
    return codes

  def _draw_all(self, codes):
    # (block, who, frame): the first block of everybody, then the second, and so on
    size = self.block
    order = sorted((k // size, who, k) for who, own in codes.items() for k in range(len(own)))
    blocks = [order[start : start + size] for start in range(0, len(order), size)]
    owners = [np.array([who for _, who, _ in block], np.int32) for block in blocks]

    def draw(block, who):
      own = np.stack([codes[who][k] for _, who, k in block])
      if size == 1:
        return self.sampler.draw_mixed(self._streams[who[0]].portrait, 0 * who, own, size)
      return self.sampler.draw_mixed(self._portraits, who, own, size)

    calls = (functools.partial(draw, *both) for both in zip(blocks, owners))
    for who, frames in zip(owners, self.sampler.ahead(calls)):
      for one in dict.fromkeys(who.tolist()):
        yield one, frames[who == one]


def _open(frames):
  """Tells how open a mouth is so many frames after its voice was broken off, 0 to 1."""
  if frames < len(CLOSING):
    return CLOSING[frames]
  back = min(max((frames - CLOSED) / RETURN, 0.0), 1.0)
  return back * back * (3 - 2 * back)


def _rows(everybody, rows):
  """Some rows of a pytree [N, ...]."""
  return jax.tree.map(lambda x: np.asarray(x)[np.asarray(rows)], everybody)


def _with_rows(everybody, others, to_rows, from_rows):
  """A copy of a pytree [N, ...] with some rows taken from another."""

  def one(rows, others):
    rows = np.array(rows)
    rows[to_rows] = np.asarray(others)[from_rows]
    return rows

  return jax.tree.map(one, everybody, others)


@functools.partial(jax.jit, donate_argnums=0)
def _place(portraits, portrait, who):
  return jax.tree.map(lambda everybody, own: everybody.at[who].set(own), portraits, portrait)
