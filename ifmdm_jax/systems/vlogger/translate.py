"""A filmed face says something else: head and upper face are the film's, the mouth goes as M says.

The body is fitted to the shot; of its units those of jaw and mouth are taken from a motion that M
made to the new voice, and the face's landmarks move by what that moves the body's. Pixels are drawn
by a `generator.Redraws`, and only where landmarks have moved.
"""

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import points
from ifmdm_jax.rates import FPS
from ifmdm_jax.systems.vlogger import axes, edit, fit, performance

MOUTH = axes.indices('mouth')


def voice(shot, rate):
  """Brings the voice of a shot to the shot's length, with silence: float32 [L]."""
  length = int(np.ceil((shot.times[-1] + 1 / FPS) * rate))
  waveform = np.asarray(shot.waveform, np.float32)[:length]
  return np.pad(waveform, (0, length - len(waveform)))


def moved(shot, made):
  """Moves the landmarks of a shot: float64 [T, 478, 2], pixels.

  Args:
    shot: `ifmdm_jax.shot.Shot`.
    made: [N, M], motion of M from the shot's start on, 25 a second.
  """
  own = np.asarray(shot.landmarks)[..., :2].astype(np.float64)
  if own.shape[1] != points.POINTS_WITH_IRISES:
    raise InputError(f'expected {points.POINTS_WITH_IRISES} points of a shot, got {own.shape[1]}')
  found = fit.fit(own, edit.scored(np.float32(own)), (shot.size, shot.size))
  places = np.minimum(np.asarray(shot.times) * FPS, len(made) - 1)
  units = np.stack([np.interp(places, np.arange(len(made)), each) for each in made.T], axis=-1)
  level, about = np.nanmedian(found.motion, axis=0)[MOUTH], performance.level(units)[MOUTH]
  lasting = np.where(performance.LASTS[MOUTH], level - about, 0.0)
  motion = found.motion.copy()
  motion[:, MOUTH] = np.clip(units[:, MOUTH] + lasting, 0, 1)
  way = np.zeros_like(own)
  for start in range(0, len(own), fit.BLOCK):
    some = np.minimum(np.arange(start, start + fit.BLOCK), len(own) - 1)
    new, old = (fit.drawn(found._replace(motion=each[some])) for each in (motion, found.motion))
    way[some] = new - old
  return own + np.nan_to_num(way)
