"""Measures tracks, and drops those that miss a limit, with a reason and a number."""

import dataclasses

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import LEFT_CHEEK, NOSE_TIP, RIGHT_CHEEK, height, mouth_opening
from ifmdm_jax.rates import FPS

CHEEKS = (LEFT_CHEEK, RIGHT_CHEEK)


@dataclasses.dataclass(frozen=True)
class Limits:
  """Defaults are guesses but for sync, which was measured: experiments/data_engine."""

  seconds: float = 1.5  # of a track, at least
  face: float = 64.0  # height of the face in the source, pixels
  sharpness: float = 2.5  # of the face; see `face.track.sharpness`
  profile: float = 0.3  # share of frames in which the face is turned away, at most
  outside: float = 0.1  # share of frames in which the face leaves the square, at most
  loudness: float = -50.0  # level of the sound, dB of full scale
  talking: float = 0.006  # deviation of the mouth opening
  sync: float = 0.3  # r of the opening with the one predicted from the voice, at the best shift

  @classmethod
  def parse(cls, texts):
    """Reads a list of 'NAME=NUMBER', each of which moves one limit.

    Raises:
      InputError: no such limit, or no number.
    """
    known, moved = [field.name for field in dataclasses.fields(cls)], {}
    for text in texts:
      name, _, number = text.partition('=')
      try:
        moved[name] = float(number)
      except ValueError:
        moved[name] = None
      if name not in known or moved[name] is None:
        raise InputError(f'--limit {text}: expected NAME=NUMBER, NAME of {", ".join(known)}')
    return cls(**moved)


def turned_away(landmarks, least=0.15):
  """Measures the share of frames in which one cheek is nearly hidden behind the nose."""
  sides = np.linalg.norm(landmarks[:, CHEEKS] - landmarks[:, [NOSE_TIP]], axis=-1)
  return float((sides.min(1) / sides.sum(1) < least).mean())


def outside(landmarks, slack=0.02):
  """Measures the share of frames whose face is not wholly in the picture, from fractions."""
  low, high = landmarks.min((1, 2)), landmarks.max((1, 2))
  return float(((low < -slack) | (high > 1 + slack)).mean())


def loudness(waveform):
  """Measures the root mean square in dB of full scale; -120 for digital silence."""
  return float(20 * np.log10(max(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))), 1e-6)))


def talking(landmarks):
  """Measures the deviation of the mouth opening over the track."""
  return float(mouth_opening(landmarks).std())


def picture_measures(track, fractions):
  """Returns {name: number} of what is visible.

  Args:
    track: a track, in pixels of the source.
    fractions: its landmarks [T, 468, 2] in the square.
  """
  return dict(
    seconds=len(track.landmarks) / FPS,
    face=height(track.landmarks),
    sharpness=float(np.median(track.sharpness)),
    profile=turned_away(track.landmarks),
    outside=outside(fractions),
    talking=talking(track.landmarks),
  )


AT_MOST = ('profile', 'outside')
REASONS = dict(
  seconds='too short',
  face='too small',
  sharpness='too blurred',
  profile='too much in profile',
  outside='leaves the square',
  loudness='silent',
  talking='no visible talking',
  sync='out of sync',
)
UNITS = dict(
  face='pixels high',
  profile='of the frames',
  outside='of the frames',
  loudness='dB',
  sync='r',
)


def quantity(name):
  """Names a measure and its unit, as the report says them."""
  return f'{name}, {UNITS[name]}' if name in UNITS else name


def first_failure(measures, limits):
  """Returns (reason, number, limit) of the first limit that is missed, or None; NaN passes."""
  for name, reason in REASONS.items():
    value, limit = measures.get(name), getattr(limits, name)
    if value is None or np.isnan(value):
      continue
    if (value > limit) if name in AT_MOST else (value < limit):
      return reason, value, limit
  return None
