"""A film and a new voice become the film with new lips, without drawing a face anew.

Each frame is its own portrait. Lips are sampled for the head as the film moves it (`speech`),
the frame's own lower face is warped to them (`paint`), and what an opening mouth shows comes
from the frames of the shot that show it (`mouth`). Everything above the mouth, and whatever
does not move, stays the film's.
"""

import functools

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import POINTS
from ifmdm_jax.shot import Painted
from ifmdm_jax.systems.ifmdm.dub import mouth, paint, speech


def dub(shot, lips_of, seed=0):
  """Yields `Painted` of a shot, block by block as it comes.

  Args:
    shot: `ifmdm_jax.shot.Shot`.
    lips_of: `speech.Voice`.
    seed: of the motion.

  Raises:
    InputError: the shot has no frames, or landmarks and times do not belong to them.
  """
  landmarks = checked(shot)
  film = speech.read(landmarks, shot.times, lips_of.code)
  lips = lips_of.lips(film, shot.waveform, seed)
  bank = mouth.Bank(film, landmarks, shot.blocks())
  start = 0
  for block in shot.blocks():
    numbers = range(start, start + len(block))
    if start + len(block) > len(landmarks):
      raise InputError(f'expected {len(landmarks)} frames of a shot, its blocks hold more')
    codes = lips.at(shot.times[start : start + len(block)])
    frames = [
      planned(film, bank, landmarks[number].astype(np.float64), number, code, lips_of.code)
      for number, code in zip(numbers, codes)
    ]
    drawn = lips_of.ahead(
      functools.partial(draw, picture, number, film, bank, *plan)
      for picture, number, plan in zip(block, numbers, frames)
    )
    pictures, masks = zip(*drawn)
    yield Painted(np.stack(pictures), np.stack(masks))
    start += len(block)


def checked(shot):
  """Returns the landmarks [T, 468, 2] of a shot.

  Raises:
    InputError: there are none, or not as many as times, or they are no numbers.
  """
  landmarks, times = np.asarray(shot.landmarks), np.asarray(shot.times, np.float64)
  if landmarks.ndim != 3 or not len(landmarks) or landmarks.shape[1] < POINTS:
    raise InputError(f'expected landmarks [T, 478, 3] of a shot, got {landmarks.shape}')
  if times.shape != landmarks.shape[:1] or (np.diff(times) <= 0).any():
    raise InputError(
      f'expected {len(landmarks)} times of a shot that rise, got {times.shape}: pass true ones'
    )
  landmarks = landmarks[:, :POINTS, :2]
  if not (np.isfinite(landmarks).all() and np.isfinite(times).all()):
    raise InputError('expected finite landmarks and times of a shot: leave frames without a face')
  return landmarks


def planned(film, bank, landmarks, number, lips, code):
  """Decides how a frame is drawn: its landmarks with new lips, and its sources of the mouth."""
  frame = paint.Frame(landmarks, film.poses.turn[number], film.poses.end[number])
  change = (np.asarray(lips, np.float64) - film.lips[number])[None]
  way = speech.moved(code, change)[0]
  target = frame.target(way, film.closed)
  wanted = film.gaps[number] + way[14, 1] - way[13, 1]
  width = film.widths[number] + way[291, 0] - way[61, 0]
  described = np.array([wanted, *film.poses.angles[number], width])
  shares = bank.shares(number, mouth.in_units(described))
  return frame, target, shares


def draw(picture, number, film, bank, frame, target, shares):
  """Draws a frame as planned: uint8 [S, S, 3], float32 [S, S]."""

  def sources():
    for source, share in shares.items():
      if source == 'own':
        yield share, mouth.glimpse(picture, frame.landmarks, film.poses, number, copy=False)
      else:
        yield share, bank.prior if source == 'prior' else bank.glimpses[source]

  return paint.paint(picture, frame, target, film.closed, sources)
