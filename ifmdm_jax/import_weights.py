"""Weights of the original PyTorch programs -> a checkpoint of ours, and back.

  python -m ifmdm_jax.import_weights --kind autoencoder --source vox.pt --output runs/lia
  python -m ifmdm_jax.import_weights --kind wav2vec2 --source wav2vec2-base/ --output runs/wav2vec2
  python -m ifmdm_jax.import_weights --kind motion --source 400000.pt --output runs/ifmdm \\
      --autoencoder runs/stage1 --audio runs/wav2vec2
  python -m ifmdm_jax.import_weights --kind difftalk_autoencoder --source vq-f4/model.ckpt \\
      --output runs/vq
  python -m ifmdm_jax.import_weights --kind inception_fid --source pt_inception.pth \\
      --output weights/inception
  python -m ifmdm_jax.import_weights --kind flame --source generic_model.pkl --output runs/flame
  python -m ifmdm_jax.import_weights --kind motion --source runs/motion --export motion.safetensors

Of networks that can be trained what comes out is what training leaves: `--checkpoint` of sample,
`--init_from` of train and `ifmdm_jax.load` take it. Speech encoders and networks that measure are
one file, which a config's `audio` and `--weights` of evaluate name by its folder. Files of PyTorch
are read without PyTorch, and nothing in them is run. `--export` writes a checkpoint, imported or
trained here, under the original's names; .pt and .pth need PyTorch for that. `--help` says of each
kind where its files come from and what their licence is.
"""

import json
import os
import pathlib

import jax
import jax.numpy as jnp
import ml_collections
from absl import flags
from safetensors.numpy import load_file, save

from ifmdm_jax import errors, files
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import files as foreign
from ifmdm_jax.importers import flame, kinds
from ifmdm_jax.training import checkpoints
from ifmdm_jax.training.state import TrainState

FACE = 'flame'  # no weights, but a face whose motion others write down

_KIND = flags.DEFINE_enum(
  'kind',
  None,
  [*kinds.KINDS, FACE],
  'What the weights are of. '
  + ' '.join(f'{name}: {kind.origin} ({kind.licence}).' for name, kind in kinds.KINDS.items())
  + f' {FACE}: {flame.ORIGIN} ({flame.LICENCE}).',
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
  'autoencoder', None, 'motion, difftalk: folder of the stage 1 it works with.', **errors.SHARED
)
_AUDIO = flags.DEFINE_string(
  'audio',
  None,
  'motion, difftalk: folder of the speech encoder that makes its features.',
  **errors.SHARED,
)
_HEADS = flags.DEFINE_integer(
  'heads',
  None,
  'motion: of the attention, for a network of no published depth and width.',
  lower_bound=1,
  **errors.SHARED,
)

ORIGINAL = 'original'  # folder with what only the original has


def main(_):
  if not (_KIND.value and _SOURCE.value) or bool(_OUTPUT.value) == bool(_EXPORT.value):
    raise InputError(
      'expected --kind, --source, and one of --output and --export; --help shows examples'
    )
  if _KIND.value == FACE:
    _take_face()
  elif _EXPORT.value:
    export(_KIND.value, _SOURCE.value[0], _EXPORT.value)
  else:
    options = {}
    if _LAYER.value is not None:
      options['layer'] = int(_LAYER.value) if _LAYER.value.isdigit() else _LAYER.value
    if _HEADS.value is not None:
      options['heads'] = _HEADS.value
    parts = dict(autoencoder=_AUTOENCODER.value, audio=_AUDIO.value)
    take(_KIND.value, _SOURCE.value, _OUTPUT.value, parts, **options)


def _take_face():
  if _EXPORT.value or len(_SOURCE.value) != 1:
    raise InputError(f'expected one --source and --output with --kind {FACE}: see --help')
  output = _new(_OUTPUT.value)
  count, missed = flame.take(_SOURCE.value[0], output)
  print(f'{output}: {count} numbers of expression, on the face to {missed:.1f} mm')


def _new(output):
  """Returns the path of a folder to be written.

  Raises:
    InputError: there is something already.
  """
  output = pathlib.Path(output).absolute()
  if output.exists() and (not output.is_dir() or any(output.iterdir())):
    raise InputError(f'--output {output} exists already: name a new folder')
  return output


def take(kind, source, output, parts=None, **options):
  """Imports weights into a new folder; it appears once it is whole.

  Args:
    kind: in `kinds.KINDS`.
    source: files or folders; what they hold is put together.
    output: folder that does not exist, or is empty.
    parts: for `motion` and `difftalk`, folders of the `autoencoder` and the `audio` encoder that
      it works with.
    options: see `kinds.read`.
  """
  output = _new(output)
  tree = {}
  for path in source:
    tree |= foreign.read(path)
  source, names = source[0], ' + '.join(pathlib.Path(path).name for path in source)
  converted = {kind: kinds.convert(kind, tree, source, **options)}
  if kind == 'autoencoder' and isinstance(tree.get('dis'), dict):
    converted['discriminator'] = kinds.convert('discriminator', tree, source)

  with files.atomic(output) as half:
    _save(half, kind, converted, names, parts or {})
  for name, part in converted.items():
    _report(name, part, names)
  print(f'{output}: written')


def export(kind, source, path):
  """Writes the weights of a workdir, or of an imported network, under the original's names."""
  source = pathlib.Path(source)
  if (source / files.IMPORTED).is_file():
    config = files.read_settings(source / files.IMPORTED)
    params = files.read_arrays(source / files.IMPORTED)
  else:
    trained, params = checkpoints.load(source)
    config = trained.model
  names = unused = None
  beside = source / ORIGINAL / f'{kind}.safetensors'
  if beside.is_file():
    names, unused = files.read_metadata(beside), load_file(beside)
  state = kinds.export(kind, config, params, names, unused)
  foreign.write(path, state)
  print(f'{path}: {len(state)} arrays')


def _save(folder, kind, converted, source, parts):
  """A checkpoint of what is trained; one file of what is only ever run."""
  first = converted[kind]
  if kinds.KINDS[kind].frozen:
    metadata = dict(config=json.dumps(first.config), kind=kind, source=source)
    files.write_arrays(folder / files.IMPORTED, first.params, metadata=metadata)
  else:
    _save_checkpoint(folder, kind, converted, source, parts)
  (folder / ORIGINAL).mkdir()
  for name, part in converted.items():
    path = folder / ORIGINAL / f'{name}.safetensors'
    path.write_bytes(save(part.unused, part.names))  # see `files.write_arrays`


def _save_checkpoint(folder, kind, converted, source, parts):
  config = dict(model=dict(converted[kind].config), imported=dict(kind=kind, source=source))
  if kind == 'motion':
    config['sampler'] = dict(steps=25, guidance=2.0)
    config['data'] = {}
    beside = lambda path: pathlib.Path(os.path.relpath(path, folder)).as_posix()
    if parts.get('autoencoder'):
      config['data']['autoencoder'] = beside(parts['autoencoder'])
    if parts.get('audio'):
      config['model']['audio'] = beside(parts['audio'])
  if kind == 'difftalk':
    config['sampler'] = dict(steps='ddim200', reference='fixed')
    for name, key in (('autoencoder', 'autoencoder'), ('audio', 'speech')):
      if parts.get(name):
        config['model'][key] = str(parts[name])
  params = {kinds.KINDS[name].part or '': part.params for name, part in converted.items()}
  params = params.get('', params)
  state = TrainState(jnp.zeros((), jnp.int32), params, {}, None)
  with checkpoints.Checkpoints(folder) as writer:
    writer.save(0, state, config=ml_collections.ConfigDict(config), data={}, seconds=0.0)
  if not (folder / checkpoints.FOLDER / '0').is_dir():  # the writer has said why
    raise InputError(f'{folder} could not be written: check the room on the disk')


def _report(name, part, source):
  count = sum(leaf.size for leaf in jax.tree.leaves(part.params))
  note = f', {part.halves} arrays came in half precision and are float32 now' if part.halves else ''
  print(f'{name}: {count:,} parameters from {source}{note}')
  if part.unused:
    print(f'  {len(part.unused)} entries that nothing reads are kept for --export')


if __name__ == '__main__':
  errors.run(main)
