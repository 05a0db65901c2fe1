"""Files of weights as they come from others: PyTorch's two layouts, shards, broken, hostile."""

import argparse
import collections
import io
import json
import os
import pathlib
import pickle
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
from safetensors import numpy as safetensors

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import files, torch_file

FIXTURES = pathlib.Path(__file__).parent / 'fixtures'


def arrays():
  rng = np.random.default_rng(0)
  return {'a.weight': rng.random((3, 4), np.float32), 'a.bias': rng.random(3, np.float32)}


def equal(found, expected):
  assert set(found) == set(expected)
  for key, value in expected.items():
    assert found[key].dtype == value.dtype and found[key].shape == value.shape, key
    np.testing.assert_array_equal(found[key], value)


# -- PyTorch, without PyTorch


class Global:
  """Pickles as a name of a module that need not be there."""

  def __init__(self, module, name):
    self.module, self.name = module, name


class Call:
  """Pickles as a call of a Global."""

  def __init__(self, function, *arguments):
    self.function, self.arguments = function, arguments


class Storage:
  def __init__(self, key, array, dtype='FloatStorage'):
    self.key, self.array, self.dtype = key, array, dtype


class Writer(pickle._Pickler):  # the one in Python: names are not looked up
  dispatch = dict(pickle._Pickler.dispatch)

  def save_named(self, thing):
    self.write(b'c' + f'{thing.module}\n{thing.name}\n'.encode())

  def save_call(self, call):
    self.save(call.function)
    self.save(call.arguments)
    self.write(pickle.REDUCE)

  dispatch[Global] = save_named
  dispatch[Call] = save_call

  def persistent_id(self, thing):
    if not isinstance(thing, Storage):
      return None
    return ('storage', Global('torch', thing.dtype), thing.key, 'cpu', thing.array.size)


def pickled(thing):
  stream = io.BytesIO()
  Writer(stream, protocol=2).dump(thing)
  return stream.getvalue()


def tensor(storage, shape, stride=None, offset=0):
  stride = stride or tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
  rebuild = Global('torch._utils', '_rebuild_tensor_v2')
  return Call(rebuild, storage, offset, tuple(shape), stride, False, collections.OrderedDict())


def as_zip(path, thing, storages):
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('archive/data.pkl', pickled(thing))
    for storage in storages:
      archive.writestr(f'archive/data/{storage.key}', storage.array.tobytes())
  return path


def as_sequence(path, thing, storages):
  with open(path, 'wb') as file:
    for part in (torch_file.MAGIC, torch_file.PROTOCOL, {'little_endian': True}):
      file.write(pickled(part))
    file.write(pickled(thing) + pickled([storage.key for storage in storages]))
    for storage in storages:
      file.write(struct.pack('<q', storage.array.size) + storage.array.tobytes())
  return path


WRITERS = pytest.mark.parametrize('write', [as_zip, as_sequence])


def checkpoint():
  storages = [Storage(str(i), array) for i, array in enumerate(arrays().values())]
  state = {k: tensor(s, s.array.shape) for k, s in zip(arrays(), storages)}
  return state, storages


@WRITERS
def test_a_checkpoint_with_its_command_line_is_read(tmp_path, write):
  state, storages = checkpoint()
  namespace = Call(Global('argparse', 'Namespace'))
  whole = {'gen': state, 'args': namespace, 'iter': 7, 'g_optim': {'state': {0: state}}}
  tree = files.read(write(tmp_path / 'x.pt', whole, storages))
  equal(tree['gen'], arrays())
  equal(files.pick(tree, ('gen',), 'x.pt'), arrays())


@WRITERS
def test_a_checkpoint_of_lightning_is_read(tmp_path, write):
  """Latent diffusion's files name the class that wrote them beside the weights."""
  state, storages = checkpoint()
  callback = Global('pytorch_lightning.callbacks.model_checkpoint', 'ModelCheckpoint')
  notes = {callback: {'best_model_score': state['a.bias'], 'dirpath': 'logs'}}
  whole = {'epoch': 7, 'callbacks': notes, 'lr_schedulers': [], 'state_dict': state}
  tree = files.read(write(tmp_path / 'model.ckpt', whole, storages))
  equal(files.pick(tree, (), 'model.ckpt'), arrays())


@pytest.mark.parametrize('name', ['state.pt', 'state_old_layout.pt', 'scripted.pt'])
def test_what_pytorch_wrote_is_read(name):
  tree = files.read(FIXTURES / name)
  expected = np.arange(6, dtype=np.float32).reshape(2, 3)
  if name == 'scripted.pt':
    equal(tree, {'part.weight': expected, 'part.bias': np.float32([0, 1])})
    return
  weights = tree['model']
  equal(
    weights,
    {
      'plain': expected,
      'transposed': expected.T,
      'slice': expected[1:, 1:],
      'half': expected.astype(np.float16),
      'bfloat16': expected.astype(ml_dtypes.bfloat16),
      'parameter': expected,
      'counter': np.int64(3),
      'empty': np.zeros((0, 3), np.float32),
    },
  )
  assert set(tree) == {'model', 'opt'}  # no command line, and nothing of the optimiser's numbers


@pytest.mark.parametrize('function', ['os.system', 'posix.system', 'builtins.eval'])
@WRITERS
def test_a_pickle_that_would_run_code_is_refused(tmp_path, write, function):
  module, name = function.split('.')
  trace = tmp_path / 'trace'
  order = f'touch {trace}' if name == 'system' else f'open({str(trace)!r}, "w")'
  state, storages = checkpoint()
  evil = Call(Global(module, name), order)
  with pytest.raises(InputError, match=f'asks for {function}'):
    files.read(write(tmp_path / 'x.pt', {'gen': state, 'args': evil}, storages))
  assert not trace.exists()


def test_a_real_malicious_pickle_is_refused(tmp_path):
  class Evil:
    def __reduce__(self):
      return os.system, (f'touch {tmp_path / "trace"}',)

  (tmp_path / 'bare.pt').write_bytes(pickle.dumps({'gen': Evil()}))
  with zipfile.ZipFile(tmp_path / 'zip.pt', 'w') as archive:
    archive.writestr('archive/data.pkl', pickle.dumps(argparse.Namespace(a=Evil())))
  for name in ('bare.pt', 'zip.pt'):
    with pytest.raises(InputError, match='system, which is no part of weights'):
      files.read(tmp_path / name)
  assert not (tmp_path / 'trace').exists()


@pytest.mark.parametrize(
  'shape, stride, offset', [((3, 4), (4, 1), 1), ((4, 4), (0, 1), 0), ((2,), (-1,), 1)]
)
def test_a_tensor_cannot_reach_beyond_its_storage(tmp_path, shape, stride, offset):
  storage = Storage('0', np.zeros(12, np.float32))
  whole = {'a': tensor(storage, shape, stride, offset)}
  with pytest.raises(InputError, match='storage'):
    files.read(as_zip(tmp_path / 'x.pt', whole, [storage]))


@WRITERS
@pytest.mark.parametrize('left', [0.1, 0.5, 0.98])
def test_a_truncated_file_says_so(tmp_path, write, left):
  state, storages = checkpoint()
  path = write(tmp_path / 'x.pt', {'gen': state}, storages)
  path.write_bytes(path.read_bytes()[: int(left * path.stat().st_size)])
  with pytest.raises(InputError, match='not whole'):
    files.read(path)


# -- other files


@pytest.mark.parametrize('suffix', ['.safetensors', '.npz'])
def test_files_are_written_and_read_back(tmp_path, suffix):
  path = tmp_path / f'weights{suffix}'
  files.write(path, arrays())
  equal(files.read(path), arrays())
  assert [p.name for p in tmp_path.iterdir()] == [path.name]
  path.write_bytes(path.read_bytes()[:-20])
  with pytest.raises(InputError, match='weights'):
    files.read(path)


def test_pytorch_reads_what_is_exported(tmp_path):
  torch = pytest.importorskip('torch')
  files.write(tmp_path / 'x.pth', arrays())
  state = torch.load(tmp_path / 'x.pth', weights_only=True)
  equal({key: value.numpy() for key, value in state.items()}, arrays())
  equal(files.read(tmp_path / 'x.pth'), arrays())


def sharded(folder):
  names = {}
  for i, (key, value) in enumerate(arrays().items()):
    name = f'model-{i + 1:05}-of-00002.safetensors'
    (folder / name).write_bytes(safetensors.save({key: value}))
    names[key] = name
  (folder / 'model.safetensors.index.json').write_text(json.dumps({'weight_map': names}))
  return folder


def test_a_folder_of_shards_is_read_whole(tmp_path):
  equal(files.read(sharded(tmp_path)), arrays())
  equal(files.read(tmp_path / 'model.safetensors.index.json'), arrays())


def test_a_folder_that_lacks_a_shard_names_it(tmp_path):
  (sharded(tmp_path) / 'model-00002-of-00002.safetensors').unlink()
  with pytest.raises(InputError, match='model-00002-of-00002.safetensors'):
    files.read(tmp_path)


def test_shards_outside_of_the_folder_are_not_read(tmp_path):
  (tmp_path / 'inside').mkdir()
  (tmp_path / 'x.safetensors').write_bytes(safetensors.save(arrays()))
  index = tmp_path / 'inside' / 'model.safetensors.index.json'
  index.write_text(json.dumps({'weight_map': dict.fromkeys(arrays(), '../x.safetensors')}))
  with pytest.raises(InputError, match='not in its folder'):
    files.read(tmp_path / 'inside')


def test_objects_in_an_npz_are_not_opened(tmp_path):
  np.savez(tmp_path / 'x.npz', a=np.array([{}], dtype=object))
  with pytest.raises(InputError, match='plain arrays'):
    files.read(tmp_path / 'x.npz')


@pytest.mark.parametrize('content', [b'', b'version https://git-lfs', b'PK\3\4'])
def test_what_is_no_file_of_weights_is_one_clear_line(tmp_path, content):
  (tmp_path / 'x.pt').write_bytes(content)
  with pytest.raises(InputError, match='x.pt'):
    files.read(tmp_path / 'x.pt')


def test_missing_files_and_entries_are_named(tmp_path):
  with pytest.raises(InputError, match='nowhere.pt is not a file'):
    files.read(tmp_path / 'nowhere.pt')
  with pytest.raises(InputError, match='holds none of model.safetensors'):
    files.read(tmp_path)
  with pytest.raises(InputError, match='no weights under ema, it has gen'):
    files.pick({'gen': arrays()}, ('ema',), 'x.pt')
