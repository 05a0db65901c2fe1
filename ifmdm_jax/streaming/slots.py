"""Many voices at once on one device: streams join and leave without compiling anything.

Motion of all slots is sampled in one batch of fixed size; frames of all of them are drawn in mixed
blocks of fixed size. An empty slot costs its share of the motion network and no drawing.
"""

import dataclasses
import functools
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.streaming.windows import Listener, Plan


@runtime_checkable
class Streamable(Protocol):
  """What a generator offers to be run for many voices: pure functions of pytrees.

  Portraits, states and controls are pytrees of arrays; the first axis of the latter two, and of
  codes and speech features, is the voice.

  Attributes:
    block: frames drawn by one call.
    streaming: plan for voices that are still arriving.
  """

  block: int
  streaming: Plan

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

  def draw_mixed(self, portraits, who, codes, size):
    """Draws codes [n, ...] of portraits [N, ...] by number, who [n]: uint8 [n, R, R, 3]."""

  def ahead(self, calls):
    """Yields the results of calls in order, see `device.Pool`."""


@dataclasses.dataclass
class _Stream:
  listener: Listener
  codes: Any = None  # [n, M] of the window being drawn


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

  def __init__(self, sampler, count, plan=None, sample_rate=16_000, **options):
    """Makes room; `options` are of all streams, see the sampler."""
    self.sampler, self.count, self.plan = sampler, count, plan or sampler.streaming
    self.sample_rate, self.options = sample_rate, options
    self._constants = sampler.constants(sampler.options(**options))
    self.block = min(sampler.block, self.plan.new)
    self._streams: dict[int, _Stream] = {}
    self._portraits = self._state = self._controls = None

  @property
  def free(self):
    """Number of streams that can still join."""
    return self.count - len(self._streams)

  def join(self, image, seed=0, **options):
    """Begins a stream with a portrait uint8 [H, H, 3]; returns its number, 0 .. count - 1.

    Args:
      image: the portrait.
      seed: of the motion.
      options: of this stream alone, those that no program is compiled for.

    Raises:
      InputError: all slots are taken, or an option has to be the same for all streams.
    """
    if not self.free:
      raise InputError(f'expected a free slot, all {self.count} are taken: wait until one leaves')
    options = self.sampler.options(**{**self.options, **options})
    if self.sampler.constants(options) != self._constants:
      names = ', '.join(self._constants)
      raise InputError(f'expected the {names} of all streams, got another: pass it to Slots')
    who = next(i for i in range(self.count) if i not in self._streams)
    portrait = self.sampler.portrait(image, options)
    begun = self.sampler.start(portrait, self.plan, options, seed)
    if self._portraits is None:
      empty = lambda x: np.zeros((self.count, *x.shape[1:]), x.dtype)
      self._portraits = jax.tree.map(lambda x: jnp.zeros((self.count, *x.shape), x.dtype), portrait)
      self._state, self._controls = jax.tree.map(empty, begun)
    self._portraits = _place(self._portraits, portrait, who)
    self._state, self._controls = _with_rows((self._state, self._controls), begun, [who], [0])
    self._streams[who] = _Stream(self.sampler.listener(self.plan, self.sample_rate))
    return who

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

  def _stream(self, who):
    if who not in self._streams:
      raise InputError(
        f'slot {who} is empty, expected one of {sorted(self._streams)}: its voice has ended or left'
      )
    return self._streams[who]

  def _sample(self, ready):
    """{who: codes [n, M]} of the streams that have a window."""
    windows = {who: stream.listener.take() for who, stream in ready.items()}
    first = next(iter(windows.values()))
    y = np.zeros((self.count, *first.y.shape), first.y.dtype)
    valid = np.ones((self.count, *first.valid.shape), first.valid.dtype)
    level = np.zeros((self.count, *first.level.shape))
    for who, window in windows.items():
      y[who], valid[who], level[who] = window.y, window.valid, window.level
    codes, state = self.sampler.advance(
      y, valid, self._state, self._controls, level, new=self.plan.new, **self._constants
    )
    rows = list(windows)  # the others have not moved on
    self._state = _with_rows(self._state, state, rows, rows)
    codes = np.asarray(codes)
    return {who: codes[who, : window.count] for who, window in windows.items()}

  def _draw_all(self, codes):
    # (block, who, frame): the first block of everybody, then the second, and so on
    size = self.block
    order = sorted((k // size, who, k) for who, own in codes.items() for k in range(len(own)))
    blocks = [order[start : start + size] for start in range(0, len(order), size)]
    owners = [np.array([who for _, who, _ in block], np.int32) for block in blocks]

    def draw(block, who):
      own = np.stack([codes[who][k] for _, who, k in block])
      return self.sampler.draw_mixed(self._portraits, who, own, size)

    calls = (functools.partial(draw, *both) for both in zip(blocks, owners))
    for who, frames in zip(owners, self.sampler.ahead(calls)):
      for one in dict.fromkeys(who.tolist()):
        yield one, frames[who == one]


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
