"""Files of weights -> nested dicts of numpy arrays: safetensors, npz, PyTorch, Hugging Face."""

import pathlib
import zipfile

import numpy as np
import safetensors.numpy

from ifmdm_jax import files
from ifmdm_jax.errors import InputError
from ifmdm_jax.files import atomic
from ifmdm_jax.importers import torch_file

# What a Hugging Face folder may hold, best first.
IN_A_FOLDER = (
  'model.safetensors.index.json',
  'model.safetensors',
  'pytorch_model.bin.index.json',
  'pytorch_model.bin',
)


def read(path):
  """Reads nested dicts of arrays.

  Args:
    path: *.safetensors, *.npz, a file of PyTorch, an index of shards, or a folder with one of
      IN_A_FOLDER. The content decides, not the name.

  Raises:
    InputError: there is no such thing, it is damaged, or it holds more than weights.
  """
  path = pathlib.Path(path)
  if path.is_dir():
    found = [path / name for name in IN_A_FOLDER if (path / name).is_file()]
    if not found:
      raise InputError(f'{path} holds none of {", ".join(IN_A_FOLDER)}: check the folder')
    return read(found[0])
  files.check(path, 'a file of weights')
  if path.name.endswith('.index.json'):
    return _shards(path)
  with open(path, 'rb') as file:
    head = file.read(9)
  if head[:2] == b'PK':
    return files.read_npz(path) if _is_npz(path) else torch_file.read(path)
  if head[8:] == b'{' or path.suffix == '.safetensors':
    return files.read_safetensors(path)
  if head[:1] == b'\x80':
    return torch_file.read(path)
  raise InputError(
    f'{path} is no file of weights: expected .safetensors, .npz, .pt, .pth, .bin, or a folder'
  )


def settings(path):
  """Reads config.json of a Hugging Face folder, and preprocessor_config.json where it is there.

  Args:
    path: the folder, or a file in it.
  """
  folder = pathlib.Path(path)
  folder = folder if folder.is_dir() else folder.parent
  if not (folder / 'config.json').is_file():
    raise InputError(
      f'{folder} has no config.json, which says how many heads and which norms the network has: '
      'pass the Hugging Face folder of the speech encoder'
    )
  found = [_json(folder / 'config.json'), {}]
  if (folder / 'preprocessor_config.json').is_file():
    found[1] = _json(folder / 'preprocessor_config.json')
  return found


def flat(tree):
  """Flattens the arrays of a tree to dotted names, None where it has none of its own."""
  return {key: value for key, value in tree.items() if isinstance(value, np.ndarray)}


def pick(tree, entries, path):
  """Picks the state dict in a checkpoint.

  Args:
    tree: of `read`.
    entries: names under which the checkpoint may keep it, best first.
    path: for the error.

  Raises:
    InputError: there is none.
  """
  for name in (*entries, 'state_dict', 'model'):
    if isinstance(tree.get(name), dict) and flat(tree[name]):
      return flat(tree[name])
  if flat(tree):
    return flat(tree)
  nested = [name for name, value in tree.items() if isinstance(value, dict)]
  raise InputError(
    f'{path} holds no weights under {" or ".join(entries) or "state_dict"}, it has '
    f'{", ".join(nested) or "no arrays at all"}: check --kind and the file'
  )


def write(path, state):
  """Writes a state dict as *.safetensors, *.npz, *.pt or *.pth (by PyTorch the latter two).

  Raises:
    InputError: another suffix, or PyTorch is wanted and not installed.
  """
  path = pathlib.Path(path)
  with atomic(path) as part:
    if path.suffix == '.safetensors':
      part.write_bytes(safetensors.numpy.save(state))
    elif path.suffix == '.npz':
      with open(part, 'wb') as file:
        np.savez(file, **state)
    elif path.suffix in ('.pt', '.pth'):
      try:
        import torch  # of the extra `torch`
      except ImportError as error:
        raise InputError(
          f'writing {path.suffix} needs PyTorch: pip install torch, or export to .safetensors'
        ) from error
      torch.save({key: torch.from_numpy(np.array(value)) for key, value in state.items()}, part)
    else:
      raise InputError(f'--export {path}: expected .safetensors, .npz, .pt or .pth')


def _is_npz(path):
  try:
    with zipfile.ZipFile(path) as archive:
      names = archive.namelist()
  except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
    raise InputError(f'{path} is not whole ({error}): fetch it again') from error
  return bool(names) and all(name.endswith('.npy') for name in names)


def _shards(path):
  index = _json(path)
  index = index.get('weight_map') if isinstance(index, dict) else None
  text = isinstance(index, dict) and all(isinstance(name, str) for name in index.values())
  if not text:
    raise InputError(f'expected "weight_map" with the file of each array in {path}: fetch it again')
  names = sorted(set(index.values()))
  strange = [name for name in names if pathlib.Path(name).name != name or name.endswith('.json')]
  absent = [name for name in names if not (path.parent / name).is_file()]
  if strange or absent or not names:
    raise InputError(
      f'{path} names {len(names)} files, of which {", ".join(strange + absent) or "none"} '
      'are not in its folder: fetch all of them'
    )
  state = {}
  for name in names:
    state |= flat(read(path.parent / name))
  lost = sorted(set(index) - set(state))
  if lost:
    raise InputError(f'{path} lists {len(lost)} arrays that no shard holds, {lost[0]} first')
  return {key: state[key] for key in index}


def _json(path):
  return files.read_json(path)
