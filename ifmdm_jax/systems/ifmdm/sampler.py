"""A portrait and a voice become frames: encode once, dream motion window by window, draw.

Windows are chained by the hint token: each starts from the last code of the one before, and the
mean token pulls the pose back to the portrait's, so that it does not drift away over minutes.
File, long file and microphone are one path, `Sampler.stream`; `slots.Slots` runs the same compiled
functions for many voices at once.
"""

import collections
import concurrent.futures
import dataclasses
import functools
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.audio import waveform as waveforms
from ifmdm_jax.errors import InputError
from ifmdm_jax.streaming.programs import Jitted
from ifmdm_jax.streaming.windows import FEATURES_PER_FRAME, FPS, Listener, Plan
from ifmdm_jax.systems.ifmdm.motion import distill
from ifmdm_jax.systems.ifmdm.motion import model as motion_model

BLOCK = 8  # frames drawn by one call, at most
WORKERS = 8  # calls under way at once on a CPU, at most; one for each core
# A CPU's compiler would drop barriers, and compute again what a pixel needs for each that reads it.
KEEP_BARRIERS = {'xla_disable_hlo_passes': 'cse_barrier_expander'}


@dataclasses.dataclass(frozen=True)
class Stage:
  """A trained stage: the module that knows its functions, the config it was made with, weights."""

  module: Any
  config: Any
  params: Any


class Controls(NamedTuple):
  """What a voice's motion is asked for, one row per voice; see `Sampler.stream`."""

  seed: jax.Array  # uint32 [B]
  mean: jax.Array  # [B, 1, M], the pose that windows are centred on
  std: jax.Array  # [B, 1, M], 0 holds all but the lips still


class Sampler:
  """`sampler(image, waveform)`; see `ifmdm_jax.load`. A `generator.Generator`.

  Attributes:
    name: in tables.
    size: side of the frames, pixels.
    defaults: steps, guidance and stepper that the weights advise.
    block: frames drawn by one call.
    whole, live: the plans for a voice that is there already, and for one that is still arriving.
  """

  needs = frozenset({'image', 'voice'})
  fps = FPS

  def __init__(
    self,
    autoencoder,
    motion,
    units,
    audio,
    *,
    name='ifmdm',
    size=512,
    steps=10,
    guidance=2.0,
    stepper='ddim',
  ):
    """Builds the compiled functions.

    Args:
      autoencoder: `Stage`; its module has portrait(params, image, config), motion(params, frames,
        config) and draw(params, portrait, codes, config).
      motion: `Stage` of `ifmdm_jax.systems.ifmdm.motion.model`.
      units: `ifmdm_jax.systems.ifmdm.motion.units.Units`, how stage 2 sees codes and features.
      audio: an `ifmdm_jax.audio.features.AudioEncoder`.
      name: in tables.
      size: side of the frames, pixels.
      steps, guidance, stepper: defaults of every call.
    """
    self.name, self.size = name, size
    self.defaults = dict(steps=steps, guidance=guidance, stepper=stepper)
    self.whole, self.live = plans(motion.config.frames)
    self._autoencoder, self._motion, self._units, self._audio = autoencoder, motion, units, audio
    module, config = autoencoder.module, autoencoder.config
    # A CPU is kept busy by a call of one frame on each core, others by wide calls and a queue.
    cpu = jax.default_backend() == 'cpu'
    self.block = 1 if cpu else BLOCK
    self._workers = min(WORKERS, len(os.sched_getaffinity(0))) if cpu else 2
    self._pool = concurrent.futures.ThreadPoolExecutor(self._workers)
    faster = getattr(module, 'for_cpu', None) if cpu else None
    # On the device once: arrays of the host would travel with every call.
    self._params = jax.device_put(
      (faster(autoencoder.params) if faster else autoencoder.params, motion.params)
    )
    named = lambda what: (what, module.__name__, str(config))
    self._portrait = Jitted(
      lambda params, image: module.portrait(params, image, config), named('portrait')
    )
    self._read = Jitted(lambda params, frames: module.motion(params, frames, config), named('read'))
    options = dict(compiler_options=KEEP_BARRIERS if cpu else None)
    self._draw = Jitted(
      functools.partial(draw_block, module, config, self.block), named('draw'), **options
    )
    self._draw_mixed = Jitted(
      functools.partial(draw_mixed, module, config, self.block), named('mixed'), **options
    )
    self._dream = Jitted(
      functools.partial(dream, motion.config, units),
      ('dream', str(motion.config), units),
      static_argnames=('new', 'steps', 'guidance', 'stepper'),
    )

  def __call__(self, image, waveform, sample_rate=16_000, seed=0, **options):
    """The whole clip: uint8 [T, size, size, 3], T = round(seconds * 25).

    Args:
      image: uint8 [H, H, 3], a square portrait, cut as `ifmdm_jax.sample` does.
      waveform: [L] or [L, C].
      sample_rate: Hz.
      seed: of the motion; the same seed gives the same frames.
      options: of `stream`; the plan is `whole` if none is given.
    """
    return np.concatenate(list(self.frames(image, waveform, sample_rate, seed, **options)))

  def frames(self, image, waveform, sample_rate=16_000, seed=0, plan=None, **options):
    """The same in blocks of a few frames: of the video, only these are in memory."""
    waveforms.check(waveform, sample_rate)
    plan = plan or self.whole
    yield from self.stream(image, [waveform], sample_rate, seed, plan=plan, **options)

  def stream(
    self, image, blocks: Iterable[np.ndarray], sample_rate=16_000, seed=0, plan=None, **options
  ):
    """Frames while the voice is still arriving: yields uint8 [n, size, size, 3] as soon as the
    sound of a window of motion is there. Memory is bounded; the voice may go on for ever.

    Args:
      blocks: any iterable of waveforms [l] or [l, C], of any length each; the frames do not depend
        on how the sound is cut.
      plan: the windows; `live` by default. With the same plan, `frames` gives the same frames.
      steps: evaluations of the motion network per window, or a spacing; see
        `diffusion.schedule.spaced`.
      guidance: how strictly the motion follows the voice; 1 is as in training.
      stepper: 'ddim' or 'dpm', DPM-Solver++(2M).
      motion_mean: offset of the pose, 1 is a typical deviation: one number for all directions, or
        one per motion direction; lips follow the voice alone.
      motion_std: liveliness of head, lids and brows; 1 is typical, 0 keeps them still.
    """
    portrait, plan = self.portrait(image), plan or self.live
    size = min(self.block, plan.new)
    for codes in self._windows(portrait, blocks, sample_rate, seed, plan, options):
      yield from self.drawn(portrait, codes, size)  # shown before more sound is awaited

  def codes(self, image, waveform, sample_rate=16_000, seed=0, plan=None, **options):
    """Motion codes instead of pictures: float32 [T, M]."""
    waveforms.check(waveform, sample_rate)
    windows = self._windows(
      self.portrait(image), [waveform], sample_rate, seed, plan or self.whole, options
    )
    return np.concatenate(list(windows))

  def generate(self, clip, *, seed=0):
    """Animates `clip.image` by `clip.waveform`: yields uint8 [n, size, size, 3]."""
    return self.frames(clip.image, clip.waveform, clip.rate, seed)

  def reenact(self, clip, relative=False):
    """Animates `clip.image` by the motion of `clip.frames`: yields uint8 [n, size, size, 3].

    Args:
      clip: a `Clip`; its frames are cut like the portrait.
      relative: add the motion since the first driving frame to the portrait's own; for another
        person's video. False takes the codes as they are; for a person's own.
    """
    portrait = self.portrait(clip.image)
    codes = np.concatenate(
      [np.asarray(self._read(self._params[0], frame[None])) for frame in clip.frames]
    )
    if relative:
      codes = codes - codes[:1] + np.asarray(portrait.code)
    yield from self.drawn(portrait, codes, self.block)

  def warm(self, plan=None, sample_rate=16_000, **options):
    """Compiles everything that `stream` needs, so that the first frame comes at once."""
    plan = plan or self.live
    silence = np.zeros(-(-plan.length * sample_rate // 25), np.float32)
    picture = np.zeros((self.size, self.size, 3), np.uint8)
    for _ in self.stream(picture, [silence], sample_rate, plan=plan, **options):
      pass

  # -- the parts, which `slots.Slots` uses as well

  def portrait(self, image):
    """uint8 [H, H, 3], any side -> what `draw` needs of it."""
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.shape[0] != image.shape[1]:
      raise InputError(
        f'image should be a square uint8 [H, H, 3], got {image.shape}: cut it with '
        f'ifmdm_jax.sample.find_square'
      )
    if image.shape[0] != self.size:
      import cv2

      shrinks = image.shape[0] > self.size
      image = cv2.resize(
        image, (self.size, self.size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
      )
    return self._portrait(self._params[0], image)

  def drawn(self, portrait, codes, size):
    """Codes [n, M] -> yields uint8 [size or fewer, R, R, 3] in order."""
    blocks = (codes[start : start + size] for start in range(0, len(codes), size))
    return self.ahead(functools.partial(self.draw, portrait, block, size) for block in blocks)

  def draw(self, portrait, codes, size):
    """Codes [n, M], n up to `size` -> uint8 [n, R, R, 3]."""
    # Always `size` frames, so that every call is the same program.
    padded = _pad(codes, size)
    return np.asarray(self._draw(self._params[0], portrait, padded))[: len(codes)]

  def ahead(self, calls):
    """Yields the results of `calls` in order, while the next ones are at work on other cores, or,
    on an accelerator, while the last one is fetched."""
    waiting = collections.deque()
    try:
      for call in calls:
        waiting.append(self._pool.submit(call))
        if len(waiting) > 2 * self._workers:
          yield waiting.popleft().result()
      while waiting:
        yield waiting.popleft().result()
    finally:  # nobody wants the rest
      for job in waiting:
        job.cancel()

  def dream(self, y, mask, before, index, controls, **options):
    """One window for B voices at once; see `dream` below."""
    return self._dream(self._params[1], y, mask, before, index, controls, **options)

  def before(self, portrait, plan):
    """Codes before the first window, [1, 1 + plan.known, M]: the portrait's own."""
    return np.repeat(np.asarray(portrait.code)[:, None], 1 + plan.known, axis=1)

  def draw_mixed(self, portraits, who, codes, size):
    """The same of several portraits [N, ...]: who int [n], codes [n, M], n up to `size`."""
    wanted = _pad(who, size), _pad(codes, size)
    return np.asarray(self._draw_mixed(self._params[0], portraits, *wanted))[: len(codes)]

  @property
  def programs(self):
    """The jitted functions by name, their parameters bound: portrait, dream, draw."""
    stage_1, stage_2 = self._params
    return dict(
      portrait=(self._portrait, stage_1), dream=(self._dream, stage_2), draw=(self._draw, stage_1)
    )

  @property
  def stages(self):
    """(stage 1, stage 2, units)."""
    return self._autoencoder, self._motion, self._units

  def listener(self, plan, sample_rate):
    """A `plan.Listener` with this sampler's speech encoder."""
    return Listener(self._audio, plan, sample_rate)

  def checked(self, steps=None, guidance=None, stepper=None):
    """What `dream` is told, defaults filled in."""
    given = dict(steps=steps, guidance=guidance, stepper=stepper)
    chosen = {k: self.defaults[k] if v is None else v for k, v in given.items()}
    distill.check(self._motion.config, chosen['steps'], chosen['guidance'])
    return dict(chosen, steps=spacing(chosen['steps']), guidance=float(chosen['guidance']))

  def controls(self, portrait, seed=0, motion_mean=0.0, motion_std=1.0):
    """`Controls` of one voice, as NumPy arrays."""
    directions = self._motion.config.motion_dim
    offset = np.asarray(motion_mean, np.float32)
    if offset.shape not in ((), (directions,)):
      raise InputError(
        f'motion_mean should be one number or {directions}, got {offset.size}: '
        f'pass one per motion direction'
      )
    if not np.isfinite(offset).all() or not np.isfinite(motion_std) or motion_std < 0:
      raise InputError(
        f'motion_mean and motion_std should be finite and motion_std not negative, '
        f'got {motion_mean} and {motion_std}'
      )
    typical = np.asarray(self._units.statistics['window_std'], np.float32)  # [M]
    # Directions whose statistics are not told, the lips, are left alone by both.
    mean = np.asarray(portrait.code, np.float32) + offset * typical
    std = np.float32(motion_std) * typical
    return Controls(np.array([seed % 2**32], np.uint32), mean[:, None], std[None, None])

  def _windows(self, portrait, blocks, sample_rate, seed, plan, options):
    """Codes [t, M], window by window; the next is made beside the drawing, if it was heard."""
    dreaming = {k: options.pop(k, None) for k in self.defaults}
    dreaming = self.checked(**dreaming)
    controls = self.controls(portrait, seed, **options)
    before, index = self.before(portrait, plan), 0
    listener = self.listener(plan, sample_rate)

    def window():
      nonlocal before, index
      heard = listener.take()
      codes, before = self.dream(
        heard.y[None], heard.mask[None], before, np.array([index], np.uint32), controls,
        new=plan.new, **dreaming,
      )  # fmt: skip
      index += 1
      return np.asarray(codes)[0, : heard.count]

    def next_one():
      return self._pool.submit(window) if listener.ready() else None

    def heard():
      for block in blocks:
        listener.add(block)
        yield
      listener.close()
      yield

    for _ in heard():
      job = next_one()
      while job:
        codes = job.result()
        job = next_one()  # one at a time: each begins where the last one ended
        yield codes


def plans(frames):
  """(whole, live): the windows of a network trained on `frames`; chosen in experiments/steps.

  Together with the past they come to just under 5 s and 2 s, lengths that the speech encoder is
  compiled for anyway.
  """
  future = frames // 8
  whole = Plan(new=frames - future, future=future, known=0, past=60)
  new, ahead = min(6, frames // 2), min(4, frames // 4)
  live = Plan(new, ahead, known=min(22, frames - new - ahead), past=39)
  return whole, live


def spacing(steps):
  """Steps of a caller -> what `diffusion.schedule.spaced` takes: plain numbers are trailing."""
  return f'trailing{steps}' if str(steps).isdigit() else str(steps)


def dream(
  config, units, params, y, mask, before, index, controls, *, new, steps, guidance, stepper
):
  """The next window of motion of B voices, each with its own seed: no voice depends on another.

  Args:
    y: [B, 2T, A], speech features.
    mask: [B, T], nonzero for frames that are.
    before: [B, 1 + K, M], the hint and the codes of the window's first K frames.
    index: uint32 [B], windows that the voice has had.
    controls: `Controls`.
    new: frames to show, after the K known ones.

  Returns:
    codes [B, new, M], and `before` of the next window.
  """
  hint, known = before[:, :1], before[:, 1:]

  def noise_of(seed, index):
    key = jax.random.fold_in(jax.random.key(seed), index)
    return jax.random.normal(key, (y.shape[1] // FEATURES_PER_FRAME, config.motion_dim))

  codes = motion_model.sample(
    params,
    config,
    jax.vmap(noise_of)(controls.seed, index),
    y,
    hint,
    controls.mean,
    controls.std,
    mask,
    known=known,
    units=units,
    steps=steps,
    guidance=guidance,
    stepper=stepper,
  )
  # Tokens ask for calm; this holds the head entirely still.
  still = (controls.std == 0).all(2, keepdims=True) & units.told[None, None]
  codes = jnp.where(still, controls.mean, codes)
  shown = codes[:, known.shape[1] :][:, :new]
  return shown, jnp.concatenate([before, shown], axis=1)[:, new:]


def draw_block(module, config, at_once, params, portrait, codes):
  """uint8 frames of a few codes [n, M], `at_once` of them together."""

  def one(code):
    return module.draw(params, portrait, code[None], config)[0]

  return _map(one, codes, at_once)


def draw_mixed(module, config, at_once, params, portraits, who, codes):
  """The same where each code has a portrait of its own, by its number among [N, ...]."""

  def one(wanted):
    own = lambda x: jax.lax.dynamic_index_in_dim(x, wanted[0], keepdims=False)
    portrait = jax.tree.map(own, portraits)
    portrait = jax.lax.optimization_barrier(portrait)  # copied once, not looked up pixel by pixel
    return module.draw(params, portrait, wanted[1][None], config)[0]

  return _map(one, (who, codes), at_once)


def _map(one, given, at_once):
  return jax.lax.map(one, given, batch_size=at_once if at_once > 1 else None)


def _pad(x, size):
  return np.pad(x, ((0, size - len(x)), *[(0, 0)] * (x.ndim - 1)), mode='edge')
