"""Many voices at once on one device: streams join and leave without compiling anything.

Motion of all slots is made in one batch of fixed size; frames of all of them are drawn in mixed
blocks of fixed size. An empty slot costs its share of the motion network and no drawing.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.streaming.windows import Listener
from ifmdm_jax.systems.ifmdm.sampler import Controls


@dataclasses.dataclass
class _Stream:
  listener: Listener
  index: int = 0  # windows so far
  codes: Any = None  # [n, M] of the window being drawn


class Slots:
  """Up to `count` live streams of a `Sampler`.

    slots = Slots(sampler, 8)
    who = slots.join(image, seed=3)
    slots.hear(who, block)                      # whenever sound arrives
    for who, frames in slots.step(): show(who, frames)
    slots.end(who)                              # the voice is over; the slot frees itself
    slots.leave(who)                            # or at once, dropping what was not shown

  Fair: in each step a stream gets one window at most, however much sound it has brought, and frame
  k of every stream is drawn before frame k + `block` of any.
  """

  def __init__(self, sampler, count, plan=None, sample_rate=16_000, **options):
    """`options`: steps, guidance, stepper of `Sampler.stream`; the same for all streams."""
    self.sampler, self.count, self.plan = sampler, count, plan or sampler.live
    self.sample_rate, self.options = sample_rate, sampler.checked(**options)
    self.block = min(sampler.block, self.plan.new)
    self._streams: dict[int, _Stream] = {}
    self._portraits = self._controls = self._before = None

  @property
  def free(self):
    """Number of streams that can still join."""
    return self.count - len(self._streams)

  def join(self, image, seed=0, motion_mean=0.0, motion_std=1.0):
    """A new stream with a portrait uint8 [H, H, 3]; returns its number, 0 .. count - 1.

    Raises:
      InputError: all slots are taken.
    """
    if not self.free:
      raise InputError(f'expected a free slot, all {self.count} are taken: wait until one leaves')
    who = next(i for i in range(self.count) if i not in self._streams)
    portrait = self.sampler.portrait(image)
    controls = self.sampler.controls(portrait, seed, motion_mean, motion_std)
    before = self.sampler.before(portrait, self.plan)
    if self._portraits is None:
      room = lambda x: np.zeros((self.count, *x.shape[1:]), x.dtype)
      self._portraits = jax.tree.map(lambda x: jnp.zeros((self.count, *x.shape), x.dtype), portrait)
      self._controls, self._before = jax.tree.map(room, controls), room(before)
    self._portraits = _place(self._portraits, portrait, who)
    self._controls, self._before = map(np.array, self._controls), np.array(self._before)
    self._controls = Controls(*self._controls)
    for all_of_them, own in zip((*self._controls, self._before), (*controls, before)):
      all_of_them[who] = own[0]
    self._streams[who] = _Stream(self.sampler.listener(self.plan, self.sample_rate))
    return who

  def hear(self, who, block):
    """Sound of a stream: a waveform [l] or [l, C] of any length."""
    self._stream(who).listener.add(block)

  def end(self, who):
    """The voice of a stream is over: what is left is still shown, then the slot is free."""
    self._stream(who).listener.close()

  def leave(self, who):
    """Frees a slot at once."""
    self._stream(who)
    del self._streams[who]

  def step(self):
    """One window for every stream that has heard enough: yields (who, uint8 frames [n, R, R, 3]).

    Several pieces for one stream come in order; pieces of all streams are interleaved.
    """
    ready = {who: s for who, s in self._streams.items() if s.listener.ready()}
    if ready:
      codes = self._dream(ready)
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

  def _dream(self, ready):
    """{who: codes [n, M]} of the streams that have a window."""
    windows = {who: stream.listener.take() for who, stream in ready.items()}
    first = next(iter(windows.values()))
    y = np.zeros((self.count, *first.y.shape), first.y.dtype)
    mask = np.ones((self.count, *first.mask.shape), first.mask.dtype)
    index = np.zeros(self.count, np.uint32)
    for who, window in windows.items():
      y[who], mask[who], index[who] = window.y, window.mask, ready[who].index
      ready[who].index += 1
    codes, before = self.sampler.dream(
      y, mask, self._before, index, self._controls, new=self.plan.new, **self.options
    )
    codes, before = np.asarray(codes), np.asarray(before)
    chosen = list(windows)
    self._before = self._before.copy()
    self._before[chosen] = before[chosen]
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


@functools.partial(jax.jit, donate_argnums=0)
def _place(portraits, portrait, who):
  return jax.tree.map(lambda all_of_them, own: all_of_them.at[who].set(own), portraits, portrait)
