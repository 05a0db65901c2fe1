"""Finds files, and tells person and split from where the public sets put them."""

import csv
import dataclasses
import hashlib
import os
import pathlib
import re
import zlib

from ifmdm_jax import files
from ifmdm_jax.errors import InputError
from ifmdm_jax.video import read

# The person, as the first group, of a path relative to the folder of the set.
PERSON = {
  'hdtf': r'(?:.*/)?(.+?)_?\d*(?:_\d+)?\.\w+$',  # WDA_NancyPelosi0_000.mp4; RD_Radio34_003.mp4
  'celebv': r'(?:.*/)?(.{11})(?:_\d+)*\.\w+$',  # YouTube's eleven letters, then the clip
  'voxceleb2': r'(?:.*/)?(id\d{5})/',  # id00017/utterance/00001.mp4
  'talkinghead1kh': r'(?:.*/)?(.{11})_\d{4}_S\d+_E\d+.*\.\w+$',  # id_0000_S0_E1000_L..._T....mp4
}
LAYOUTS = ('folder', *PERSON)


@dataclasses.dataclass(frozen=True)
class Source:
  """A file that may hold people; `animated.AnimatedStill` is none, but is asked the same."""

  path: str  # where it is
  name: str  # relative to the folder of the set
  person: str
  split: str
  licence: str = ''  # or provenance, as the manifest says
  kind: str = 'film'  # 'clip': ready, not to be cut; 'still': a picture

  @property
  def key(self):
    """Name of its files; distinct for distinct sources."""
    stem = re.sub(r'[^\w-]+', '_', self.name.rsplit('.', 1)[0])[-60:]
    return f'{stem}-{_sum(self.name):08x}'

  @property
  def bytes(self):
    """Counts its bytes; 0 where it vanished, or may not be read: its job says so."""
    try:
      return pathlib.Path(self.path).stat().st_size
    except OSError:
      return 0

  def checksum(self):
    """Returns SHA-256 of it."""
    with open(self.path, 'rb') as file:
      return hashlib.file_digest(file, 'sha256').hexdigest()

  def about(self):
    """Tells, as JSON can, what else its result depends on."""
    return {} if self.kind == 'film' else dict(kind=self.kind)


def person_of(name, layout):
  """Reads the person from a path, as far as it tells; files of `folder` are one person each."""
  match = re.match(PERSON[layout], name) if layout in PERSON else None
  if layout == 'hdtf' and match:
    stem = pathlib.PurePosixPath(name).stem
    radio = re.match(r'(RD_)?Radio\d+', stem)
    return radio.group() if radio else match.group(1)
  return match.group(1) if match else name.rsplit('.', 1)[0]


def held_out(person):
  """Chooses one person in twenty, always the same ones."""
  return _sum(person) % 20 == 0


def _sum(name):
  """Checksum of a name, which need not be UTF-8."""
  return zlib.crc32(name.encode('utf-8', 'surrogateescape'))


def read_manifest(root):
  """Returns {file relative to root: row} of MANIFEST.csv, or {} where there is none."""
  path = pathlib.Path(root) / 'MANIFEST.csv'
  if not path.exists():
    return {}
  try:
    with open(
      files.check(path, 'a table', files.LARGEST_TEXT), newline='', encoding='utf-8'
    ) as file:
      rows = list(csv.DictReader(file))
  except (csv.Error, UnicodeError) as error:
    raise InputError(f'expected a table in UTF-8, {path} is none ({error}): repair it') from error
  if any(not row.get('file') for row in rows):
    raise InputError(f'expected a column "file" in {path}, a row has none: add it')
  return {row['file']: row for row in rows}


def find(root, layout='folder', ready=False):
  """Lists the videos under `root` at any depth, then stills/*.jpg, in order of their names.

  MANIFEST.csv (columns file, identity, split, licence_or_provenance; all but the first optional)
  overrules what the path says.

  Args:
    root: folder.
    layout: of LAYOUTS.
    ready: whether the videos are clips that are not to be cut.

  Raises:
    InputError: no such folder, no such layout, or no video in it.
  """
  root = pathlib.Path(root).resolve()
  if layout not in LAYOUTS:
    raise InputError(f'--layout is {layout!r}, expected one of {", ".join(LAYOUTS)}')
  videos = sorted(p for p in root.rglob('*') if p.suffix.lower() in read.SUFFIXES and p.is_file())
  if not videos:
    raise InputError(
      f'{root} should hold talking-head videos, found none: pass --source a folder '
      f'with files like clip.mp4'
    )
  manifest = read_manifest(root)

  def source(path, kind):
    name = path.relative_to(root).as_posix()
    name = os.fsencode(name).decode('utf-8', 'backslashreplace')  # a report is UTF-8
    row = manifest.get(name, {})
    person = row.get('identity') or (path.name if kind == 'still' else person_of(name, layout))
    return Source(
      path=str(path),
      name=name,
      person=person,
      split=row.get('split') or ('val' if held_out(person) else 'train'),
      licence=row.get('licence_or_provenance', ''),
      kind=kind,
    )

  stills = sorted((root / 'stills').glob('*.jpg'))
  return [source(p, 'clip' if ready else 'film') for p in videos] + [
    source(p, 'still') for p in stills
  ]
