"""Do our networks give the published numbers? Compares every array of the golden files.

  python -m ifmdm_jax.importers.check --goldens ../shared/goldens

Goldens are outputs of the original PyTorch networks on weights that are drawn from their names. For
every keys/NAME.json the weights are drawn anew (recipe.py), imported through the table, run, and
compared with NAME.npz; train_SIZE.npz, where there is one, with the generator and discriminator of
that size. Any picture size and any variant of the transformer will do. Exit status: 0 all arrays
agree, 1 one of them does not, 2 bad input.
"""

import json
import pathlib
import sys
import time

import jax
import numpy as np
from absl import flags

from ifmdm_jax import errors, testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import check_networks as networks
from ifmdm_jax.importers.comparison import compare

_GOLDENS = flags.DEFINE_string(
  'goldens', None, 'Folder with keys/*.json, *.npz and recipe.py.', **errors.SHARED
)
_ONLY = flags.DEFINE_string(
  'only', '', 'Only files whose name contains this, e.g. dit.', **errors.SHARED
)


def run(folder, only=''):
  """Yields (name of a golden file, its Rows, seconds).

  Raises:
    InputError: the folder is no folder of goldens, or a keys/*.json lacks its arrays.
  """
  folder = pathlib.Path(folder)
  keys = sorted((folder / 'keys').glob('*.json'))
  if not keys:
    raise InputError(f'{folder} has no keys/*.json: expected a folder of goldens')
  recipe = testing.recipe_of(folder)
  families = {'gen': networks.generator, 'dis': networks.discriminator, 'dit': networks.motion}
  jobs, parts = {}, {}
  for path in keys:
    spec = json.loads(path.read_text())
    if spec.get('family') not in families:
      raise InputError(f'{path}: family {spec.get("family")!r}, expected {", ".join(families)}')
    jobs[path.stem] = (families[spec['family']], [path])
    parts[path.stem] = path
  for path in sorted(folder.glob('train_*.npz')):
    size = path.stem.removeprefix('train_')
    both = [parts.get(f'{family}_{size}') for family in ('gen', 'dis')]
    if all(both):
      jobs[path.stem] = (networks.training, both)

  jobs = {name: job for name, job in jobs.items() if only in name}
  if not jobs:
    raise InputError(f'--only {only}: expected a part of one of {", ".join(sorted(parts))}')
  for name, (network, paths) in jobs.items():
    if not (folder / f'{name}.npz').is_file():
      raise InputError(f'{folder} has keys/{name}.json and no {name}.npz to compare with')
    began = time.monotonic()
    with np.load(folder / f'{name}.npz') as file:
      golden = {array: file[array] for array in file.files}
    states = [recipe.load_state(path) for path in paths]
    with jax.default_matmul_precision('highest'):  # accelerators round products otherwise
      computed, limit = network(recipe, *states, golden)
    rows = [compare(array, computed.get(array), golden[array], limit(array)) for array in golden]
    yield name, rows, time.monotonic() - began


def table(rows):
  """Writes rows as text, columns aligned."""
  width = max(len(row.array) for row in rows)
  lines = [
    f'{row.array:{width}}  {row.max:8.1e}  {row.mean:8.1e}  {row.limit:15}  '
    f'{"pass" if row.passed else "MISS"}'
    for row in rows
  ]
  return '\n'.join([f'{"array":{width}}  {"max":>8}  {"mean":>8}  {"tolerance":15}', *lines])


def main(_):
  if not _GOLDENS.value:
    raise InputError('expected --goldens DIR; --help says what it holds')
  total, misses = 0, []
  for name, rows, seconds in run(_GOLDENS.value, _ONLY.value):
    print(f'\n{name}\n{table(rows)}\n{len(rows)} arrays in {seconds:.0f} s', flush=True)
    total += len(rows)
    misses += [f'{name}: {row.array}' for row in rows if not row.passed]
  print(f'\n{total - len(misses)} of {total} arrays agree')
  if misses:
    print('\n'.join(['misses:', *misses]))
    sys.exit(1)


if __name__ == '__main__':
  errors.run(main)
