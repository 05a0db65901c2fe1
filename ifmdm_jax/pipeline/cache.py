"""A folder of clips as plain arrays: decoded and measured once, then read by memory map.

  root/                          cache/
    any/depth/clip.mp4             index.json                 one entry per clip, split and person
    stills/*.jpg (optional)        clips/NAME/frames.npy      uint8 [T, R, R, 3]
    MANIFEST.csv (optional)        clips/NAME/landmarks.npy   float32 [T, 468, 2], fractions
                                   clips/NAME/matte.frames   if asked for, see `face.matte`
                                   stills/{frames,landmarks}.npy, matte.frames and index.json

Clips are square, 25 fps, one face. MANIFEST.csv (columns file, split, identity) decides the
split; without it one clip in twenty is held out by its name. Landmarks teach; a sampler
finds its own.
"""

import csv
import dataclasses
import json
import os
import pathlib
import re
import zlib

import cv2
import numpy as np
from tqdm import tqdm

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.detect import FaceDetector
from ifmdm_jax.face.matte import PersonMatte
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.face.points import POINTS
from ifmdm_jax.pipeline import frames as codec

VIDEO = {'.mp4', '.mov', '.mkv', '.webm', '.avi', '.m4v'}


@dataclasses.dataclass(frozen=True)
class Clip:
  """One clip of the cache; arrays are memory maps."""

  name: str
  video: str  # the file it came from, which also holds its sound
  person: str
  split: str
  folder: pathlib.Path
  licence: str = ''  # or provenance, as the manifest says

  @property
  def frames(self):
    """uint8 [T, R, R, 3]."""
    return np.load(self.folder / 'frames.npy', mmap_mode='r')

  @property
  def landmarks(self):
    """float32 [T, 468, 2], fractions of the side; NaN where no face was found."""
    return np.load(self.folder / 'landmarks.npy')

  @property
  def matted(self):
    return (self.folder / 'matte.frames').exists()

  @property
  def mattes(self):
    """uint8 [T, 256, 256, 3], 255 where the person is, three equal channels; None: not made."""
    return read_mattes(self.folder)


def read_manifest(root):
  """{file relative to root: row} of MANIFEST.csv, or {} where there is none."""
  path = pathlib.Path(root) / 'MANIFEST.csv'
  if not path.exists():
    return {}
  with open(path, newline='') as file:
    return {row['file']: row for row in csv.DictReader(file)}


def held_out(name):
  """One name in twenty, always the same ones."""
  return zlib.crc32(name.encode()) % 20 == 0


def build(root, output, size=256, matte=False):
  """Brings the cache at `output` up to date with the clips under `root`; finished clips are kept.

  Args:
    root: folder with videos at any depth, and perhaps stills/ and MANIFEST.csv.
    output: folder of the cache.
    size: side R of the stored pictures, pixels.
    matte: whether to find the person in every picture, too.

  Raises:
    InputError: there is no video under `root`.
  """
  root, output = pathlib.Path(root).resolve(), pathlib.Path(output).resolve()
  videos = sorted(p for p in root.rglob('*') if p.suffix.lower() in VIDEO)
  if not videos:
    raise InputError(
      f'{root} should hold talking-head videos, found none: pass --source a folder '
      f'with files like clip.mp4'
    )
  manifest = read_manifest(root)
  entries, mesh = [], FaceMesh()
  for video in tqdm(videos, desc='clips', unit='clip'):
    relative = str(video.relative_to(root))
    row = manifest.get(relative, {})
    name = relative.rsplit('.', 1)[0].replace('/', '__')
    folder = output / 'clips' / name
    if not (folder / 'landmarks.npy').exists():
      _write_clip(video, folder, size, mesh)
    if matte:
      _write_mattes(folder)
    split = row.get('split') or ('val' if held_out(name) else 'train')
    entries.append(
      dict(
        name=name,
        video=str(video),
        person=row.get('identity') or name,
        split=split,
        licence=row.get('licence_or_provenance', ''),
      )
    )
  build_stills(root, output, size, matte)
  (output / 'index.json').write_text(json.dumps(entries, indent=1))


def _write_clip(video, folder, size, mesh):
  from ifmdm_jax.video import read  # training from a finished cache needs no video library

  frames, points = [], []

  def watched():
    for frame in read.frames(video):
      frames.append(cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA))
      points.append(frame.shape[1::-1])
      yield frame

  landmarks = mesh.track(watched()) / np.array(points, np.float32)[:, None]
  folder.mkdir(parents=True, exist_ok=True)
  np.save(folder / 'frames.npy', np.stack(frames))
  np.save(folder / 'landmarks.npy', landmarks.astype(np.float32))  # last: marks the clip as done


def _write_mattes(folder):
  """matte.frames beside frames.npy, unless it is there."""
  path = folder / 'matte.frames'
  if path.exists():
    return
  find, temporary = PersonMatte(), path.with_suffix('.tmp')
  encoder = codec.Encoder(open(temporary, 'wb'))
  for picture in np.load(folder / 'frames.npy', mmap_mode='r'):
    encoder.add(find(picture))
  encoder.close()
  os.replace(temporary, path)


def read_mattes(folder):
  path = pathlib.Path(folder) / 'matte.frames'
  return codec.Frames(path.read_bytes()) if path.exists() else None


def build_stills(root, output, size, matte=False):
  """Brings `output`/stills up to date with `root`/stills, where there is one."""
  root, output = pathlib.Path(root).resolve(), pathlib.Path(output)
  if (root / 'stills').is_dir() and not (output / 'stills' / 'index.json').exists():
    _write_stills(root, output / 'stills', size, read_manifest(root), FaceMesh())
  if matte and (output / 'stills' / 'index.json').exists():
    _write_mattes(output / 'stills')


def _write_stills(root, folder, size, manifest, mesh):
  paths = sorted((root / 'stills').glob('*.jpg'))
  known = root / 'stills' / 'landmarks.npz'
  known = np.load(known) if known.exists() else {}
  detector, frames, landmarks, entries = FaceDetector(), [], [], []
  for path in tqdm(paths, desc='stills', unit='picture'):
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    extent = np.float32(picture.shape[1::-1])
    if path.name in known:  # of whatever program: where to look
      guess = known[path.name][:POINTS].astype(np.float32) * extent
      points = mesh.landmarks(picture, guess)[0] / extent
    else:
      points = mesh.track([picture], detector)[0] / extent
    if not np.isfinite(points).all():
      continue
    row = manifest.get(f'stills/{path.name}', {})
    split = row.get('split') or ('val' if held_out(path.name) else 'train')
    entries.append(
      dict(
        name=path.name,
        person=row.get('identity') or path.name,
        split=split,
        licence=row.get('licence_or_provenance', ''),
      )
    )
    frames.append(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA))
    landmarks.append(points)
  folder.mkdir(parents=True, exist_ok=True)
  np.save(folder / 'frames.npy', np.stack(frames))
  np.save(folder / 'landmarks.npy', np.stack(landmarks))
  (folder / 'index.json').write_text(json.dumps(entries))


def is_records(folder):
  """Whether a folder holds records (`pipeline.records`) and not plain arrays."""
  return any(pathlib.Path(folder).glob('records/*/*/dataset_info.json'))


def clips(cache, split=None, size=None):
  """The clips of a cache, all or of one split; of records, `records.Track`s with frames of `size`.

  Raises:
    InputError: there is no cache at this place.
  """
  cache = pathlib.Path(cache)
  if is_records(cache):
    from ifmdm_jax.pipeline import records  # plain arrays need no tensorflow-datasets

    return records.tracks(cache, split, size)
  if not (cache / 'index.json').exists():
    raise InputError(
      f'{cache} should be a cache of clips, found none: make it with '
      f'python -m ifmdm_jax.prepare --source CLIPS --output {cache}'
    )
  entries = json.loads((cache / 'index.json').read_text())
  return [
    Clip(folder=cache / 'clips' / e['name'], **e) for e in entries if split in (None, e['split'])
  ]


def stills(cache, split, licence=''):
  """(uint8 frames [N, R, R, 3] memory map, landmarks [N, 468, 2], indices of this split).

  `licence`: a pattern that has to be found in the licence or provenance of a still.
  """
  folder = pathlib.Path(cache) / 'stills'
  if not (folder / 'index.json').exists():
    return None
  entries = json.loads((folder / 'index.json').read_text())
  chosen = [
    i
    for i, e in enumerate(entries)
    if e['split'] == split and re.search(licence, e.get('licence', ''))
  ]
  chosen = np.array(chosen, int)
  if not chosen.size:
    return None
  frames = np.load(folder / 'frames.npy', mmap_mode='r')
  return frames, np.load(folder / 'landmarks.npy'), chosen
