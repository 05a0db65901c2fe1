"""Every door where a stranger's file comes in, and what it would like to do there.

Each test really tries the harm: foreign code would make the file `harm`, a path would lead out of
its folder, a bomb would take gigabytes.
"""

import io
import json
import pathlib
import pickle
import shutil
import sys
import tracemalloc
import zipfile

import jax
import ml_collections
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from ifmdm_jax import bundle, compile_cache, evaluate, files, train
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import protocol
from ifmdm_jax.importers import files as foreign
from ifmdm_jax.pipeline import codes, records
from ifmdm_jax.streaming import programs
from ifmdm_jax.training import checkpoints
from ifmdm_jax.training.state import TrainState
from tests.training import toy

PAYLOAD = "import pathlib\npathlib.Path({place!r}).write_text('run')\n"


class Harm:
  """An object that runs code when it is unpickled."""

  def __init__(self, place):
    self.place = str(place)

  def __reduce__(self):
    return exec, (PAYLOAD.format(place=self.place),)


@pytest.fixture
def harm(tmp_path, monkeypatch):
  """The file that only foreign code makes; a module that makes it can be imported from here."""
  place = tmp_path / 'harm'
  for folder in ('evil', 'evil/checkpoints'):
    (tmp_path / folder).mkdir()
  (tmp_path / 'evil' / 'payload.py').write_text(PAYLOAD.format(place=str(place)) + 'X = object\n')
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(str(tmp_path))
  yield place
  assert not place.exists(), 'foreign code was run'
  assert 'evil.payload' not in sys.modules


@pytest.fixture
def memory():
  """Fails where Python holds more than 64 MB at once."""
  tracemalloc.start()
  yield
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 2**26


# --------------------------------------------------------------------- bundles and runs


@pytest.mark.parametrize(
  'config',
  [
    {'module': 'evil.payload'},
    {'format': 1, 'system': 'evil.payload', 'parts': {'a': {'file': 'a.npz', 'settings': {}}}},
    {
      'autoencoder': {'module': 'evil.payload'},
      'motion': {'module': 'evil.payload'},
      'sampler': {'steps': 1, 'guidance': 1.0},
    },
  ],
  ids=['module', 'system', 'older'],
)
def test_a_bundle_names_nothing_that_is_imported(harm, config):
  pathlib.Path('evil/config.json').write_text(json.dumps(config))
  with pytest.raises(InputError):
    bundle.load('evil')


@pytest.mark.parametrize('name', ['../secret.npz', '/etc/passwd', '..\\secret.npz', 'a/b.npz', ''])
def test_a_bundle_reads_no_file_outside_its_folder(tmp_path, name):
  np.savez(tmp_path / 'secret.npz', x=np.ones(2))
  folder = tmp_path / 'bundle'
  folder.mkdir()
  parts = {'statistics': {'file': name, 'settings': {}}}
  (folder / 'config.json').write_text(json.dumps({'format': 1, 'system': 'ifmdm', 'parts': parts}))
  with pytest.raises(InputError, match='only files of the same folder'):
    bundle.read(folder)


def run_of(folder, module):
  """Writes a training run whose model is another module."""
  config = ml_collections.ConfigDict(
    {'model': {'module': module}, 'data': {'autoencoder': 'evil'}, 'train': {}}
  )
  state = TrainState(np.zeros((), np.int32), {'w': np.ones(2)}, {}, None)
  with checkpoints.Checkpoints(folder) as writer:
    writer.save(1, state, config=config, data={}, seconds=0.0)


def test_a_run_names_nothing_that_is_imported(harm, tmp_path):
  run_of(tmp_path / 'run', 'evil.payload')
  with pytest.raises(InputError, match='evil.payload'):
    bundle.load(tmp_path / 'run')
  with pytest.raises(InputError, match='evil.payload'):
    bundle.trained(tmp_path / 'run')


@pytest.mark.parametrize('place', ['config.json', 'checkpoints'])
def test_a_folder_of_videos_names_nothing_that_is_imported(harm, place):
  """`evaluate --generate FOLDER` takes such a one for weights."""
  pathlib.Path('evil/a.mp4').write_bytes(b'a film')
  if place == 'config.json':
    parts = {'a': {'file': 'a.npz', 'settings': {}}}
    config = dict(module='evil.payload', format=1, system='evil.payload', parts=parts)
    pathlib.Path('evil/config.json').write_text(json.dumps(config))
  else:
    run_of('evil', 'evil.payload')
  with pytest.raises(InputError):
    evaluate.row('evil')


def test_a_run_brings_no_compiled_programs(tmp_path, monkeypatch):
  """They are native code: going on with a run of somebody else's loads none."""
  run, changes, config = tmp_path / 'run', [], toy.get_config()
  (run / '.cache').mkdir(parents=True)
  config.train.update(steps=2, eval_every=0, pictures_every=0)
  monkeypatch.setattr(jax.config, 'update', lambda *change: changes.append(change))
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'home'))
  monkeypatch.delenv('JAX_COMPILATION_CACHE_DIR', raising=False)
  monkeypatch.setattr(compile_cache, '_kept', None)
  flags.FLAGS.mark_as_parsed()
  try:
    with flagsaver.flagsaver((train._WORKDIR, str(run)), (train._CONFIG, config)):
      train.main(None)
  finally:
    flags.FLAGS.unparse_flags()
  folders = [value for name, value in changes if name == 'jax_compilation_cache_dir']
  assert folders and all(folder.startswith(str(tmp_path / 'home')) for folder in folders)
  assert not list((run / '.cache').iterdir())


def test_a_checkpoint_tells_nobody_where_it_was_made(tmp_path):
  state = TrainState(np.zeros((), np.int32), {'w': np.ones(2)}, {}, None)
  config = ml_collections.ConfigDict({'model': {}, 'train': {}})
  with checkpoints.Checkpoints(tmp_path / 'run') as writer:
    writer.save(1, state, config=config, data={}, seconds=0.0)
  for path in (tmp_path / 'run').rglob('*'):
    assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes(), path
  assert checkpoints.load(tmp_path / 'run')[1]['w'].tolist() == [1, 1]  # and is whole all the same


# ------------------------------------------------------------------------------ records


def evil_set(source, output):
  """A prepared set whose description names a class to import."""
  shutil.copytree(source, output)
  for path in output.rglob('features.json'):
    text = path.read_text().replace(
      'tensorflow_datasets.core.features.scalar.Scalar', 'evil.payload.X'
    )
    assert 'evil.payload' in text
    path.write_text(text)
  for path in output.rglob('dataset_info.json'):
    path.write_text(path.read_text().replace('ifmdm_jax.pipeline.schema', 'evil.payload'))
  return output


def test_a_set_names_nothing_that_is_imported(harm, drawn_set, tmp_path):
  output = evil_set(drawn_set, tmp_path / 'set')
  assert records.clips(output)[0].frames[0].shape == (
    64,
    64,
    3,
  )  # its records are read all the same
  assert codes.read(output, 'train')[0].codes.shape[1] == 20
  records.write_index(output)


def test_a_set_reads_no_file_outside_its_folder(drawn_set, tmp_path):
  output = tmp_path / 'set'
  shutil.copytree(drawn_set, output)
  for path in output.rglob('dataset_info.json'):
    about = json.loads(path.read_text())
    for split in about['splits']:
      split['filepathTemplate'] = '../../../../secret'
    path.write_text(json.dumps(about))
  assert len(records.clips(output)) == 4  # the place is known, and not taken from there


INDEXES = ['', 'null', '{}', '[1]', '[{}]', '[{"name": 1}]', '[' * 10**5, '\udce9']


@pytest.mark.parametrize('text', INDEXES)
def test_a_damaged_index_is_one_line(drawn_set, tmp_path, text):
  shutil.copytree(drawn_set, tmp_path / 'set')
  (tmp_path / 'set' / 'index.json').write_bytes(text.encode('utf-8', 'surrogateescape'))
  with pytest.raises(InputError, match='index.json|index'):
    records.clips(tmp_path / 'set')


@pytest.mark.parametrize(
  'change', [dict(record=10**9), dict(record=-1), dict(count='x'), dict(split='../x')]
)
def test_an_index_that_contradicts_its_records_is_one_line(drawn_set, tmp_path, change):
  shutil.copytree(drawn_set, tmp_path / 'set')
  path = tmp_path / 'set' / 'index.json'
  path.write_text(json.dumps([{**json.loads(path.read_text())[0], **change}]))
  with pytest.raises(InputError):
    _ = records.clips(tmp_path / 'set')[0]


# ------------------------------------------------------------------- weights of others


def pickled(payload, protocol):
  return pickle.dumps({'state_dict': payload}, protocol=protocol)


@pytest.mark.parametrize('protocol', range(5))
@pytest.mark.parametrize('zipped', [False, True])
def test_weights_of_pytorch_run_nothing(harm, tmp_path, protocol, zipped):
  data, path = pickled(Harm(harm), protocol), tmp_path / 'x.pt'
  if zipped:
    with zipfile.ZipFile(path, 'w') as archive:
      archive.writestr('x/data.pkl', data)
  else:
    path.write_bytes(b'\x80' + data[1:] if protocol > 1 else data)
  with pytest.raises(InputError):
    foreign.read(path)


@pytest.mark.parametrize('read', [foreign.read, files.read_npz, files.read_arrays])
def test_arrays_are_never_unpickled(harm, tmp_path, read):
  np.savez(tmp_path / 'x.npz', x=np.array([Harm(harm)], object))
  with pytest.raises(InputError):
    read(tmp_path / 'x.npz')


def npy(shape, data=b''):
  file = io.BytesIO()
  np.lib.format.write_array_header_1_0(file, dict(descr='<f4', fortran_order=False, shape=shape))
  return file.getvalue() + data


BOMBS = {
  'zeros': {'a.npy': npy((2**26,), bytes(2**28))},
  'header': {'a.npy': npy((2**40,), bytes(64))},
  'many zeros': {f'{i}.npy': npy((2**21,), bytes(2**23)) for i in range(20)},
}


@pytest.mark.parametrize('name', BOMBS)
@pytest.mark.parametrize('read', [foreign.read, files.read_arrays])
def test_an_archive_does_not_unpack_to_gigabytes(tmp_path, name, read):
  path = tmp_path / 'x.npz'
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    for member, data in BOMBS[name].items():
      archive.writestr(member, data)
  tracemalloc.start()
  with pytest.raises(InputError):
    read(path)
  assert tracemalloc.get_traced_memory()[1] < 2**26
  tracemalloc.stop()


def nested(depth):
  tree = {'x': 1}
  for _ in range(depth):
    tree = {'a': tree, 'b': tree}
  return tree


PICKLES = {
  'a length of 2^62': b'\x80\x04\x8e' + (2**62).to_bytes(8, 'little') + b'abc',
  'a memo of 2^31': b'\x80\x02K\x01r\xff\xff\xff\x7f.',
  'a memo by name': b'\x80\x02K\x01p999999999999\n.',
  'dicts in dicts, 2^60 of them': pickle.dumps(nested(60), 2),
  'nothing': pickle.dumps(None, 2),
  'a list': pickle.dumps([1, 2], 2),
  'a number': pickle.dumps(10**400, 2),
}  # fmt: skip


@pytest.mark.parametrize('name', PICKLES)
def test_a_pickle_takes_no_memory_and_no_time_that_it_has_no_use_for(tmp_path, memory, name):
  path = tmp_path / 'x.pt'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('x/data.pkl', PICKLES[name])
  with pytest.raises(InputError):
    foreign.pick(foreign.read(path), (), path)
  path.write_bytes(PICKLES[name])
  with pytest.raises(InputError):
    foreign.pick(foreign.read(path), (), path)


@pytest.mark.parametrize('text', [
  '[]', 'null', '{"weight_map": []}', '{"weight_map": {"a": 1}}', '{"weight_map": {"a": ["b"]}}',
  '{"weight_map": {"a": "model.safetensors.index.json"}}', '[' * 10**5,
  '{"weight_map": {"a": "../secret.npz"}}', '{"weight_map": {"a": "/etc/passwd"}}',
])  # fmt: skip
def test_an_index_of_shards_stays_in_its_folder_and_ends(tmp_path, text):
  np.savez(tmp_path / 'secret.npz', a=np.ones(2))
  folder = tmp_path / 'model'
  folder.mkdir()
  (folder / 'model.safetensors.index.json').write_text(text)
  with pytest.raises(InputError):
    foreign.read(folder)


def test_numbers_that_numpy_has_not_are_named(tmp_path):
  head = json.dumps({'a': {'dtype': 'F8_E4M3', 'shape': [2], 'data_offsets': [0, 2]}}).encode()
  path = tmp_path / 'x.safetensors'
  path.write_bytes(len(head).to_bytes(8, 'little') + head + b'ab')
  for read in (foreign.read, files.read_arrays):
    with pytest.raises(InputError, match='x.safetensors'):
      read(path)


# --------------------------------------------------------------------- compiled programs


def test_a_trace_is_never_unpickled(harm, tmp_path, monkeypatch):
  monkeypatch.setattr(compile_cache, '_kept', tmp_path)
  function = programs.Jitted(lambda x: x + 1, ('a function',))
  function(np.float32(1))
  (path,) = tmp_path.glob('*.trace')
  path.write_bytes(pickle.dumps(Harm(harm)))
  assert programs.Jitted(lambda x: x + 1, ('a function',))(np.float32(1)) == 2


@pytest.mark.parametrize('name', ['evil.payload:X', 'os:system', 'builtins:exec', ':', 'a', None])
def test_a_trace_names_nothing_that_is_imported(harm, name):
  assert programs.decode([name, ['x'], ['leaf']]) is None


# ------------------------------------------------------------------------------ protocols


def write_protocol(folder, **change):
  clip = {'video': 'a.mp4', 'person': 'p', **change.pop('clip', {})}
  content = {'root': '.', 'clips': [clip], **change}
  path = folder / 'p.json'
  path.write_text(json.dumps(content))
  return path


@pytest.mark.parametrize('pattern', ['../secret.mp4', '/etc/*', 'a/../../b', '..', '', 'a\0b'])
@pytest.mark.parametrize('where', ['video', 'shots', 'languages'])
def test_a_protocol_stays_below_its_root(tmp_path, pattern, where):
  change = {'clip': {where: pattern}}
  if where == 'languages':
    change = {'voices': {'languages': {'en': [pattern]}}}
  with pytest.raises(InputError):
    protocol.read(write_protocol(tmp_path, **change))


@pytest.mark.parametrize('change', [
  {'root': 'a\0b'}, {'root': 'x' * 5000}, {'root': 7}, {'size': 10**9}, {'size': True},
  {'seeds': ['a']}, {'seeds': [None]}, {'seeds': []}, {'seeds': [1.5]}, {'seeds': [10**30]},
  {'clips': []}, {'clips': [[]]}, {'clips': 'x'}, {'voices': {'languages': {'en': 'a.wav'}}},
], ids=str)  # fmt: skip
def test_a_protocol_with_odd_values_is_one_line(tmp_path, change):
  with pytest.raises(InputError):
    protocol.read(write_protocol(tmp_path, **change))


@pytest.mark.parametrize('data', [b'', b'[' * 10**5, b'\xff\xfe', b'null', b'[]', b'{'])
def test_a_protocol_that_is_none_is_one_line(tmp_path, data):
  (tmp_path / 'p.json').write_bytes(data)
  with pytest.raises(InputError, match='p.json'):
    protocol.read(tmp_path / 'p.json')
