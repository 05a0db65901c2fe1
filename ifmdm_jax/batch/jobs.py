"""The jobs of a batch: rows of a table, or every portrait of a folder with every voice."""

import csv
import pathlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

from ifmdm_jax import errors, files
from ifmdm_jax.batch import cells
from ifmdm_jax.clip import check_seed
from ifmdm_jax.errors import InputError

PICTURES = {'.jpg', '.jpeg', '.jfif', '.png', '.webp', '.avif', '.heic', '.heif', '.bmp', '.gif',
            '.tif', '.tiff'}  # fmt: skip
SOUNDS = {'.wav', '.flac', '.mp3', '.m4a', '.aac', '.ogg', '.oga', '.opus', '.aif', '.aiff', '.wma',
          '.amr', '.caf', '.mp4', '.mov', '.mkv', '.webm', '.m4v', '.avi'}  # fmt: skip
LONGEST = 200  # bytes of a name in an output's path


class Job(NamedTuple):
  """One video to make.

  Attributes:
    number: of its line in the table, whose header is line 1; of pairs, counted from 1.
    image: file of the portrait, as written, from the batch's base; '': the weights know a person.
    audio: file of the voice, in the same way; '': there is a text.
    output: of the video, from the batch's folder, with forward slashes.
    text, speaker, voice: what is spoken, and by whom; see `audio.spoken`.
    seed: of the motion.
    options: of `talk.make`, by name.
  """

  number: int
  image: str
  audio: str
  output: str
  text: str = ''
  speaker: str = ''
  voice: str = ''
  seed: int = 0
  options: Mapping[str, Any] = {}

  @property
  def portrait(self):
    """What jobs share that can be made of one portrait, read and encoded once."""
    return (self.image, self.options.get('face'), self.options.get('crop'))


def read(path, defaults):
  """Reads a table: CSV in UTF-8, its first line names columns of `cells.COLUMNS`.

  Args:
    path: of the table.
    defaults: {column: value} where a column is missing or its cell is empty.

  Returns:
    A list of `Job`s, in the order of the table.

  Raises:
    InputError: it is no such table, names no jobs, or two of its jobs have one output.
  """
  path = files.check(path, 'a table of jobs (CSV)', files.LARGEST_TEXT)
  with (
    errors.explained('a table of jobs (CSV, UTF-8)', path),
    open(path, newline='', encoding='utf-8-sig') as file,
  ):
    rows = csv.reader(file, strict=True)
    try:
      header = _header(next(rows, []), path, defaults)
      jobs = [
        _job(rows.line_num, header, row, path, defaults) for row in rows if any(map(str.strip, row))
      ]
    except csv.Error as error:
      raise InputError(f'{path}, line {rows.line_num}: expected CSV, {error}') from error
  if not jobs:
    raise InputError(f'expected jobs in {path}, it has no rows below its header: add some')
  return _unique(jobs, path)


def pairs(portraits, voices, defaults):
  """Lists a job for every picture in or under a folder with every voice.

  Args:
    portraits: folder.
    voices: folder of files with sound, or one such file.
    defaults: see `read`.

  Returns:
    A list of `Job`s; pictures are named from `portraits`, voices by their whole path.

  Raises:
    InputError: a folder has none, or two pairs have one output.
  """
  portraits, voices = pathlib.Path(portraits), pathlib.Path(voices).expanduser().absolute()
  sounds = _under(voices, SOUNDS, 'sound') if voices.is_dir() else [voices]
  jobs = []
  for picture in _under(portraits, PICTURES, 'pictures'):
    for sound in sounds:
      cell = picture.relative_to(portraits).as_posix()
      given = {**defaults, 'image': cell, 'audio': str(sound)}
      jobs.append(_made(len(jobs) + 1, given, f'{cell} with {sound.name}'))
  return _unique(jobs, portraits)


def _under(folder, suffixes, kind):
  with errors.explained(f'a folder with {kind}', folder):
    found = sorted(
      path
      for path in folder.rglob('*')
      if path.suffix.lower() in suffixes
      and not any(part.startswith('.') for part in path.relative_to(folder).parts)
      and path.is_file()
    )
  if not found:
    raise InputError(f'expected files with {kind} in {folder}, found none: check the path')
  return found


def _header(row, path, defaults):
  """Checks the names of the columns, a list of words."""
  header = [name.strip() for name in row]
  if not any(header):
    raise InputError(f'expected a table of jobs, {path} is empty: its first line names the columns')
  unknown = [name for name in header if name not in cells.COLUMNS]
  if unknown:
    raise InputError(
      f'expected columns of {", ".join(cells.COLUMNS)}, {path} has {unknown[0]!r}: rename it, or '
      'leave it out'
    )
  twice = [name for name in header if header.count(name) > 1]
  if twice:
    raise InputError(f'expected each column once, {path} has {twice[0]!r} twice: remove one')
  named = {*header, *(name for name, value in defaults.items() if value not in (None, ''))}
  if 'image' not in named and not defaults.get('checkpoint'):
    raise InputError(f'expected a column image, {path} has {", ".join(header)}: add one')
  if not named & {'audio', 'text'}:
    raise InputError(f'expected a column audio or text, {path} has {", ".join(header)}: add one')
  return header


def _job(line, header, row, path, defaults):
  where = f'{path}, line {line}'
  if len(row) > len(header):
    raise InputError(f'{where}: expected {len(header)} cells, got {len(row)}: quote commas in them')
  given, written = dict(defaults), {}
  for name, cell in zip(header, row, strict=False):
    if cell.strip():
      with _at(where):
        written[name] = cells.COLUMNS[name](name, cell.strip())
  if 'text' in written and 'audio' not in written:  # of this row alone
    given.pop('audio', None)
  if 'audio' in written and 'text' not in written:
    given.pop('text', None)
  return _made(line, given | written, where)


class _at:
  """Says at which line of the table an InputError arose."""

  def __init__(self, where):
    self.where = where

  def __enter__(self):
    pass

  def __exit__(self, kind, error, _):
    if isinstance(error, InputError):
      raise InputError(f'{self.where}: {error}') from error


def _made(number, given, where):
  """Returns the `Job` of values by the names of columns."""
  image, audio, text = (given.get(name) or '' for name in ('image', 'audio', 'text'))
  if not image and not given.get('checkpoint'):  # which may know a person
    raise InputError(f'{where}: expected an image, the cell is empty: name one')
  if bool(audio) == bool(text):
    got = 'both: leave one empty' if audio else 'neither: name one'
    raise InputError(f'{where}: expected audio or text, got {got}')
  if text and not given.get('output'):
    raise InputError(f'{where}: expected a name in the column output beside a text, it has none')
  with _at(where):
    seed = check_seed(given.get('seed') or 0)
    output = _inside(given['output']) if given.get('output') else beside(image, audio)
  options = {name: given[name] for name in cells.OPTIONS if name in given}
  speaking = (given.get(name) or '' for name in ('speaker', 'voice'))
  return Job(number, image, audio, output, text, *speaking, seed, options)


def beside(image, audio):
  """Names a job's video after its portrait, below the same folders, and its voice.

  Folders are those that the table names, as far as they lie below its own.
  """
  place = pathlib.PurePath(image or 'person')
  kept = place if not place.is_absolute() and '..' not in place.parts else place.name
  kept = pathlib.PurePath(kept)
  name = f'{kept.stem}_{pathlib.PurePath(audio).stem}.mp4'
  return _inside(kept.with_name(name).as_posix())


def _inside(cell):
  """Returns an output's path below the batch's folder, with forward slashes."""
  place = pathlib.PureWindowsPath(cell)  # which takes both kinds of slash, and knows drives
  parts = [part for part in place.parts if part != '.']
  if place.anchor or not parts or '..' in parts or cell.startswith('~'):
    raise InputError(f'expected an output below the folder of --output, got {cell!r}: name one')
  if place.suffix.lower() != '.mp4':
    raise InputError(f'expected an output named *.mp4, got {cell!r}: add .mp4')
  for part in parts:
    # Hidden ones are those of commands at work; the others no disk, or not every one, can name.
    if part.startswith('.') or re.search(r'[\x00-\x1f<>:"|?*]', part):
      raise InputError(f'expected names of letters, digits and - _ in the output, got {cell!r}')
    if len(part.encode()) > LONGEST:
      raise InputError(
        f'expected names of {LONGEST} bytes at most in the output, got {cell!r:.60}...: '
        'give it a shorter one'
      )
  return '/'.join(parts)


def _unique(jobs, path):
  """Raises InputError where two jobs have one output, on a disk that tells no case apart either."""
  first = {}
  for job in jobs:
    name = unicodedata.normalize('NFC', job.output).casefold()
    if name in first:
      raise InputError(
        f'expected an output for each job, {path} has {job.output} for numbers {first[name]} and '
        f'{job.number}: name them in a column output'
      )
    first[name] = job.number
  for name in first:
    above = next((str(p) for p in pathlib.PurePosixPath(name).parents if str(p) in first), None)
    if above:
      raise InputError(f'expected an output for each job, {path} has {above} and {name} within it')
  return jobs
