"""Files that are whole or not there, and nested dicts of arrays in them."""

import contextlib
import csv
import os
import pathlib
import shutil
import zipfile

import flax.traverse_util
import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

from ifmdm_jax.errors import InputError

IMPORTED = 'weights.safetensors'  # a frozen network, in the folder that import_weights makes


@contextlib.contextmanager
def atomic(path):
  """Yields a temporary path beside `path`, which takes its place if the block ends well.

  So nobody ever reads half a file, and what was there stays until the new one is whole. For a file
  or a folder; the folder above it is made. The suffix is kept, as writers look at it.

    with files.atomic('table.csv') as half:
      half.write_text(text)
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  half = path.with_name(f'.{path.stem}.{os.getpid()}.tmp{path.suffix}')
  _remove(half)
  try:
    yield half
    if half.is_dir() and path.is_dir():
      shutil.rmtree(path)  # a folder cannot be replaced
    os.replace(half, path)
  finally:
    _remove(half)


def write_text(path, text):
  """Writes a whole text file, UTF-8, in place of what was there."""
  with atomic(path) as half:
    half.write_text(text, encoding='utf-8')


def add_rows(path, rows):
  """Adds rows, dicts with the same keys, to a CSV file; the first ones bring its header."""
  path = pathlib.Path(path)
  new = not path.exists()
  with open(path, 'a', newline='', encoding='utf-8') as file:
    table = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
    if new:
      table.writeheader()
    table.writerows(rows)


def _remove(path):
  if path.is_dir():
    shutil.rmtree(path, ignore_errors=True)
  else:
    path.unlink(missing_ok=True)


def read_arrays(path):
  """Reads a safetensors or npz file whose names are paths -> nested dict, floats as float32.

  Raises:
    InputError: it is not there, or is not such a file; nothing but arrays is ever read.
  """
  path = pathlib.Path(path)
  try:
    if path.suffix == '.npz':
      with np.load(path, allow_pickle=False) as file:
        flat = {name: file[name] for name in file.files}
    else:
      flat = load_file(path)
  except (
    OSError, ValueError, KeyError, EOFError, safetensors.SafetensorError, zipfile.BadZipFile,
  ) as error:  # fmt: skip
    raise InputError(
      f'expected arrays in {path}, cannot read it ({type(error).__name__}): download it again'
    ) from error
  as_float = lambda x: x.astype(np.float32) if np.issubdtype(x.dtype, np.floating) else x
  return flax.traverse_util.unflatten_dict({k: as_float(x) for k, x in flat.items()}, sep='/')


def read_metadata(path):
  """Reads the {name: text} that a safetensors file holds beside its arrays."""
  with safetensors.safe_open(path, 'numpy') as file:
    return file.metadata() or {}


def write_arrays(path, tree, dtype=None, metadata=None):
  """Writes a nested dict of arrays as one safetensors file whose names are paths.

  Args:
    dtype: of floats in the file; None: as they are.
    metadata: {name: text} beside them.
  """

  def stored(leaf):
    leaf = np.asarray(leaf)
    return leaf.astype(dtype) if dtype and np.issubdtype(leaf.dtype, np.floating) else leaf

  flat = flax.traverse_util.flatten_dict(dict(tree), sep='/')
  with atomic(path) as half:
    arrays = {name: np.asarray(stored(leaf), order='C') for name, leaf in flat.items()}
    save_file(arrays, half, metadata)
