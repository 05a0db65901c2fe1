"""Weights of the original PyTorch programs -> a checkpoint of ours, and back.

  python -m ifmdm_jax.import_weights --kind autoencoder --source vox.pt --output runs/lia
  python -m ifmdm_jax.import_weights --kind wav2vec2 --source wav2vec2-base/ --output runs/wav2vec2
  python -m ifmdm_jax.import_weights --kind motion --source 400000.pt --output runs/ifmdm \\
      --autoencoder runs/stage1 --audio runs/wav2vec2
  python -m ifmdm_jax.import_weights --kind inception_fid --source pt_inception.pth \\
      --output weights/inception
  python -m ifmdm_jax.import_weights --kind motion --source runs/motion --export motion.safetensors

What comes out is what training leaves: `--checkpoint` of sample, `--init_from` of train,
`ifmdm_jax.load` and, for networks that measure, `--weights` of evaluate take it. Files of PyTorch
are read without PyTorch, and nothing in them is run. `--export` writes a checkpoint, imported or
trained here, under the original's names; .pt and .pth need PyTorch for that. `--help` says of each
kind where its files come from and what their licence is.
"""

import os
import pathlib

import jax
import jax.numpy as jnp
import ml_collections
from absl import flags
from safetensors import numpy as safetensors
from safetensors import safe_open

from ifmdm_jax import errors
from ifmdm_jax.errors import InputError
from ifmdm_jax.files import atomic
from ifmdm_jax.importers import files, kinds
from ifmdm_jax.training import checkpoints, state

_KIND = flags.DEFINE_enum(
  'kind',
  None,
  list(kinds.KINDS),
  'What the weights are of. '
  + ' '.join(f'{name}: {kind.origin} ({kind.licence}).' for name, kind in kinds.KINDS.items()),
  **errors.SHARED,
)
_SOURCE = flags.DEFINE_multi_string(
  'source',
  [],
  'File (.safetensors, .npz, .pt, .pth, .bin) or Hugging Face folder; with --export a workdir. May '
  'be repeated where one network comes in two files (lpips).',
  **errors.SHARED,
)
_OUTPUT = flags.DEFINE_string('output', None, 'New folder for the checkpoint.', **errors.SHARED)
_EXPORT = flags.DEFINE_string(
  'export', None, 'File to write instead: .safetensors, .npz, .pt or .pth.', **errors.SHARED
)
_LAYER = flags.DEFINE_string(
  'layer',
  None,
  "Speech encoders: which layer's output is used, 0 to the depth, or `mix` for a learned weighting "
  'of all. Default: the last. All are kept.',
  **errors.SHARED,
)
_AUTOENCODER = flags.DEFINE_string(
  'autoencoder', None, 'motion: folder of the stage 1 that draws its codes.', **errors.SHARED
)
_AUDIO = flags.DEFINE_string(
  'audio', None, 'motion: folder of the speech encoder that it hears with.', **errors.SHARED
)
_HEADS = flags.DEFINE_integer(
  'heads',
  None,
  'motion: of the attention, for a network of no published depth and width.',
  lower_bound=1,
  **errors.SHARED,
)

THEIRS = 'theirs'  # folder with what only the original has


def main(_):
  if not (_KIND.value and _SOURCE.value) or bool(_OUTPUT.value) == bool(_EXPORT.value):
    raise InputError(
      'expected --kind, --source, and one of --output and --export; --help shows examples'
    )
  if _EXPORT.value:
    export(_KIND.value, _SOURCE.value[0], _EXPORT.value)
  else:
    options = {}
    if _LAYER.value is not None:
      options['layer'] = int(_LAYER.value) if _LAYER.value.isdigit() else _LAYER.value
    if _HEADS.value is not None:
      options['heads'] = _HEADS.value
    parts = dict(autoencoder=_AUTOENCODER.value, audio=_AUDIO.value)
    take(_KIND.value, _SOURCE.value, _OUTPUT.value, parts, **options)


def take(kind, source, output, parts=None, **options):
  """Imports weights into a new folder; it appears once it is whole.

  Args:
    kind: in `kinds.KINDS`.
    source: files or folders; what they hold is put together.
    output: folder that does not exist, or is empty.
    parts: for `motion`, folders of the `autoencoder` and the `audio` encoder it works with.
    options: see `kinds.read`.
  """

  output = pathlib.Path(output).absolute()
  if output.exists() and (not output.is_dir() or any(output.iterdir())):
    raise InputError(f'--output {output} exists already: name a new folder')
  tree = {}
  for path in source:
    tree |= files.read(path)
  source, names = source[0], ' + '.join(pathlib.Path(path).name for path in source)
  found = {kind: kinds.convert(kind, tree, source, **options)}
  if kind == 'autoencoder' and isinstance(tree.get('dis'), dict):
    found['discriminator'] = kinds.convert('discriminator', tree, source)

  with atomic(output) as half:
    _save(half, kind, found, names, parts or {})
  for name, part in found.items():
    _tell(name, part, names)
  print(f'{output}: written')


def export(kind, source, path):
  """Writes the weights of a workdir under the original's names."""

  config, params = checkpoints.load(source)
  names = unused = None
  beside = pathlib.Path(source) / THEIRS / f'{kind}.safetensors'
  if beside.is_file():
    with safe_open(beside, 'numpy') as file:
      names = file.metadata() or {}
      unused = {name: file.get_tensor(name) for name in file.keys()}
  state = kinds.export(kind, config.model, params, names, unused)
  files.write(path, state)
  print(f'{path}: {len(state)} arrays')


def _save(folder, kind, found, source, parts):

  first = found[kind]
  config = dict(model=dict(first.config), imported=dict(kind=kind, source=source))
  if kind == 'motion':
    config['sampler'] = dict(steps=25, guidance=2.0)
    config['data'] = {}
    if parts.get('autoencoder'):
      config['data']['autoencoder'] = os.path.abspath(parts['autoencoder'])
    if parts.get('audio'):
      config['model']['audio'] = os.path.abspath(parts['audio'])
  params = {kinds.KINDS[name].part or '': part.params for name, part in found.items()}
  params = params.get('', params)
  whole = state.TrainState(jnp.zeros((), jnp.int32), params, {}, None)
  with checkpoints.Checkpoints(folder) as writer:
    writer.save(0, whole, config=ml_collections.ConfigDict(config), data={}, seconds=0.0)
  if not (folder / checkpoints.FOLDER / '0').is_dir():  # the writer has said why
    raise InputError(f'{folder} could not be written: check the room on the disk')
  (folder / THEIRS).mkdir()
  for name, part in found.items():
    data = safetensors.save(part.unused, metadata=part.names)
    (folder / THEIRS / f'{name}.safetensors').write_bytes(data)


def _tell(name, part, source):

  count = sum(leaf.size for leaf in jax.tree.leaves(part.params))
  note = f', {part.halves} arrays came in half precision and are float32 now' if part.halves else ''
  print(f'{name}: {count:,} parameters from {source}{note}')
  if part.unused:
    print(f'  {len(part.unused)} entries that nothing reads are kept for --export')


if __name__ == '__main__':
  errors.run(main)
