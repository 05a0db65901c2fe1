"""What is written in a cell of a table of jobs, or behind a flag, as a value."""

import math

from ifmdm_jax.errors import InputError


def numbers(name, words):
  """Reads a flag: ['1'] -> 1.0; ['1', '0'] -> (1.0, 0.0); ['pose_1=1'] -> a dict; none -> None."""
  if words == ['none']:
    return None
  try:
    if words and all('=' in word for word in words):
      return {key: float(number) for key, number in (word.split('=') for word in words)}
    parsed = tuple(float(word) for word in words)
  except ValueError:
    parsed = ()
  if not parsed:
    raise InputError(
      f'expected --{name} to be numbers, got {",".join(words)!r}: '
      'pass e.g. 0.1, or one per motion direction with commas between, or none'
    )
  return parsed[0] if len(parsed) == 1 else parsed


def by_name(name, words):
  """Reads a flag of names: ['a=1', 'b=0.5'] -> {'a': 1.0, 'b': 0.5}."""
  try:
    return {key: float(number) for key, number in (word.split('=') for word in words)}
  except ValueError as error:
    raise InputError(
      f'expected --{name} NAME=NUMBER, with commas between, got {",".join(words)!r}: '
      'pass e.g. mouthSmileLeft=0.3'
    ) from error


def _whole(name, cell):
  try:
    return int(cell)
  except ValueError:
    raise InputError(f'expected a whole number as {name}, got {cell!r}') from None


def _real(name, cell):
  try:
    number = float(cell)
  except ValueError:
    number = math.nan
  if not math.isfinite(number):
    raise InputError(f'expected a number as {name}, got {cell!r}')
  return number


def _crop(name, cell):
  if cell not in ('auto', 'none'):
    raise InputError(f'expected auto or none as {name}, got {cell!r}')
  return cell


def _text(_, cell):
  return cell


def _several(read):
  return lambda name, cell: read(name, [word.strip() for word in cell.split(',')])


# What a job is made of, and what `talk.make` is asked for; columns are named as flags of sample.
PLACES = {name: _text for name in ('image', 'audio', 'text', 'speaker', 'voice', 'output')}
OPTIONS = {
  'face': _whole, 'track': _whole, 'crop': _crop, 'steps': _whole,
  **{name: _real for name in ('guidance', 'head', 'mouth', 'expression', 'brows',
                              'blinks_per_minute')},
  'gaze': _text, 'stage': _text,
  **{name: _several(numbers) for name in ('motion_mean', 'motion_std')},
  **{name: _several(by_name) for name in ('unit', 'pin', 'scale')},
}  # fmt: skip
COLUMNS = PLACES | {'seed': _whole} | OPTIONS
