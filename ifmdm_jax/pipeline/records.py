"""Prepared clips as ArrayRecord files, written by tensorflow-datasets and read without TensorFlow.

output/                              python -m ifmdm_jax.prepare --source FILMS --output output
  videos/KEY/                          what every film gave, see `prep.process`
  report.html, report.json             what became of them, and why
  records/talking_faces/1.1.0/         frames, sound, landmarks of every track; split by person
  index.json                           one entry per record, in their order
  motion/                              with --autoencoder: codes and features of every track
    records/motion_codes/1.0.0/          without pixels
    index.json, statistics.npz
"""

import dataclasses
import functools
import io
import json
import os
import pathlib
import shutil
import threading

import numpy as np
import tensorflow_datasets as tfds

from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import frames as codec
from ifmdm_jax.pipeline.prep import process

TOLD = ('start', 'stop', 'offset_frames', 'bytes', 'matte', 'measures')  # these tell a track again


class _Builder(tfds.core.GeneratorBasedBuilder):
  """Examples come from `examples`, {split: iterable of (key, example) or a Beam collection}."""

  VERSION = tfds.core.Version('1.0.0')
  code_path = None  # not a package of its own with a README and checksums to look for

  def __init__(self, examples=None, **kwargs):
    self.examples = examples
    super().__init__(file_format='array_record', **kwargs)

  def _info(self):
    features = tfds.features.FeaturesDict(self.FEATURES)
    return tfds.core.DatasetInfo(builder=self, features=features, description=self.__doc__)

  def _split_generators(self, _):
    return {split: self._generate_examples(split) for split in self.examples}

  def _generate_examples(self, split):
    return self.examples[split]


_BYTES = tfds.features.Scalar(np.object_)


class TalkingFaces(_Builder):
  """Tracks of one talking face each: 25 fps, 16 kHz mono, cropped, voice in sync.

  video: WebP (`pipeline.frames`); sound: FLAC, empty if silent; landmarks: uint16 [T, 468, 2]
  (`prep.process.pack`); squares: int32 [T, 3], x0, y0, side in the source; matte: WebP, empty if
  not asked for; about: JSON.
  """

  VERSION = tfds.core.Version('1.1.0')
  FEATURES = dict(
    video=_BYTES, sound=_BYTES, landmarks=_BYTES, squares=_BYTES, matte=_BYTES, about=_BYTES
  )


class MotionCodes(_Builder):
  """Motion codes of every frame and its mirror image, features of the voice, and of other sounds
  for the same face: float32 bytes. See `pipeline.motion`."""

  FEATURES = dict.fromkeys(
    ('codes', 'mirrored', 'features', 'opening', 'altered', 'quiet', 'about'), _BYTES
  )


def examples_of(result, output):
  """Yields (name, example) of the kept tracks of one film's result."""
  folder = pathlib.Path(output) / 'videos' / result['key']
  for entry in result['kept']:
    stem = entry['name'].rsplit('_', 1)[1]
    sound, matte = folder / f'{stem}.flac', folder / f'{stem}.matte'
    with np.load(folder / f'{stem}.npz') as file:
      landmarks, squares = file['landmarks'], file['squares']
    about = {k: result[k] for k in ('person', 'split', 'licence')}
    about |= {k: v for k, v in entry.items() if k != 'picture'}
    yield (
      entry['name'],
      dict(
        video=(folder / f'{stem}.frames').read_bytes(),
        sound=sound.read_bytes() if sound.exists() else b'',
        landmarks=landmarks.tobytes(),
        squares=squares.tobytes(),
        matte=matte.read_bytes() if matte.exists() else b'',
        about=json.dumps(about, sort_keys=True),
      ),
    )


def write(builder, folder, examples, beam=None):
  """Writes a dataset in place of the one that was there, which stays until the new one is whole.

  Args:
    builder: TalkingFaces or MotionCodes.
    folder: the dataset's records/.
    examples: see `_Builder`.
    beam: options of a Beam pipeline, which then does the work.
  """
  folder = pathlib.Path(folder)
  temporary = folder.with_name(f'.{folder.name}.tmp')
  shutil.rmtree(temporary, ignore_errors=True)
  made = builder(examples, data_dir=str(temporary))
  tfds.disable_progress_bar()
  config = tfds.download.DownloadConfig()
  if beam is not None:
    from apache_beam.options.pipeline_options import PipelineOptions

    config.beam_options = PipelineOptions(beam)
  made.download_and_prepare(download_config=config)
  shutil.rmtree(folder, ignore_errors=True)
  os.replace(temporary, folder)
  shutil.rmtree(folder / 'downloads', ignore_errors=True)


def write_index(output):
  """index.json of a dataset: one entry per record, in their order; loaders need not look."""
  output = pathlib.Path(output)
  entries = []
  for split in splits(output):
    for number, record in enumerate(source(output, split)):
      entries.append({**json.loads(record['about']), 'split': split, 'record': number})
  text = json.dumps(entries, indent=1) + '\n'
  temporary = output / '.index.json.tmp'
  temporary.write_text(text)
  os.replace(temporary, output / 'index.json')
  return entries


def holds(output, results):
  """Whether the records are those of these results already."""
  path = pathlib.Path(output) / 'index.json'
  if not path.exists() or not is_records(output):
    return False
  known = {e.pop('name'): e for e in json.loads(path.read_text())}
  wanted = [e for r in results for e in r['kept']]
  same = lambda e: all(known.get(e['name'], {}).get(k) == e[k] for k in TOLD)
  return len(known) == len(wanted) and all(map(same, wanted))


def _version(output):
  found = sorted(pathlib.Path(output).glob('records/*/*/dataset_info.json'))
  return found[-1].parent if found else None


def is_records(output):
  """Whether a folder holds records (or the old cache of plain arrays, or nothing)."""
  return _version(output) is not None


def splits(output):
  return sorted(tfds.builder_from_directory(_version(output)).info.splits)


def source(output, split):
  """Random access to the raw records of a split."""
  return tfds.builder_from_directory(_version(output)).as_data_source(split)


class Reader:
  """`reader(i)` is record i of a split; the last few stay in memory."""

  def __init__(self, output, split, kept=8):
    self._output, self._split, self._lock = str(output), split, threading.Lock()
    self._kept, self._source, self._cached = kept, None, {}

  def __call__(self, number):
    with self._lock:
      if number in self._cached:
        self._cached[number] = self._cached.pop(number)
        return self._cached[number]
      self._source = source(self._output, self._split) if self._source is None else self._source
    record = self._source[number]
    with self._lock:
      self._cached[number] = record
      while len(self._cached) > self._kept:
        self._cached.pop(next(iter(self._cached)))
    return record

  def __getstate__(self):  # for worker processes
    return dict(_output=self._output, _split=self._split, _kept=self._kept)

  def __setstate__(self, state):
    self.__init__(state['_output'], state['_split'], state['_kept'])


@dataclasses.dataclass(frozen=True)
class Track:
  """One record, read when asked: what `cache.Clip` is for plain arrays."""

  name: str
  person: str
  split: str
  licence: str
  count: int  # frames
  sound: bool
  record: int
  reader: Reader = dataclasses.field(repr=False, compare=False)
  matted: bool = False  # whether there are mattes
  size: int | None = None  # side of the frames, pixels; None: as stored

  def __len__(self):
    return self.count

  @property
  def frames(self):
    """uint8 [T, R, R, 3], decoded where indexed."""
    return codec.Frames(self.reader(self.record)['video'], self.size)

  @property
  def mattes(self):
    """uint8 [T, 256, 256, 3], 255 where the person is, three equal channels; None: not made."""
    return codec.Frames(self.reader(self.record)['matte']) if self.matted else None

  @property
  def landmarks(self):
    """float32 [T, 468, 2], fractions of the side; every frame has a face."""
    stored = np.frombuffer(self.reader(self.record)['landmarks'], np.uint16)
    return process.unpack(stored.reshape(-1, 468, 2))

  @property
  def waveform(self):
    """float32 [L] at 16 kHz, or None."""
    import soundfile

    data = self.reader(self.record)['sound']
    return soundfile.read(io.BytesIO(data), dtype='float32')[0] if data else None


def tracks(output, split=None, size=None):
  """The tracks of a set, all or of one split."""
  output = pathlib.Path(output)
  if not (output / 'index.json').exists():
    raise InputError(
      f'{output} holds records without an index: finish it with python -m ifmdm_jax.prepare '
      f'--source FILMS --output {output}'
    )
  entries = json.loads((output / 'index.json').read_text())
  readers = {e['split']: None for e in entries}
  readers = {name: Reader(output, name) for name in readers}
  return [
    Track(
      name=e['name'],
      person=e['person'],
      split=e['split'],
      licence=e['licence'],
      count=e['stop'] - e['start'],
      sound=e['sound'],
      matted=e.get('matte', False),
      record=e['record'],
      reader=readers[e['split']],
      size=size,
    )
    for e in entries
    if split in (None, e['split'])
  ]


class Lazy:
  """A list whose items are made when asked for."""

  def __init__(self, make, count):
    self.make, self.count = make, count

  def __len__(self):
    return self.count

  def __getitem__(self, index):
    if not 0 <= index < self.count:
      raise IndexError(index)
    return self.make(index)


def codes(output, split, entries):
  """Lazy list of dict(codes, mirrored [T, M], features [2T, A], opening [T]) of index entries of
  motion/; where there are other sounds, altered [V, 2T, A] and quiet [V, T], too."""
  reader = Reader(output, split, kept=64)
  return Lazy(functools.partial(_codes, reader, entries), len(entries))


def _codes(reader, entries, index):
  record, entry = reader(entries[index]['record']), entries[index]
  widths = dict(codes=entry['motion_dim'], mirrored=entry['motion_dim'], features=entry['width'])
  read = lambda name, *shape: np.frombuffer(record[name], np.float32).reshape(*shape)
  found = {name: read(name, -1, width) for name, width in widths.items()}
  count = len(found['codes'])
  found['opening'] = read('opening', count)
  if record['altered']:
    found['altered'] = read('altered', -1, 2 * count, entry['width'])
    found['quiet'] = read('quiet', -1, count)
  return found
