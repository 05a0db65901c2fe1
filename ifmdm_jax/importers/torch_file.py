"""PyTorch's files (.pt, .pth, .bin, TorchScript) -> numpy arrays, without PyTorch and without code.

Such a file is a pickle that describes tensors, and their bytes. A pickle may name any function of
Python to be called when it is opened. This reader knows the few names that describe tensors, puts
lifeless stand-ins for a few more that training programs store beside them (argparse.Namespace),
and refuses every other name before anything of it is looked up.

Layouts: the zip archive (PyTorch 1.6 and later, TorchScript), and the older sequence of pickles.
"""

import collections
import io
import math
import os
import pickle
import pickletools
import struct
import sys
import zipfile
import zlib

import ml_dtypes
import numpy as np

from ifmdm_jax import files
from ifmdm_jax.errors import InputError

NODES = 2**17  # of a file's nested dicts, at most
SHARED = 8  # times that tensors may be larger than the file, where several share their numbers
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the old layout

DTYPES = {
  'FloatStorage': np.float32,
  'HalfStorage': np.float16,
  'BFloat16Storage': ml_dtypes.bfloat16,
  'DoubleStorage': np.float64,
  'LongStorage': np.int64,
  'IntStorage': np.int32,
  'ShortStorage': np.int16,
  'CharStorage': np.int8,
  'ByteStorage': np.uint8,
  'BoolStorage': np.bool_,
}


class Inert:
  """Stands in for an object whose class is never imported; it takes anything and does nothing."""

  def __init__(self, *_, **__):
    pass

  def __setstate__(self, _):
    pass


class Scripted(Inert):
  """A TorchScript module: its attributes are its parameters and its parts."""

  def __setstate__(self, state):
    self.attributes = dict(state)


class Tensor:
  """What a pickle says of a tensor; its bytes come later."""

  def __init__(self, storage, offset, size, stride, *_):
    self.storage, self.offset, self.size, self.stride = storage, offset, tuple(size), tuple(stride)

  def array(self, storages):
    flat = storages(*self.storage)
    count = math.prod(self.size)
    reach = self.offset + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
    # strides come from the file: they may neither leave the storage nor multiply it
    if min((self.offset, *self.size, *self.stride)) < 0 or count > flat.size:
      raise pickle.UnpicklingError(f'a tensor of shape {self.size} does not fit its storage')
    if count and reach >= flat.size:
      raise pickle.UnpicklingError(f'a tensor of shape {self.size} ends beyond its storage')
    strides = [s * flat.itemsize for s in self.stride]
    view = np.lib.stride_tricks.as_strided(flat[self.offset :], self.size, strides)
    return np.array(view, order='C') if count else np.zeros(self.size, flat.dtype)


TENSORS = {
  '_rebuild_tensor': Tensor,
  '_rebuild_tensor_v2': Tensor,
  '_rebuild_parameter': lambda data, *_: data,
  '_rebuild_parameter_with_state': lambda data, *_: data,
}
LIFELESS = {
  ('argparse', 'Namespace'),
  ('pathlib', 'PosixPath'),
  ('_codecs', 'encode'),
  ('pytorch_lightning.callbacks.model_checkpoint', 'ModelCheckpoint'),  # names its own notes
  ('numpy', 'dtype'),
  ('numpy.core.multiarray', 'scalar'),
  ('numpy._core.multiarray', 'scalar'),
  ('torch', 'device'),
}


class Reader(pickle.Unpickler):
  """Unpickles descriptions of tensors; every other name ends in an UnpicklingError."""

  def __init__(self, file):
    _check_sizes(file)
    super().__init__(file, encoding='latin1')  # old files come from Python 2
    self.storages = {}  # (name, how many numbers) -> dtype

  def find_class(self, module, name):
    if (module, name) == ('collections', 'OrderedDict'):
      return collections.OrderedDict
    if module == 'torch._utils' and name in TENSORS:
      return TENSORS[name]
    if module in ('torch', 'torch.cuda') and name in DTYPES:
      return DTYPES[name]
    if (module, name) == ('torch', 'Size'):
      return tuple
    if module in ('builtins', '__builtin__') and name in ('set', 'frozenset'):
      return frozenset
    if module == 'torch.jit._pickle':
      return lambda value, *_: value
    if module.startswith('__torch__'):
      return Scripted
    if (module, name) in LIFELESS or (module == 'torch' and hasattr(np, name.rstrip('_'))):
      return Inert  # the latter: dtypes such as torch.float32
    raise pickle.UnpicklingError(f'it asks for {module}.{name}, which is no part of weights')

  def persistent_load(self, pid):
    kind, dtype, key, _, count, *view = pid
    if kind != 'storage' or not isinstance(dtype, type) or any(view):
      raise pickle.UnpicklingError(f'it holds a {kind} of a kind that is not known')
    self.storages[str(key), count] = dtype
    return dtype, str(key), count


def _check_sizes(file):
  """Raises an error where a pickle asks for memory that it has no use for; reads no further."""
  start = file.tell()
  for count, (code, value, _) in enumerate(pickletools.genops(file)):
    if code.name in ('PUT', 'BINPUT', 'LONG_BINPUT') and not 0 <= value <= count:
      raise pickle.UnpicklingError(f'it numbers its {count} values up to {value}')
  file.seek(start)


def read(path):
  """Reads the nested dicts of arrays in a file; all that is no array is left out.

  Raises:
    InputError: the file is damaged, or holds anything but a description of weights.
  """
  try:
    with open(path, 'rb') as file:
      zipped = file.read(2) == b'PK'
      file.seek(0)
      most = max(files.SMALL, SHARED * os.fstat(file.fileno()).st_size)
      return (_read_zip if zipped else _read_sequence)(file, path, most)
  except pickle.UnpicklingError as error:
    if 'truncated' in str(error):
      raise InputError(f'{path} is not whole ({error}): fetch it again') from error
    raise InputError(
      f'{path} was not opened: {error}. Expected a state dict of tensors: load it with the program '
      'that wrote it, if you trust it, and save its state_dict() alone'
    ) from error
  except (zipfile.BadZipFile, EOFError, struct.error, OSError) as error:
    raise InputError(f'{path} is not whole ({error}): fetch it again') from error
  except InputError:
    raise
  except (
    ArithmeticError, AttributeError, LookupError, MemoryError, NotImplementedError, RecursionError,
    TypeError, ValueError, zlib.error,
  ) as error:  # fmt: skip
    if 'exhausted' in str(error):  # pickletools' word for a pickle without an end
      raise InputError(f'{path} is not whole ({error}): fetch it again') from error
    raise InputError(f'{path} is no file of PyTorch weights ({error}): check it') from error


def _read_zip(file, path, most):
  with zipfile.ZipFile(file) as archive:
    files.check_unpacked(archive, path)
    names = [name for name in archive.namelist() if name.endswith('data.pkl')]
    if not names:
      raise pickle.UnpicklingError('it is an archive without data.pkl')
    folder = names[0].removesuffix('data.pkl')
    order, held = folder + 'byteorder', {}
    swapped = order in archive.namelist() and archive.read(order).strip() == b'big'

    def storages(dtype, key, count):
      if key not in held:
        held[key] = archive.read(f'{folder}data/{key}')  # checks the CRC
      return _numbers(held[key], dtype, count, swapped)

    tree = Reader(io.BytesIO(archive.read(names[0]))).load()
    return _named(tree, storages, most)


def _named(tree, storages, most):
  """Arrays of a tree, which has to be a dict or a module."""
  found = arrays_of(tree, storages, _Budget(most))
  if not isinstance(found, dict):
    raise pickle.UnpicklingError(f'it holds {type(tree).__name__} where names should be')
  return found


def _read_sequence(file, _, most):
  if Reader(file).load() != MAGIC or Reader(file).load() != PROTOCOL:
    raise pickle.UnpicklingError('it is a pickle, but none of PyTorch')
  system = Reader(file).load()
  reader = Reader(file)
  found = reader.load()
  places = {}
  for key in map(str, Reader(file).load()):  # each: how many numbers, then the numbers
    (count,) = struct.unpack('<q', file.read(8))
    if (key, count) not in reader.storages:
      raise EOFError(f'storage {key} is not where it should be')
    places[key] = file.tell()
    file.seek(count * np.dtype(reader.storages[key, count]).itemsize, 1)

  def storages(dtype, key, count):
    file.seek(places[key])
    data = file.read(count * np.dtype(dtype).itemsize)
    return _numbers(data, dtype, count, not system['little_endian'])

  return _named(found, storages, most)


def _numbers(data, dtype, count, swapped):
  if len(data) < count * np.dtype(dtype).itemsize:
    raise EOFError(f'{len(data)} bytes where {count} numbers of {np.dtype(dtype)} should be')
  numbers = np.frombuffer(data, dtype, count)
  return numbers.byteswap() if swapped != (sys.byteorder == 'big') else numbers


class _Budget:
  """What is left of nodes and bytes: dicts may hold one another many times over."""

  def __init__(self, most):
    self.nodes, self.bytes = NODES, most

  def take(self, size=0):
    self.nodes, self.bytes = self.nodes - 1, self.bytes - size
    if min(self.nodes, self.bytes) < 0:
      raise pickle.UnpicklingError('its dicts hold one another, or its tensors are all the same')


def arrays_of(node, storages, budget):
  """Names arrays and dicts of them; a scripted module becomes one dict with dotted names.

  Dicts by number are an optimiser's, and None like all that is no array: none of it is read.
  """
  budget.take()
  if isinstance(node, Tensor):
    budget.take(math.prod(node.size) * np.dtype(node.storage[0]).itemsize)
    return node.array(storages)
  if isinstance(node, Scripted):
    flat = {}
    for name, value in node.attributes.items():
      value = arrays_of(value, storages, budget)
      if isinstance(value, dict):
        flat |= {f'{name}.{inner}': array for inner, array in value.items()}
      elif value is not None:
        flat[name] = value
    return flat
  if isinstance(node, dict) and all(isinstance(key, str) for key in node):
    values = {key: arrays_of(value, storages, budget) for key, value in node.items()}
    return {key: value for key, value in values.items() if value is not None}
  return None
