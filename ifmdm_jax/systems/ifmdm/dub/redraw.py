"""A film and moved landmarks become the film with the face moved, from its own pixels.

The lower face is warped and filled as for new lips (`paint`, `mouth`), brows are warped too
(`upper`). Eyes that open or close, and lips that close, come from frames of the shot that show them
so (`lend`, `upper`, `lips`).
"""

import functools

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import POINTS, POINTS_WITH_IRISES
from ifmdm_jax.shot import Painted
from ifmdm_jax.systems.ifmdm.dub import draw, face, lips, mouth, paint, speech, upper

MOVED = 2.0  # pixels of a point, from which a movement is taken in full


def redraw(shot, landmarks, code, ahead):
  """Yields `Painted` of a shot, block by block; see `generator.Redraws`.

  Args:
    shot: `ifmdm_jax.shot.Shot`.
    landmarks: [T, 478, 2], pixels; those that are not finite are the shot's own.
    code: of landmarks, see `speech.code_of`.
    ahead: yields the results of calls in order, see `streaming.device.Pool`.

  Raises:
    InputError: landmarks are not those of the shot's frames.
  """
  own = draw.checked(shot)
  whole = np.asarray(shot.landmarks)[..., :2]
  if (
    np.shape(landmarks)[:2] != (len(own), POINTS_WITH_IRISES)
    or whole.shape[1] != np.shape(landmarks)[1]
  ):
    raise InputError(
      f'expected moved landmarks [{len(own)}, {POINTS_WITH_IRISES}, 2] of a shot, got '
      f'{np.shape(landmarks)}'
    )
  landmarks = np.where(np.isfinite(landmarks), landmarks, whole)[..., :2]
  film = speech.read(own, shot.times, code)
  bank = mouth.Bank(film, own, shot.blocks())
  closed = lips.Lips(film, whole, landmarks, shot.times, shot.blocks)
  eyes = upper.Eyes(whole, landmarks, shot.times, film.poses, shot.blocks)
  start = 0
  for block in shot.blocks():
    numbers = range(start, start + len(block))
    frames = [planned(film, bank, own[n].astype(np.float64), landmarks[n], n) for n in numbers]
    drawn = ahead(
      functools.partial(_draw, picture, number, film, bank, closed, eyes, plan)
      for picture, number, plan in zip(block, numbers, frames)
    )
    pictures, masks = zip(*drawn)
    yield Painted(np.stack(pictures), np.stack(masks))
    start += len(block)


def planned(film, bank, own, landmarks, number):
  """Decides how a lower face is drawn: its frame, its landmarks, and its sources of the mouth."""
  frame = paint.Frame(own, film.poses.turn[number], film.poses.end[number])
  ways = landmarks[:POINTS] - own
  # Lips that hardly move are not made to touch either.
  some = min(float(np.abs(ways).max()) / MOVED, 1.0)
  target = own + some * (frame.towards(ways, film.closed) - own)
  pose = face.Poses(frame.turn[None], film.poses.end[number][None])
  front = face.frontal(target[None], pose)
  described = np.array([face.gaps(front)[0], *film.poses.angles[number], face.widths(front)[0]])
  return frame, target, bank.shares(number, mouth.in_units(described))


def _draw(picture, number, film, bank, closed, eyes, plan):
  """Draws a frame as planned: uint8 [S, S, 3], float32 [S, S]."""
  lower, mask = draw.draw(picture, number, film, bank, *plan)
  closed.paint(lower, mask, picture, number, plan[1])
  result, more = eyes.paint(lower, number)
  return result, np.maximum(mask, more)
