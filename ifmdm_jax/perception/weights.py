"""Imported weights of the frozen networks: where they lie, and one clear line where they do not.

  python -m ifmdm_jax.import_weights --kind inception_fid --source pt_inception.pth \\
      --output weights/inception

With `--weights weights` (or the environment variable IFMDM_WEIGHTS) evaluate finds it there.
Nothing is downloaded.
"""

import os
import pathlib

from ifmdm_jax import files
from ifmdm_jax.errors import InputError

FOLDER = 'IFMDM_WEIGHTS'  # environment variable
KINDS = {  # folder -> kind of import_weights
  'inception': 'inception_fid',
  'i3d': 'i3d',
  'arcface': 'arcface',
  'syncnet': 'syncnet',
  'vgg19': 'vgg19',
}


def read(name, folder=None):
  """Reads the float32 parameters of `name` in KINDS: FOLDER/NAME, or FOLDER/NAME.safetensors.

  Args:
    name: of the network.
    folder: where imported weights lie; by default the one that the environment variable
      IFMDM_WEIGHTS names.

  Raises:
    InputError: there are none; the line says which command brings them.
  """
  folder = folder or os.environ.get(FOLDER)
  if folder:
    path = pathlib.Path(folder) / name
    if path.with_suffix('.safetensors').is_file():
      return files.read_arrays(path.with_suffix('.safetensors'))
    if (path / files.IMPORTED).is_file():
      return files.read_arrays(path / files.IMPORTED)
    where = f'{path / files.IMPORTED} does not exist'
  else:
    where, folder = f'no --weights and no {FOLDER} is given', 'weights'
  raise InputError(
    f'{name}: {where}; python -m ifmdm_jax.import_weights --kind {KINDS[name]} --output '
    f'{folder}/{name} --source FILE'
  )
