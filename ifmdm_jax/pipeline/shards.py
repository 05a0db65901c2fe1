"""Raw records out of ArrayRecord files: bytes by name.

tensorflow-datasets writes them, but does not read them: its reader imports the classes that
features.json names, and a set may come from anybody. All that is read of a set are the records
themselves; which values they have is known.
"""

import collections.abc
import pathlib
import re

from ifmdm_jax.errors import InputError

FILE = re.compile(r'[a-z_]+-(\w+)\.array_record-(\d{5})-of-(\d{5})', re.ASCII)


def version(folder):
  """Returns the folder of the newest data set in `folder`/records, or None."""
  versions = sorted(pathlib.Path(folder).glob('records/*/*/dataset_info.json'))
  return versions[-1].parent if versions else None


def splits(folder):
  """Lists the splits of a set."""
  return sorted({split for _, split, _ in _files(folder)})


class Shards(collections.abc.Sequence):
  """Record `i` of a split as {name: bytes}."""

  def __init__(self, folder, split):
    """Opens the files of a split.

    Raises:
      InputError: one is missing or damaged.
    """
    from array_record.python import array_record_data_source as files  # of the extra `train`

    self._folder = folder
    found = [(path, count) for path, own, count in _files(folder) if own == split]
    if not found or {count for _, count in found} != {len(found)}:
      raise InputError(
        f'expected all files of the split {split!r} in {version(folder)}, found {len(found)}: '
        'copy or prepare the set again'
      )
    try:
      self._source = files.ArrayRecordDataSource([path for path, _ in found])
      self._count = len(self._source)
    except (RuntimeError, ValueError, OSError) as error:
      raise self._damaged(error) from error

  def __len__(self):
    return self._count

  def __getitem__(self, index):
    # Its parser of Examples alone, which is generated code and imports nothing by name.
    from tensorflow_datasets.proto import tf_example_pb2  # of the extra `train`

    if not 0 <= index < self._count:
      raise IndexError(f'record {index} of {self._count}')
    try:
      example = tf_example_pb2.Example.FromString(self._source[index])
    except Exception as error:  # RuntimeError of one library, DecodeError of the other
      raise self._damaged(error) from error
    values = {name: value.bytes_list.value for name, value in example.features.feature.items()}
    return {name: value[0] for name, value in values.items() if len(value) == 1}

  def _damaged(self, error):
    return InputError(
      f'expected whole records in {version(self._folder)}, one is damaged ({error}): copy or '
      'prepare the set again'
    )


def _files(folder):
  """Lists (path, split, number of files of that split) in order."""
  newest = version(folder)
  names = sorted(path.name for path in newest.iterdir()) if newest else ()
  return [
    (str(newest / name), match[1], int(match[3]))
    for name in names
    if (match := FILE.fullmatch(name))
  ]
