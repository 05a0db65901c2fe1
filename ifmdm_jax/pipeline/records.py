"""Reads a prepared set: clips out of ArrayRecord files, without TensorFlow.

output/                              python -m ifmdm_jax.prepare --source FILMS --output output
  videos/KEY/                          what every source gave, see `prep.results`
  report.html, report.json             what became of them, and why
  records/talking_faces/1.2.0/         frames, sound, landmarks of every clip; split by person
  index.json                           one entry per record, in their order
  motion/                              with --codes or --autoencoder, see `codes`
  features/NAME/                       with --features, see `features`

Several sets are read as one where their folders are named together, 'runs/cache,runs/animated'.
"""

import collections.abc
import copy
import dataclasses
import functools
import io
import json
import pathlib
import re
import threading

import numpy as np
import soundfile

from ifmdm_jax import files
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import POINTS
from ifmdm_jax.pipeline import frames as codec
from ifmdm_jax.pipeline.landmarks import unpack
from ifmdm_jax.pipeline.shards import Shards, splits, version

KEPT = 2**28  # bytes of records that stay in memory, per set and split
VERSION = '1.2.0'  # the oldest of records whose landmarks are read as a portrait's are


@dataclasses.dataclass(frozen=True)
class Entry:
  """What the index says of a record, so that nobody need look.

  Attributes:
    name: of the clip.
    person: two clips of one person share it.
    split: 'train' or 'val'.
    licence: or provenance.
    count: frames; a still has one.
    record: number within its split.
    source: file that it came from, relative to the folder of all.
    sound: whether there is a voice.
    matte: whether there are mattes.
    folder: of the records; the index does not say it.
  """

  name: str
  person: str
  split: str
  licence: str
  count: int
  record: int
  source: str = ''
  sound: bool = False
  matte: bool = False
  folder: str = ''

  @classmethod
  def of_json(cls, entry, folder=''):
    """Reads an entry of index.json in `folder`.

    Raises:
      InputError: it lacks something, or has it of another type.
    """
    try:
      count = entry['count'] if 'count' in entry else entry['stop'] - entry['start']
      kinds = {field.name: field.type for field in dataclasses.fields(cls)}
      known = kinds.keys() - {'count', 'folder'}
      own = cls(count=count, folder=folder, **{k: v for k, v in entry.items() if k in known})
    except (KeyError, TypeError) as error:
      raise InputError(
        f'expected an index of records, an entry of index.json is {entry!r:.200}: prepare anew'
      ) from error
    for name, kind in kinds.items():
      value = getattr(own, name)
      if not isinstance(value, kind) or (kind is int and (isinstance(value, bool) or value < 0)):
        raise InputError(
          f'expected {name} of type {kind.__name__} in index.json, got {value!r:.200}: prepare anew'
        )
    return own


class Records(collections.abc.Sequence):
  """`records[i]` is what `make` makes of entry i and its record; the last few stay in memory.

  Safe to use from threads, and can be handed to another process.

  Attributes:
    entries: `Entry` of each.
  """

  def __init__(self, entries, make):
    self.entries, self._make = entries, make
    self._open()

  def _open(self):
    # Here, and not by the first reader, who may be a thread that imports while others do.
    places = {(entry.folder, entry.split) for entry in self.entries}
    self._sources = {place: Shards(*place) for place in places}
    self._lock, self._cached = threading.Lock(), {}

  def map(self, change):
    """Returns the same records, with `change(entry, value)` in place of each value."""
    return Records(self.entries, functools.partial(_changed, self._make, change))

  def __len__(self):
    return len(self.entries)

  def __getitem__(self, index):
    if isinstance(index, slice):
      part = copy.copy(self)
      part.entries = self.entries[index]
      return part
    entry = self.entries[index]
    place = entry.folder, entry.split, entry.record
    with self._lock:
      if place in self._cached:
        self._cached[place] = self._cached.pop(place)  # the newest is the last
        return self._cached[place][0]
    try:
      record = self._sources[place[:2]][entry.record]
      value, size = self._make(entry, record), sum(map(len, record.values()))
    except (KeyError, ValueError, TypeError, IndexError, soundfile.SoundFileError) as error:
      if isinstance(error, InputError):
        raise
      raise InputError(
        f'expected records of {entry.name} in {entry.folder}, they lack or contradict something '
        f'({type(error).__name__}: {error}): prepare the set anew'
      ) from error
    with self._lock:
      self._cached[place] = value, size
      while sum(size for _, size in self._cached.values()) > KEPT and len(self._cached) > 1:
        self._cached.pop(next(iter(self._cached)))
    return value

  def __getstate__(self):
    return {k: v for k, v in self.__dict__.items() if k not in _UNSHARED}

  def __setstate__(self, state):
    self.__dict__.update(state)
    self._open()


def _changed(make, change, entry, record):
  return change(entry, make(entry, record))


_UNSHARED = {'_lock', '_sources', '_cached'}


def clips(folder, split=None, size=None, *, licence='', stills=False, sound=True):
  """Returns the clips of a set, or its stills, as `Records` of `Clip`.

  Args:
    folder: the set, or several.
    split: 'train', 'val', or None: all.
    size: side that frames are brought to, pixels; None: as stored.
    licence: pattern that has to be found in a clip's licence or provenance.
    stills: the pictures, which are clips of one frame, in place of the videos.
    sound: whether voices are decoded, which takes longer than all else that is no frame.

  Raises:
    InputError: there is no set at this place, or one of an older version.
  """
  entries = read_index(folder, '--source FILMS --output {folder}', VERSION)
  fits = licence_filter(licence)
  chosen = [
    e for e in entries if split in (None, e.split) and (e.count == 1) == stills and fits(e.licence)
  ]
  if stills:
    chosen.sort(key=lambda e: e.source)
  return Records(chosen, functools.partial(_clip, size=size, sound=sound))


def licence_filter(pattern):
  """Returns what says whether a licence has a pattern in it.

  Raises:
    InputError: it is no regular expression.
  """
  try:
    return re.compile(pattern).search
  except (re.error, TypeError) as error:
    raise InputError(
      f'expected a pattern as licence, got {pattern!r} ({error}): escape it'
    ) from error


def _clip(entry, record, size, sound):
  frames = codec.Frames(record['video'], size)
  stored = np.frombuffer(record['landmarks'], np.uint16).reshape(-1, POINTS, 2)
  flac = record['sound'] if sound else b''
  return Clip(
    name=entry.name,
    person=entry.person,
    waveform=soundfile.read(io.BytesIO(flac), dtype='float32')[0] if flac else None,
    frames=frames,
    landmarks=unpack(stored) * frames.side,
    mattes=codec.Frames(record['matte']) if record['matte'] else None,
    licence=entry.licence,
  )


def folders(sets):
  """Lists the folders of sets named together, 'a,b'; one that is named twice counts twice."""
  names = [name.strip() for name in str(sets).split(',')]
  return [str(sets)] if pathlib.Path(sets).exists() or not all(names) else names


def read_index(sets, flags, oldest='', part=''):
  """Returns every `Entry` of a set, or of several, one set after the other.

  Args:
    sets: folder of the set, or several, see `folders`.
    flags: of `prepare`, that make it; {folder} in them is the set.
    oldest: version that will do.
    part: folder within the set that holds records/ and index.json, such as 'motion'.

  Raises:
    InputError: there is none, or one of an older version.
  """
  return [
    entry
    for folder in folders(sets)
    for entry in _read_index(pathlib.Path(folder, part), flags.replace('{folder}', folder), oldest)
  ]


def _read_index(folder, flags, oldest):
  if not (folder / 'index.json').exists() or version(folder) is None:
    raise InputError(
      f'{folder} should hold prepared records with an index, found none: make them with '
      f'python -m ifmdm_jax.prepare {flags}'
    )
  if version(folder).name < oldest:
    raise InputError(
      f'{folder} holds records of version {version(folder).name}, expected {oldest}: make them '
      f'anew with python -m ifmdm_jax.prepare {flags}'
    )
  listed = files.read_json(folder / 'index.json', 'an index of records')
  if not isinstance(listed, list):
    raise InputError(f'expected a list in {folder / "index.json"}: prepare the set anew')
  return [Entry.of_json(entry, str(folder)) for entry in listed]


def write_index(folder):
  """Writes index.json of a set: an entry per record, in their order; returns the entries."""
  folder, entries = pathlib.Path(folder), []
  for split in splits(folder):
    for number, record in enumerate(Shards(folder, split)):
      entries.append({**json.loads(record['about']), 'split': split, 'record': number})
  files.write_text(folder / 'index.json', json.dumps(entries, indent=1) + '\n')
  return [Entry.of_json(e) for e in entries]
