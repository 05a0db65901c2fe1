"""FLAME's model file -> its mean face and expressions at the points of the face mesh.

  python -m ifmdm_jax.import_weights --kind flame --source generic_model.pkl --output runs/flame

The file (FLAME 2016 to 2023, .pkl, or the same arrays as .npz) is had from its makers by those who
signed its licence; so is the folder that comes out. Nothing in it is run.
"""

import pathlib

import numpy as np

from ifmdm_jax import files
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import plain_pickle
from ifmdm_jax.systems.vlogger import flame

ORIGIN = 'FLAME 2016 to 2023 (generic_model.pkl, flame2023.pkl), for `sample --drive --flame`'
LICENCE = 'its own, to be signed'
# {array: its shape}, V vertices, F triangles, S of shape and expression, 5 joints.
ARRAYS = {
  'v_template': (None, 3),
  'f': (None, 3),
  'shapedirs': (None, 3, None),
  'weights': (None, 5),
  'J_regressor': (5, None),
}
SHAPES = 300  # numbers of identity, before those of expression


def take(source, output):
  """Writes OUTPUT/weights.safetensors; `output` is a new folder.

  Returns:
    How many numbers of expression there are, and by how much points miss, millimetres.

  Raises:
    InputError: the source is not FLAME.
  """
  source, output = pathlib.Path(source), pathlib.Path(output)
  arrays = files.read_npz(source) if source.suffix == '.npz' else plain_pickle.read(source)
  _check(arrays, source)
  vertices = np.asarray(arrays['v_template'], np.float64)
  expression = np.asarray(arrays['shapedirs'][..., SHAPES:], np.float64).transpose(2, 0, 1)
  joints = np.asarray(arrays['J_regressor'], np.float64) @ vertices
  triangles = np.asarray(arrays['f']).astype(int)
  found, missed = flame.match(
    vertices, triangles, expression, np.asarray(arrays['weights'], np.float64), joints
  )
  with files.atomic(output) as half:
    files.write_arrays(half / files.IMPORTED, found._asdict(), metadata={'kind': 'flame'})
  return len(found.expression), 100 * missed


def _check(arrays, source):
  for name, shape in ARRAYS.items():
    got = arrays.get(name)
    fits = got is not None and got.ndim == len(shape)
    if not fits or any(n not in (None, m) for n, m in zip(shape, got.shape)):
      wanted = [f'{n or "n"}' for n in shape]
      raise InputError(
        f'expected FLAME, {name} [{", ".join(wanted)}], in {source}, got '
        f'{"none" if got is None else list(got.shape)}: pass its model file'
      )
    if not np.isfinite(np.asarray(got, np.float64)).all():
      raise InputError(f'expected finite numbers as {name} in {source}: fetch it again')
  count = len(arrays['v_template'])
  sizes = {len(arrays['shapedirs']), len(arrays['weights']), arrays['J_regressor'].shape[1], count}
  corners = np.asarray(arrays['f'])
  if len(sizes) != 1 or corners.min(initial=0) < 0 or corners.max(initial=0) >= count:
    raise InputError(f'expected arrays of {count} vertices in {source}: fetch it again')
  if arrays['shapedirs'].shape[2] <= SHAPES:
    raise InputError(
      f'expected numbers of expression behind {SHAPES} of shape in shapedirs of {source}, got '
      f'{arrays["shapedirs"].shape[2]} in all: pass the whole model'
    )
