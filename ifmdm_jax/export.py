"""A generator as one file of compiled functions, for a server that has none of this package.

  python -m ifmdm_jax.export --output talking.zip
  python -m ifmdm_jax.export --checkpoint runs/motion --plan offline --output talking.zip

The file is a zip of StableHLO programs (`jax.export`) for CPU, CUDA and TPU, the weights, and
meta.json, which says what the numbers mean. A server needs JAX, NumPy and safetensors;
experiments/speed/serve.py is one in forty lines. What the functions are is the system's to say: see
`ifmdm_jax/systems/NAME/exported.py`.
"""

import json
import pathlib
import zipfile

import jax
from absl import flags
from jax import export as jax_export
from safetensors.numpy import save

from ifmdm_jax import bundle, errors, files
from ifmdm_jax.errors import InputError
from ifmdm_jax.generator import Exports

_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', None, 'Bundle or training run; default: the bundled weights.', **errors.SHARED
)
_OUTPUT = flags.DEFINE_string('output', None, 'File to write, *.zip.', **errors.SHARED)
_PLAN = flags.DEFINE_enum(
  'plan', 'streaming', ['streaming', 'offline'], 'Windows: for a microphone, or for files.',
  **errors.SHARED,
)  # fmt: skip

PLATFORMS = ('cpu', 'cuda', 'tpu')


def write(path, generator, plan, platforms=PLATFORMS):
  """Exports a generator with a plan; returns the size of the file in bytes.

  Raises:
    InputError: its system offers nothing to export.
  """
  if not isinstance(generator, Exports):
    raise InputError(f'expected a generator that can be exported, {generator.name} cannot')
  found = generator.exported(plan)
  shapes = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in found.weights.items()}
  meta = dict(found.meta, platforms=list(platforms))
  with (
    files.atomic(path) as half,
    zipfile.ZipFile(half, 'w', zipfile.ZIP_DEFLATED) as file,
  ):
    for name, (function, arguments) in found.functions.items():
      program = jax_export.export(jax.jit(function), platforms=platforms)(shapes, *arguments)
      file.writestr(f'{name}.stablehlo', program.serialize())
    file.writestr('weights.safetensors', save(found.weights))
    file.writestr('meta.json', json.dumps(meta, indent=1))
  return pathlib.Path(path).stat().st_size


def _check_output(path):
  """Raises InputError before the work where a file cannot be written."""
  with errors.explained('a file to write', path):
    if path.is_dir():
      raise InputError(f'expected a file to write, {path} is a folder: choose another --output')
    path.parent.mkdir(parents=True, exist_ok=True)
    half = files.temporary(path)
    half.touch()
    half.unlink()


def main(_):
  if not _OUTPUT.value:
    raise InputError('expected --output, the file to write: --help shows an example')
  _check_output(pathlib.Path(_OUTPUT.value))
  generator = bundle.load(_CHECKPOINT.value)
  size = write(_OUTPUT.value, generator, getattr(generator, _PLAN.value))
  print(f'{_OUTPUT.value}: {size / 1e6:.1f} MB, {_PLAN.value} windows, for {", ".join(PLATFORMS)}')


if __name__ == '__main__':
  errors.run(main)
