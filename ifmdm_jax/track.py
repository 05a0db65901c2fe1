"""A track: what a face does over time in named face units, as other programs write it down.

`read` takes what they export, by the names that ARKit gave the units:

  *.csv    a column for each unit, a row for each moment (Live Link Face, Audio2Face)
  *.json   {"facsNames": [...], "weightMat": [[...], ...], "exportFps": 30} (Audio2Face),
           or {"fps": 30, "jawOpen": [...], ...}
  *.npz    an array [T] for each unit, and `fps`

The names of ICT-FaceKit, `browDown_L` for `browDownLeft`, are read as well; where it has two sides
of what is one unit here (`browInnerUp_L`, `_R`; `cheekPuff_L`, `_R`) their mean counts. Angles of
the head are in none of them: every program counts those in its own way.
"""

import csv
import io
import pathlib
from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from ifmdm_jax import files
from ifmdm_jax.errors import InputError, note
from ifmdm_jax.face import units
from ifmdm_jax.rates import FPS

SUFFIXES = ('.csv', '.json', '.npz')
UNITS = tuple(units.NAMES[1:])  # without the score of a neutral face
REQUIRED = 'jawOpen'  # what has no unit of this name is no track
LOOKS = np.radians(30.0)  # that an eye turns as far as its units go
TIMES = ('time', 'timecode')  # columns that say when, in seconds
RATES = ('fps', 'exportFps')
LARGEST, LONGEST = 2.0, 10**6  # value of a unit: some programs go a little beyond 1; and moments
_BY_NAME = {name.lower(): number for number, name in enumerate(UNITS)}


class Track(NamedTuple):
  """What a face does in T frames, 25 a second."""

  units: np.ndarray  # float32 [T, 51], 0 relaxed to 1, in the order of UNITS
  turn: np.ndarray  # [T, 3, 3], of the head before the camera: x right in the picture, y down
  gaze: np.ndarray  # [T, 2], down, and to the right of the picture, radians in the head


@runtime_checkable
class Enacts(Protocol):
  """A generator that can be driven by a track."""

  def enact(self, image, track: Track) -> Iterator[np.ndarray]:
    """Yields blocks uint8 RGB [t, size, size, 3] of `image` that does what the track says.

    Args:
      image: uint8 RGB [R, R, 3].
      track: a `Track`. The head goes on from the picture as the track's does from its first frame.
    """
    ...


def read(path, fps=None):
  """Reads a `Track` by the names of its units.

  Args:
    path: of one of SUFFIXES.
    fps: moments a second; None: as the file says.

  Raises:
    InputError: it is no such file, has no units, or says not when they are.
  """
  path = pathlib.Path(path)
  files.check(path, 'a track of face units')
  if path.suffix.lower() not in SUFFIXES:
    raise InputError(
      f'expected a track of face units, {" or ".join(SUFFIXES)}, got {path.name}: export it as one'
    )
  readers = {'.csv': _of_csv, '.json': _of_json, '.npz': files.read_npz}
  columns = readers[path.suffix.lower()](path)
  values, unread = _by_unit(columns, path)
  found = np.stack([values.get(name, np.zeros(len(values[REQUIRED]))) for name in UNITS], axis=-1)
  if unread:
    note(f'{path.name}: not read: {", ".join(unread)}')
  return of_units(resampled(found, _moments(columns, len(found), fps, path)))


def of_units(values):
  """Makes a `Track` of units [T, 51]: the head stays, eyes look where their units say."""
  values = np.clip(np.float32(values), 0, 1)
  of = lambda name: values[:, UNITS.index(f'eyeLook{name}')]
  down = (of('DownLeft') + of('DownRight') - of('UpLeft') - of('UpRight')) / 2
  right = (of('OutLeft') + of('InRight') - of('InLeft') - of('OutRight')) / 2
  still = np.broadcast_to(np.eye(3), (len(values), 3, 3))
  return Track(values, still, LOOKS * np.stack([down, right], axis=-1))


def resampled(values, when):
  """Brings values [T, C] at moments [T], seconds, to 25 a second, straight between them."""
  at = when[0] + np.arange(round(float(when[-1] - when[0]) * FPS) + 1) / FPS
  return np.stack([np.interp(at, when, each) for each in np.asarray(values).T], axis=-1)


def moments(count, fps, where):
  """Lists when each of `count` values is, seconds: [count].

  Raises:
    InputError: `fps` is no rate, or there are too many.
  """
  if not np.isfinite(fps) or not 1 <= fps <= 1000:
    raise InputError(f'expected 1 to 1000 moments a second in {where}, got {fps}: pass --drive_fps')
  if count > LONGEST:
    raise InputError(f'expected {LONGEST} moments or fewer in {where}, got {count}: cut it')
  return np.arange(count) / fps


def _moments(columns, count, fps, path):
  """When each row is, by the rate that was asked for, by the file's, by its column of seconds."""
  if fps is not None:
    return moments(count, fps, path.name)
  numbers = {name: each for name, each in columns.items() if _is_numbers(each)}
  for name in RATES:
    if name in numbers and np.size(numbers[name]) == 1:
      return moments(count, float(np.ravel(numbers[name])[0]), path.name)
  for name, column in numbers.items():
    if name.lower() in TIMES and np.shape(column) == (count,):
      if count > 1 and not np.diff(column).min() > 0:
        raise InputError(f'expected {name} of {path.name} to grow by rows: pass --drive_fps')
      if (column[-1] - column[0]) * FPS < LONGEST:
        return np.asarray(column, float)
  raise InputError(
    f'expected a rate in {path.name}, or seconds in a column named time, found neither: pass '
    '--drive_fps, as 60 for Live Link Face'
  )


def _by_unit(columns, path):
  """Sorts columns: {unit: [T]}, and names that are no unit's."""
  parts, unread = {}, []
  for name, column in columns.items():
    unit = _unit(name)
    if unit is not None:
      parts.setdefault(unit, []).append(_checked(column, name, path))
    elif name not in RATES and name.lower() not in TIMES:
      unread.append(name)
  if REQUIRED not in parts:
    raise InputError(
      f'expected face units by their names ({REQUIRED}, eyeBlinkLeft or eyeBlink_L, ...) in '
      f'{path.name}, found {", ".join(map(str, list(columns)[:4])) or "nothing"}: export those, '
      'or pass --flame where they are of FLAME'
    )
  lengths = {len(each) for several in parts.values() for each in several}
  if len(lengths) != 1 or not min(lengths):
    raise InputError(f'expected one number a moment for every unit in {path.name}: export it anew')
  return {unit: np.mean(several, axis=0) for unit, several in parts.items()}, unread


def _unit(name):
  """The unit that a column's name means, or None."""
  plain = name.strip().rpartition('.')[-1]  # blendShape1.jawOpen
  for end, side in (('_L', 'Left'), ('_R', 'Right')):
    if plain.endswith(end):
      plain = plain.removesuffix(end)
      plain = plain if plain.lower() in _BY_NAME else plain + side
  number = _BY_NAME.get(plain.lower())
  return None if number is None else UNITS[number]


def _checked(column, name, path):
  if not _is_numbers(column) or np.ndim(column) != 1:
    raise InputError(f'expected a number a moment for {name} in {path.name}: export it anew')
  column = np.asarray(column, float)
  if not np.isfinite(column).all() or np.abs(column).max(initial=0) > LARGEST:
    raise InputError(
      f'expected {name} of {path.name} from 0 to 1, got up to {np.abs(column).max():g}: divide it, '
      'where that is percent'
    )
  return column


def _is_numbers(column):
  return column is not None and np.asarray(column).dtype.kind in 'fiu'


def _of_csv(path):
  """Columns by name: [T] of numbers, or None where one is not of numbers."""
  try:
    text = path.read_text(encoding='utf-8-sig')
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
  except (UnicodeError, csv.Error, OSError) as error:
    raise InputError(f'expected a table in {path.name}, cannot read it ({error})') from error
  if len(rows) < 2 or any(len(row) < len(rows[0]) for row in rows):
    raise InputError(f'expected a row of names and a row for each moment in {path.name}: repair it')
  return {name.strip(): _numbers([row[i] for row in rows[1:]]) for i, name in enumerate(rows[0])}


def _numbers(cells):
  try:
    return np.array([float(cell) for cell in cells])
  except (ValueError, TypeError):
    return None


def _of_json(path):
  content = files.read_json(path, 'a track of face units')
  if not isinstance(content, dict):
    raise InputError(f'expected names and numbers in {path.name}, got a {type(content).__name__}')
  names, rows = content.get('facsNames') or content.get('blendShapeNames'), content.get('weightMat')
  if not (isinstance(names, list) and isinstance(rows, list)):
    return {name: _array(value) for name, value in content.items()}
  table = _array(rows)
  if table is None or table.shape != (len(rows), len(names)):
    raise InputError(f'expected a row of {len(names)} numbers for each moment in {path.name}')
  rate = {name: _array(content[name]) for name in RATES if name in content}
  return {**rate, **{str(name): table[:, i] for i, name in enumerate(names)}}


def _array(value):
  """Numbers of JSON, or None where something else is among them."""
  try:
    return np.asarray(value, float)
  except (OverflowError, TypeError, ValueError):
    return None
