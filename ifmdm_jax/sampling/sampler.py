"""A portrait and a voice become frames: encode once, dream motion window by window, draw.

Windows are chained by the hint token: each starts from the last code of the one before, and the
mean token pulls the pose back to the portrait's, so that it does not drift away over minutes.
"""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.motion import model as motion_model

FPS = 25
FEATURES_PER_FRAME = 2
BLOCK = 8  # frames drawn by one call


@dataclasses.dataclass(frozen=True)
class Stage:
  """A trained stage: the module that knows its functions, the config it was made with, weights."""

  module: Any
  config: Any
  params: Any


class Sampler:
  """`sampler(image, waveform)`; see `ifmdm_jax.load`.

  Attributes:
    size: side of the frames, pixels.
    defaults: steps and guidance that the weights advise.
  """

  def __init__(self, autoencoder, motion, units, audio, *, size=512, steps=25, guidance=2.0):
    """Builds the compiled functions.

    Args:
      autoencoder: `Stage`; its module has portrait(params, image, config), motion(params, frames,
        config) and draw(params, portrait, codes, config).
      motion: `Stage` of `ifmdm_jax.motion.model`.
      units: `ifmdm_jax.motion.units.Units`, how stage 2 sees codes and features.
      audio: an `ifmdm_jax.audio.features.AudioEncoder`.
      size: side of the frames, pixels.
      steps, guidance: defaults of every call.
    """
    self.size, self.defaults = size, dict(steps=steps, guidance=guidance)
    self._autoencoder, self._motion, self._units, self._audio = autoencoder, motion, units, audio
    self.window = motion.config.frames
    module, config = autoencoder.module, autoencoder.config
    self._portrait = jax.jit(lambda params, image: module.portrait(params, image, config))
    self._read = jax.jit(lambda params, frames: module.motion(params, frames, config))
    self._draw = jax.jit(functools.partial(_draw_block, module, config))

    @functools.partial(jax.jit, static_argnames=('steps', 'guidance'))
    def dream(params, key, y, hint, mean, std, steps, guidance):
      return motion_model.sample(
        params, motion.config, key, y, hint, mean, std, units=units, steps=steps, guidance=guidance
      )

    self._dream = dream

  def __call__(self, image, waveform, sample_rate=16_000, seed=0, **options):
    """The whole clip: uint8 [T, size, size, 3], T = round(seconds * 25).

    Args:
      image: uint8 [H, H, 3], a square portrait, cut as `ifmdm_jax.sample` does.
      waveform: [L] or [L, C].
      sample_rate: Hz.
      seed: of the motion; the same seed gives the same frames.
      options: steps, guidance, motion_mean, motion_std; see `frames`.
    """
    return np.concatenate(list(self.frames(image, waveform, sample_rate, seed, **options)))

  def frames(self, image, waveform, sample_rate=16_000, seed=0, **options):
    """The same in blocks of a few frames: only the voice and its features stay in memory.

    Args:
      steps: evaluations of the motion network per window.
      guidance: how strictly the motion follows the voice; 1 is as in training.
      motion_mean: offset of the pose, 1 is a typical deviation: one number for all directions, or
        one per motion direction; lips follow the voice alone.
      motion_std: liveliness of head, lids and brows; 1 is typical, 0 keeps them still.
    """
    features = self._audio.features(waveform, sample_rate)
    yield from self._render(image, [features], seed, **options)

  def stream(self, image, blocks: Iterable[np.ndarray], sample_rate=16_000, seed=0, **options):
    """Frames while the voice is still arriving: yields uint8 [n, size, size, 3] as soon as the
    sound of a window of motion is there. Memory is bounded; the voice may go on for ever.

    Args:
      blocks: any iterable of waveforms [l] or [l, C], of any length each.
    """
    yield from self._render(image, self._listen(blocks, sample_rate), seed, **options)

  def codes(self, image, waveform, sample_rate=16_000, seed=0, **options):
    """Motion codes instead of pictures: float32 [T, M]."""
    features = self._audio.features(waveform, sample_rate)
    portrait = self._encode(image)
    windows = self._dream_windows(portrait, [features], seed, **self._checked(**options))
    return np.concatenate([np.asarray(codes) for codes in windows])

  def reenact(self, image, driving, relative=False):
    """The portrait with the motion of a video: uint8 [T, size, size, 3].

    Args:
      image: uint8 [H, H, 3].
      driving: uint8 [T, R, R, 3], frames cut like the portrait.
      relative: add the motion since the first driving frame to the portrait's own; for another
        person's video. False takes the codes as they are; for a person's own.
    """
    portrait = self._encode(image)
    codes = np.concatenate(
      [np.asarray(self._read(self._autoencoder.params, frame[None])) for frame in driving]
    )
    if relative:
      codes = codes - codes[:1] + np.asarray(portrait.code)
    return np.concatenate(list(self._draw_all(portrait, codes)))

  def _render(self, image, features, seed, **options):
    portrait = self._encode(image)
    for codes in self._dream_windows(portrait, features, seed, **self._checked(**options)):
      yield from self._draw_all(portrait, codes)

  def _draw_all(self, portrait, codes):
    for start in range(0, len(codes), BLOCK):
      block = codes[start : start + BLOCK]
      whole = np.pad(block, ((0, BLOCK - len(block)), (0, 0)), mode='edge')
      yield np.asarray(self._draw(self._autoencoder.params, portrait, whole))[: len(block)]

  def _checked(self, steps=None, guidance=None, motion_mean=0.0, motion_std=1.0):
    steps = self.defaults['steps'] if steps is None else steps
    guidance = self.defaults['guidance'] if guidance is None else guidance
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
    if offset.shape == ():
      offset = np.full(directions, offset)
    return dict(steps=int(steps), guidance=float(guidance), offset=offset, scale=float(motion_std))

  def _encode(self, image):
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.shape[0] != image.shape[1]:
      raise InputError(
        f'image should be a square uint8 [H, H, 3], got {image.shape}: cut it with '
        f'ifmdm_jax.sample.find_square'
      )
    import cv2

    if image.shape[0] != self.size:
      shrinks = image.shape[0] > self.size
      image = cv2.resize(
        image, (self.size, self.size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
      )
    return self._portrait(self._autoencoder.params, image)

  def _dream_windows(self, portrait, features, seed, *, steps, guidance, offset, scale):
    """Codes [t, M] window by window, from arrays of features [2t, A] of any length."""
    rest, typical = portrait.code, self._units.statistics['window_std']  # [1, M], [M]
    # Directions whose statistics are not told, the lips, are left alone by both.
    mean = (rest + (offset * typical)[None])[None]
    std = (scale * typical)[None, None]
    hint = rest[None]
    for index, (y, count) in enumerate(_in_windows(features, FEATURES_PER_FRAME * self.window)):
      key = jax.random.fold_in(jax.random.key(seed), index)
      codes = self._dream(self._motion.params, key, y[None], hint, mean, std, steps, guidance)
      codes = np.asarray(codes[0, : count // FEATURES_PER_FRAME])
      if scale == 0:  # tokens ask for calm; this holds the head entirely still
        codes = np.where(np.asarray(self._units.told)[None], np.asarray(mean[0]), codes)
      hint = jnp.asarray(codes[None, -1:])
      yield codes

  def _listen(self, blocks, sample_rate, past_seconds=4.0):
    """Features of each whole window as its sound arrives, heard with a few seconds of past."""
    per_frame = sample_rate / FPS
    heard = None  # the sound not yet turned into features, and the past before it
    past, done = 0, 0  # samples of past in `heard`; frames delivered
    total = 0
    for block in blocks:
      block = np.asarray(block)
      heard = block if heard is None else np.concatenate([heard, block])
      total += len(block)
      while total >= round((done + self.window) * per_frame):
        end = past + round((done + self.window) * per_frame) - round(done * per_frame)
        features = self._audio.features(heard[:end], sample_rate)
        yield features[-FEATURES_PER_FRAME * self.window :]
        done += self.window
        keep = min(end, round(past_seconds * sample_rate))
        heard, past = heard[end - keep :], keep
    frames = round(total / per_frame) - done
    if frames > 0:
      yield self._audio.features(heard, sample_rate)[-FEATURES_PER_FRAME * frames :]


def _draw_block(module, config, params, portrait, codes):
  """uint8 frames of a few codes [n, M], one after the other: memory of one frame."""

  def one(code):
    return module.draw(params, portrait, code[None], config)[0]

  return jax.lax.map(one, codes)


def _in_windows(features, size):
  """Arrays [n, A] of any length -> (window [size, A], real rows in it); the last is filled up."""
  kept = None
  for array in features:
    kept = array if kept is None else np.concatenate([kept, array])
    while len(kept) >= size:
      yield kept[:size], size
      kept = kept[size:]
  if kept is not None and len(kept):
    yield np.pad(kept, ((0, size - len(kept)), (0, 0)), mode='edge'), len(kept)
