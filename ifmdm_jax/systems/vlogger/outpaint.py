"""Videos of any length out of a model of N frames: the last ones are known, the next are drawn.

Temporal outpainting (arXiv 2403.08764, section 3.2): N frames are drawn; then again and again the
last ones are held, and as many new ones drawn as still fit. Held frames are put in place before
every step, noised for that step, and are exact in the end. Half of N overlap, as published.
Frames leave as soon as they are final, so memory does not grow with the length.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.diffusion import steppers
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.vlogger import video, video_model


class Window(NamedTuple):
  """A clip that is drawn at once.

  Attributes:
    start, stop: frames of the video that it shows; it is filled up to N by the last.
    known: how many of its first frames are there already.
  """

  start: int
  stop: int
  known: int


def windows(total, length, overlap=0.5):
  """Lists the windows of a video.

  Args:
    total: frames of the video.
    length: N, frames of a window.
    overlap: share of a window that is known but for the first, from 0 to below 1.

  Raises:
    InputError: there is no frame, or nothing new would be drawn.
  """
  known = round(length * overlap)
  if total < 1 or not 0 <= known < length:
    raise InputError(
      f'expected 1 frame or more and an overlap from 0 to below 1, got {total} and {overlap}'
    )
  found = [Window(0, min(length, total), 0)]
  while found[-1].stop < total:
    start = found[-1].stop - known
    found.append(Window(start, min(start + length, total), known))
  return found


def draw(params, given, before, keep, key, *, config, steps):
  """Draws one window: [N, S, S, 3] in [-1, 1], where `keep` is 1 that of `before`.

  Args:
    params: of `video.init`.
    given: `video.Given` of N frames.
    before: [N, S, S, 3]; what is not known is not read.
    keep: 1 where it is known, 0 where it is drawn; of four axes, broadcastable.
    key: random key.
    config: config.model.
    steps: of DDPM, see `diffusion.schedule.spacing`.
  """
  process, length = video_model.gaussian(config, steps), len(before)
  keys = jax.random.split(key, 3)
  count = len(process.schedule)
  noise = jax.random.normal(keys[0], (count, *before.shape))

  def denoise(x_t, t):
    return video.denoise(params, x_t, jnp.full((length,), t, jnp.int32), given, length, config)

  made = steppers.sample(
    denoise, process, steppers.DDPM(), jax.random.normal(keys[1], before.shape), noise,
    known=steppers.known_region(process, before, keep), key=keys[2],
  )  # fmt: skip
  return jnp.where(keep > 0, before, jnp.clip(made, -1, 1))


def outpaint(drawn, total, length, side, *, overlap=0.5, key):
  """Yields the frames of a video, float32 [t, S, S, 3] in [-1, 1], window after window.

  Args:
    drawn: (numbers of the frames int [N], before [N, S, S, 3], how many of its first ones are
      known, key) -> [N, S, S, 3]: `draw`, with what is given of those frames.
    total: frames of the video.
    length: N.
    side: S.
    overlap: see `windows`.
    key: random key.
  """
  last = np.zeros((0, side, side, 3), np.float32)
  for number, window in enumerate(windows(total, length, overlap)):
    numbers = np.minimum(np.arange(window.start, window.start + length), total - 1)
    before = np.zeros((length, side, side, 3), np.float32)
    before[: window.known] = last[len(last) - window.known :]
    made = np.asarray(drawn(numbers, before, window.known, jax.random.fold_in(key, number)))
    last = made[: window.stop - window.start]
    yield last[window.known :]
