"""Pickles of models of bodies -> numpy arrays, without code: NumPy's arrays, SciPy's sparse ones.

A pickle may name any function of Python to be called when it is opened. This reader knows the few
names by which arrays are described, builds the arrays itself, and refuses every other name before
anything of it is looked up. Chumpy's arrays, which old files are full of, are what they hold as x.
"""

import math
import pickle

import numpy as np

from ifmdm_jax import files
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import torch_file

LARGEST = 2**22  # numbers of a sparse matrix, written out
KINDS = 'biuf'  # of numbers: bool, int, unsigned, float
ARRAYS = ('numpy.core.multiarray', 'numpy._core.multiarray')


class Stored(torch_file.Inert):
  """Stands in for an object that only keeps what it was given."""

  state = None

  def __setstate__(self, state):
    self.state = state


class Dtype(Stored):
  """What a pickle says of numpy.dtype: its letters, then byte order and fields."""

  def __init__(self, letters, *_):
    self.letters = letters

  def dtype(self):
    order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else '='
    found = np.dtype(str(self.letters)).newbyteorder(order if order in ('<', '>') else '=')
    if found.kind not in KINDS or found.hasobject:
      raise pickle.UnpicklingError(f'it holds an array of {self.letters!r:.20}, which is no number')
    return found


class Array(Stored):
  """What a pickle says of numpy.ndarray."""

  def array(self):
    _, shape, dtype, fortran, data = self.state
    dtype = dtype.dtype()
    data = data.encode('latin1') if isinstance(data, str) else data  # of Python 2
    if not isinstance(data, bytes) or min(shape, default=0) < 0:
      raise pickle.UnpicklingError('it holds an array of objects')
    if len(data) != math.prod(shape) * dtype.itemsize:
      raise pickle.UnpicklingError(f'an array of shape {shape} does not fit its numbers')
    found = np.frombuffer(data, dtype).reshape(shape, order='F' if fortran else 'C')
    return found.astype(dtype.newbyteorder('='))


class Sparse(Stored):
  """What a pickle says of a matrix of scipy.sparse, in columns or in rows."""

  by_rows = False

  def array(self):
    state = self.state
    data, indices, starts = (_array(state[name]) for name in ('data', 'indices', 'indptr'))
    shape = tuple(int(n) for n in state.get('_shape', state.get('shape')))
    if not (len(shape) == 2 and 0 < math.prod(shape) <= LARGEST and min(shape) > 0):
      raise pickle.UnpicklingError(f'it holds a sparse matrix of {shape}')
    whole = np.zeros(shape, data.dtype)
    outer = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    places = (outer, indices) if self.by_rows else (indices, outer)
    np.add.at(whole, places, data)
    return whole


class SparseRows(Sparse):
  by_rows = True


def _fresh(kind, *_):
  """What copyreg makes an object by: here of the kinds above alone."""
  if not (isinstance(kind, type) and issubclass(kind, Stored)):
    raise pickle.UnpicklingError('it makes an object of an unknown kind')
  return kind.__new__(kind)


SPARSE = {'csc_matrix': Sparse, 'csr_matrix': SparseRows}
NAMES = {
  ('numpy', 'ndarray'): Array,
  ('numpy', 'dtype'): Dtype,
  ('_codecs', 'encode'): lambda text, encoding: text.encode(encoding),
  **{(module, '_reconstructor'): _fresh for module in ('copyreg', 'copy_reg')},
  **{(module, 'object'): Stored for module in ('builtins', '__builtin__')},
}


class Reader(torch_file.Reader):
  """Unpickles descriptions of arrays; a name that neither kind of file has ends in an error."""

  def find_class(self, module, name):
    if module in ARRAYS and name == '_reconstruct':
      return lambda *_: Array()
    if module.startswith('scipy.sparse') and name in SPARSE:
      return SPARSE[name]
    if module.startswith('chumpy.'):
      return Stored
    found = NAMES.get((module, name))
    return super().find_class(module, name) if found is None else found


def read(path):
  """Reads the arrays of a pickled dict, {name: array}; all that is no array is left out.

  Raises:
    InputError: the file is damaged, or holds anything but a description of arrays.
  """
  path = files.check(path, 'a pickle of arrays')
  try:
    with open(path, 'rb') as file:
      tree = Reader(file).load()
    if not isinstance(tree, dict):
      raise pickle.UnpicklingError(f'it holds {type(tree).__name__} where names should be')
    found = {str(name): _array(value) for name, value in tree.items()}
    return {name: array for name, array in found.items() if array is not None}
  except pickle.UnpicklingError as error:
    raise InputError(f'{path} was not opened: {error}. Expected a dict of arrays') from error
  except (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RecursionError,
    TypeError, ValueError,
  ) as error:  # fmt: skip
    raise InputError(f'{path} is no whole pickle of arrays ({error}): fetch it again') from error


def _array(value):
  """The array that an object of a pickle describes, or None."""
  if isinstance(value, Array | Sparse):
    return value.array()
  if isinstance(value, Stored) and isinstance(value.state, dict) and 'x' in value.state:
    return _array(value.state['x'])
  return None
