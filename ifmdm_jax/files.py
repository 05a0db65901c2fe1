"""Files that are whole or not there, and nested dicts of arrays in them."""

import contextlib
import csv
import json
import math
import os
import pathlib
import platform
import shutil
import stat
import sys
import zipfile
import zlib

import flax.traverse_util
import numpy as np
import safetensors
from safetensors.numpy import load_file, save

from ifmdm_jax import errors
from ifmdm_jax.errors import InputError

try:
  import fcntl  # on Windows there is msvcrt instead
except ImportError:
  fcntl = None

LARGEST_TEXT = 2**28  # bytes of JSON or a table
PACKED = 30  # times that an archive may be larger unpacked: weights shrink by two at most
SMALL = 2**26  # bytes that any archive may be
IMPORTED = 'weights.safetensors'  # a frozen network, in the folder that import_weights makes


def check(path, what='a file', largest=None):
  """Returns the path of a file that can be read; what it holds is not looked at.

  Args:
    path: of it.
    what: was expected, for the message.
    largest: bytes.

  Raises:
    InputError: there is none, it is a folder, a pipe or a device, it may not be read or is too
      large.
  """
  path = pathlib.Path(path)
  try:
    found = path.stat()
    regular = stat.S_ISREG(found.st_mode)
    if stat.S_ISFIFO(found.st_mode):
      raise InputError(
        f'expected {what}, {path} is a pipe, not a file: save what comes from it first'
      )
    if regular:
      os.close(os.open(path, os.O_RDONLY))
  except InputError:
    raise
  except (FileNotFoundError, NotADirectoryError):
    regular = False
  except (OSError, ValueError) as error:
    raise InputError(f'expected {what}, {errors.system(error, path)}') from error
  if not regular:
    raise InputError(f'expected {what}, {path} is not a file: check the path')
  if largest is not None and found.st_size > largest:
    raise InputError(
      f'expected {what} of {largest / 1e6:,.0f} MB at most, {path} has {found.st_size / 1e6:,.0f}: '
      'use a smaller one'
    )
  return path


def temporary(path):
  """Names a hidden file beside `path` for this process; what killed ones left there is removed.

  The suffix is kept, as writers look at it.
  """
  path = pathlib.Path(path)
  machine = f'{zlib.crc32(platform.node().encode()):08x}'  # a disk may be shared by several
  stem, suffix = path.stem[:80], path.suffix  # names are at most 255 bytes long
  for old in path.parent.glob(f'.{_escaped(stem)}.{machine}-*.tmp{_escaped(suffix)}'):
    number = old.name.removesuffix(f'.tmp{suffix}').rpartition('-')[2]
    if number.isdigit() and not _alive(int(number)):
      _remove(old)
  return path.with_name(f'.{stem}.{machine}-{os.getpid()}.tmp{suffix}')


def _escaped(text):
  return ''.join(f'[{letter}]' if letter in '*?[' else letter for letter in text)


def _alive(number):
  if number == os.getpid() or os.name == 'nt':  # there, asking would end it
    return True
  try:
    os.kill(number, 0)
  except ProcessLookupError:
    return False
  except OSError:  # somebody else's
    pass
  return True


@contextlib.contextmanager
def atomic(path):
  """Yields a temporary path beside `path`, which takes its place if the block ends well.

  So nobody ever reads half a file, and what was there stays until the new one is whole. For a file
  or a folder; the folder above it is made. The suffix is kept, as writers look at it. Where `path`
  is a link, what it leads to is replaced.

    with files.atomic('table.csv') as half:
      half.write_text(text)

  Raises:
    InputError: the operating system does not let it be written.
  """
  path = target(path)
  with errors.explained('to write a file', path):
    path.parent.mkdir(parents=True, exist_ok=True)
    half = temporary(path)
    _remove(half)
  try:
    yield half
    if half.is_dir() and path.is_dir():
      shutil.rmtree(path)  # a folder cannot be replaced
    with errors.explained('to write a file', path):
      os.replace(half, path)
  except OSError as error:
    if error.errno not in errors.FULL:  # or what the block did otherwise
      raise
    raise InputError(f'expected to write a file, {errors.system(error, path)}') from error
  finally:
    _remove(half)


def target(path):
  """Returns the path itself, or where it leads to if it is a link."""
  path = pathlib.Path(path)
  with errors.explained('a place to write to', path):
    return path.resolve() if path.is_symlink() else path


def check_output(output, inputs=(), overwrite=False, suffixes=('.mp4',)):
  """Returns the path of a new video.

  Args:
    output: where it is to be; `~` is the user's folder.
    inputs: files that it may not replace.
    overwrite: whether it may be there already.
    suffixes: that it may have, lower case.

  Raises:
    InputError: it has another suffix, is there already, is an input, or cannot be written.
  """
  output = pathlib.Path(output).expanduser()
  with errors.explained('a file to write', output):
    return _check_output(output, inputs, overwrite, suffixes)


def _check_output(output, inputs, overwrite, suffixes):
  if output.suffix.lower() not in suffixes:
    named = ', '.join(f'*{suffix}' for suffix in suffixes)
    raise InputError(f'expected an output named {named}, got {output}: add {suffixes[0]}')
  if output.is_dir():
    raise InputError(f'expected a file to write, {output} is a folder: choose another --output')
  if output.exists() and not output.is_file():
    raise InputError(f'expected a file to write, {output} is none: choose another --output')
  if output.exists() and any(output.samefile(each) for each in inputs if os.path.exists(each)):
    raise InputError(f'expected a new file, {output} is an input: choose another --output')
  if output.exists() and not overwrite:
    raise InputError(
      f'expected a new file, {output} exists: choose another --output, or pass --overwrite'
    )
  folder = target(output).absolute().parent
  while not folder.exists():  # missing folders are made later
    folder = folder.parent
  if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
    raise InputError(
      f'expected a folder to write into, {folder} is not a writable one: choose another --output'
    )
  return output


@contextlib.contextmanager
def alone(folder):
  """Holds a folder, which is made, for one command at a time; the lock ends with its process.

  Raises:
    InputError: another command is at work in it.
  """
  folder = pathlib.Path(folder)
  with errors.explained('a folder to write into', folder):
    folder.mkdir(parents=True, exist_ok=True)
    file = open(folder / '.lock', 'a')
  with file:
    try:
      if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise InputError(
        f'expected {folder} for this command alone, another one is at work in it: wait for its end'
      ) from None
    except OSError:  # a disk that knows no locks
      pass
    yield


def read_json(path, what='JSON', largest=LARGEST_TEXT):
  """Reads a file of JSON, UTF-8.

  Raises:
    InputError: there is none, or it holds something else.
  """
  path = check(path, what, largest)
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except (OSError, UnicodeError) as error:
    said = 'it is not UTF-8' if isinstance(error, UnicodeError) else errors.system(error, path)
    raise InputError(f'expected {what} in {path}: {said}: repair it') from error
  except (ValueError, RecursionError) as error:
    raise InputError(f'expected {what} in {path}, which cannot be read ({error})') from error


def write_text(path, text):
  """Writes a whole text file, UTF-8, in place of what was there; names that are not are escaped."""
  with atomic(path) as half:
    half.write_text(text, encoding='utf-8', errors='backslashreplace')


def add_rows(path, rows):
  """Adds rows, dicts with the same keys, to a CSV file; the first ones bring its header."""
  path = pathlib.Path(path)
  new = not path.exists()
  with errors.explained('a table', path), open(path, 'a', newline='', encoding='utf-8') as file:
    table = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
    if new:
      table.writeheader()
    table.writerows(rows)


def user_folder(windows, mac, others):
  """Names this package's folder among those that the operating system keeps for its user.

  Args:
    windows: (variable of the environment, folder of AppData where it is not set).
    mac: folder of the user's Library.
    others: (variable, folder of the user's home where it is not set).
  """
  home = pathlib.Path.home()
  if sys.platform == 'darwin':
    return home / 'Library' / mac / 'ifmdm_jax'
  variable, fallback = windows if sys.platform == 'win32' else others
  usual = home / 'AppData' / fallback if sys.platform == 'win32' else home / fallback
  return pathlib.Path(os.environ.get(variable) or usual) / 'ifmdm_jax'


def _remove(path):
  if path.is_dir():
    shutil.rmtree(path, ignore_errors=True)
  else:
    path.unlink(missing_ok=True)


def read_npz(path):
  """Reads the {name: array} of an npz file: no pickles, and no more memory than it may need.

  Raises:
    InputError: it is not there or damaged, holds something else, or unpacks to far more.
  """
  path = check(path, 'arrays in a file')
  try:
    with zipfile.ZipFile(path) as archive:
      check_unpacked(archive, path)
      return {info.filename.removesuffix('.npy'): _member(archive, info)
              for info in archive.infolist()}  # fmt: skip
  except InputError:
    raise
  except Exception as error:  # of a damaged archive: zlib's, struct's, numpy's, zipfile's own
    raise InputError(
      f'expected arrays in {path}, cannot read it as plain arrays ({type(error).__name__}): '
      'download it again'
    ) from error


def check_unpacked(archive, path):
  """Raises InputError where a zip file unpacks to far more than weights do."""
  size = pathlib.Path(path).stat().st_size
  total = sum(info.file_size for info in archive.infolist())
  if total > max(SMALL, PACKED * size):
    raise InputError(
      f'expected arrays in {path}, its {size} bytes unpack to {total}: these are no weights'
    )


def _member(archive, info):
  """An array of an archive, whose header may not ask for more than follows."""
  with archive.open(info) as file:
    version = np.lib.format.read_magic(file)
    read = {
      (1, 0): np.lib.format.read_array_header_1_0,
      (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, fortran, dtype = read[version](file)
    if dtype.hasobject:
      raise ValueError('it holds Python objects')
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size > info.file_size:
      raise ValueError('its header asks for more than it has')
    array = np.frombuffer(bytearray(file.read(size)), dtype)
  return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def read_arrays(path):
  """Reads a safetensors or npz file whose names are paths -> nested dict, floats as float32.

  Raises:
    InputError: it is not there, or is not such a file; nothing but arrays is ever read.
  """
  path = pathlib.Path(path)
  if path.suffix == '.npz':
    flat = read_npz(path)
  else:
    flat = read_safetensors(path)
  as_float = lambda x: x.astype(np.float32) if np.issubdtype(x.dtype, np.floating) else x
  try:
    return flax.traverse_util.unflatten_dict({k: as_float(x) for k, x in flat.items()}, sep='/')
  except (TypeError, ValueError) as error:  # a name that is a folder of others, too
    raise InputError(f'expected names of arrays in {path}, they do not fit ({error})') from error


def read_safetensors(path):
  """Reads the {name: array} of a safetensors file.

  Raises:
    InputError: it is not there or damaged, or has numbers of a kind that NumPy has not.
  """
  path = check(path, 'arrays in a file')
  try:
    return load_file(path)
  except (
    OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, safetensors.SafetensorError
  ) as error:  # fmt: skip
    raise InputError(
      f'expected arrays in {path}, cannot read it ({type(error).__name__}: {error}): '
      'download it again'
    ) from error


def read_metadata(path):
  """Reads the {name: text} that a safetensors file holds beside its arrays.

  Raises:
    InputError: it is not there or damaged.
  """
  path = check(path, 'arrays in a file')
  try:
    with safetensors.safe_open(path, 'numpy') as file:
      return file.metadata() or {}
  except (OSError, ValueError, safetensors.SafetensorError) as error:
    raise InputError(f'expected arrays in {path}, cannot read it ({error})') from error


def read_settings(path):
  """Reads the settings, {name: value}, beside the arrays of an imported network.

  Raises:
    InputError: it is not there or damaged, or has none.
  """
  try:
    settings = json.loads(read_metadata(path)['config'])
  except (KeyError, ValueError, RecursionError) as error:
    if isinstance(error, InputError):
      raise
    raise InputError(
      f'expected settings in {path}, it has none: import the network anew'
    ) from error
  if not isinstance(settings, dict):
    raise InputError(f'expected settings in {path}, got {settings!r:.100}: import it anew')
  return settings


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
    # Not by save_file: it makes a hidden file of its own, for this user alone.
    half.write_bytes(save(arrays, metadata))
