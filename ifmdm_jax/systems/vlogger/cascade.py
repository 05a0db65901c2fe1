"""The video model at work: a body that moves becomes frames, stage after stage of the cascade.

The first stage draws small frames, each further one draws those of the stage before larger (section
3.2 of arXiv 2403.08764). All of them go window by window (`outpaint`), and a stage asks the one
before only for the frames of its next window: memory does not grow with the length.

Where there are frames already, composed of the photo's own pixels, only those places are drawn that
the controls know nothing about, see `unknown`.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import resized
from ifmdm_jax.nn.pixels import as_bytes, as_float
from ifmdm_jax.systems.vlogger import body, fit, outpaint, video, video_model

LEVEL = 0.1  # of the schedule, to which frames of the stage before are noised


class Cascade:
  """Trained stages of the video model.

  Attributes:
    side: of the frames of the last stage, pixels.
  """

  def __init__(self, stages):
    """Checks that each stage enlarges the frames of the one before.

    Args:
      stages: [(config.model, params of `video.init`), ...], smallest first; config.steps are those
        of sampling, see `diffusion.schedule.spacing`.

    Raises:
      InputError: a stage is missing.
    """
    self.side, self._stages, self._programs = 0, [], {}
    for config, params in stages:
      if config.low != self.side:
        raise InputError(
          f'expected stages of the video model that each enlarge the frames of the one before, the '
          f'first none; got one to {config.image} px that enlarges {config.low} px after '
          f'{self.side} px: give all of them'
        )
      self.side = config.image
      self._stages.append((ml_collections.FrozenConfigDict(config), params))

  def draw(self, found, picture, moved, *, seed=0):
    """Yields frames as they are final: uint8 [t, side, side, 3].

    Args:
      found: `fit.Fit` of the photo.
      picture: the photo, uint8 [S, S, 3].
      moved: motion of the body, [T, A].
      seed: of the noise.
    """
    yield from self._run(found, picture, moved, seed, itertools.repeat(None))

  def fill(self, found, picture, moved, film, *, seed=0):
    """Yields the frames of a film [t, S, S, 3] with what the controls do not know drawn.

    What is drawn differs from the film by pixels of `side`; that difference is enlarged and added,
    so that the film's detail stays and nothing changes where the controls know something.

    Args:
      found, picture, moved, seed: see `draw`.
      film: blocks uint8 [t, S, S, 3] of T frames in all.
    """
    *films, own = itertools.tee(film, len(self._stages) + 1)
    whole = Reel(own)
    start = 0
    for block in self._run(found, picture, moved, seed, films):
      frames = whole.at(np.arange(start, start + len(block)))
      yield np.stack([_added(*pair) for pair in zip(frames, block)])
      start += len(block)

  def compile(self, filling):
    """Compiles what `fill` needs, or `draw`."""
    for number in range(len(self._stages)):
      self._program(number, filling)

  def _run(self, found, picture, moved, seed, films):
    blocks, key = None, jax.random.key(seed)
    for number, ((config, params), film) in enumerate(zip(self._stages, films)):
      window = functools.partial(self._program(number, film is not None), params, body.load())
      own = jax.random.fold_in(key, number)
      blocks = _stage(window, config, (found, picture, moved), blocks, film, own)
    for block in blocks:
      yield np.asarray(as_bytes(block))

  def _program(self, number, filling):
    """Returns `_window` of a stage, compiled."""
    if (number, filling) not in self._programs:
      config, params = self._stages[number]
      length, side, model = config.clip, config.image, body.load()
      film = lambda side, dtype: np.zeros((length, side, side, 3), dtype)
      standing = fit.Fit(
        np.zeros(len(model.identity), np.float32), 1.0, body.standing()[None], np.zeros(1), (1, 1)
      )
      batch = _clip(standing, film(side, np.uint8)[0], np.repeat(standing.motion, length, 0), side)
      low = film(config.low, np.float32) if config.low else None
      own = film(side, np.uint8) if filling else None
      self._programs[number, filling] = _window.lower(
        params, model, batch, low, film(side, np.float32), np.int32(0), own, jax.random.key(0),
        config=config,
      ).compile()  # fmt: skip
    return self._programs[number, filling]


class Reel:
  """Frames of a stream by their numbers; those before the ones that were asked for are let go."""

  def __init__(self, blocks):
    self._blocks, self._kept, self._first = iter(blocks), [], 0

  def at(self, numbers):
    """Returns the frames [N, ...] of ascending numbers [N]; the first of them never falls."""
    while self._first + len(self._kept) <= numbers[-1]:
      self._kept.extend(next(self._blocks))
    del self._kept[: numbers[0] - self._first]
    self._first = int(numbers[0])
    return np.stack([self._kept[number - self._first] for number in numbers])


def _stage(window, config, person, before, film, key):
  """Yields the frames of one stage, float32 [t, S, S, 3] from -1 to 1."""
  low = Reel(before) if before is not None else None
  film = Reel(film) if film is not None else None
  side = config.image
  found, picture, moved = person

  def drawn(numbers, last, known, its_key):
    batch = _clip(found, picture, moved[numbers], side)
    small = low.at(numbers) if low else None
    own = np.stack([resized(each, side) for each in film.at(numbers)]) if film else None
    return window(batch, small, last, np.int32(known), own, its_key)

  yield from outpaint.outpaint(drawn, len(moved), config.clip, side, key=key)


def _clip(found, picture, moved, side):
  """Makes what `video_model.shown` reads of one clip, a batch of one."""
  clip = dict(
    identity=found.identity,
    focal=np.float32(found.focal / found.size[0]),
    at=found.motion[0],
    motion=moved,
    reference=resized(picture, side),
  )
  return {name: np.asarray(value)[None] for name, value in clip.items()}


@functools.partial(jax.jit, static_argnames='config')
def _window(params, model, batch, low, last, known, own, key, *, config):
  """Draws one window, see `outpaint.draw`; `own`: frames that are right but where `unknown`."""
  keys = jax.random.split(key)
  shown = video_model.shown(model, batch, config)
  given = video.Given(controls=shown[0])
  if low is not None:
    level = jnp.full((config.clip,), round(LEVEL * config.timesteps), jnp.int32)
    given = given._replace(**video_model.noised(low, level, keys[0], config))
  keep = (jnp.arange(config.clip) < known).astype(jnp.float32)[:, None, None, None]
  if own is not None:
    last = jnp.where(keep > 0, last, as_float(own))
    keep = jnp.maximum(keep, 1 - unknown(model, batch, shown, config)[0])
  return outpaint.draw(params, given, last, keep, keys[1], config=config, steps=config.steps)


def unknown(model, batch, shown, config):
  """Marks pixels that the photo says nothing about: [B, T, S, S, 1], 1 there.

  Those are of the body where the photo did not show it, such as the inside of a mouth, and of what
  lies behind it where the body was in the photo and is no more. What the controls do not know of
  the photo itself, at its edge and along outlines, is not among them.

  Args:
    model: `body.Body`.
    batch: see `clips.make_loader`; frames are not read.
    shown: its controls, see `video_model.shown`.
    config: config.model.
  """
  in_photo = video_model.shown(model, {**batch, 'motion': batch['at'][:, None]}, config)
  now, then = (video.parts(each, config)[0] for each in (shown, in_photo))
  here, was = (each.masks.sum(-1, keepdims=True) for each in (now, then))
  return jnp.maximum(here * (1 - now.valid), was * (1 - here)) * (1 - was * (1 - then.valid))


def _added(frame, drawn):
  """Adds to a frame [S, S, 3] what differs in it drawn smaller [s, s, 3]; uint8 all of them."""
  apart = np.float32(drawn) - resized(frame, len(drawn))
  return np.uint8(np.rint(np.clip(frame + resized(apart, len(frame)), 0, 255)))
