"""Models of bodies come as pickles: their arrays are read, and nothing in them is run."""

import os
import pickle
import sys
import types

import numpy as np
import pytest
import scipy.sparse

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import flame, plain_pickle
from tests.systems.vlogger import flame_like


@pytest.fixture
def chumpy(monkeypatch):
  """A class as chumpy's, which old files hold arrays in."""
  module = types.ModuleType('chumpy.ch')
  module.Ch = type('Ch', (object,), {'__module__': 'chumpy.ch', '__qualname__': 'Ch'})
  monkeypatch.setitem(sys.modules, 'chumpy', types.ModuleType('chumpy'))
  monkeypatch.setitem(sys.modules, 'chumpy.ch', module)

  def made(array):
    held = module.Ch()
    held.x, held._dirty = array, {'vars'}
    return held

  return made


def written(path, content, protocol=2):
  path.write_bytes(pickle.dumps(content, protocol=protocol))
  return path


@pytest.mark.parametrize('protocol', (2, 4))
def test_arrays_are_read_whatever_holds_them(tmp_path, chumpy, monkeypatch, protocol):
  rng = np.random.default_rng(0)
  dense, small = rng.normal(size=(5, 3)), np.arange(6, dtype='>i4').reshape(2, 3)
  sparse = scipy.sparse.random(5, 40, 0.2, random_state=0)
  content = {
    'dense': dense, 'turned': np.asfortranarray(dense), 'big_endian': small,
    'columns': sparse.tocsc(), 'rows': sparse.tocsr(), 'wrapped': chumpy(dense.astype(np.float32)),
    'style': 'lbs',
  }  # fmt: skip
  path = written(tmp_path / 'model.pkl', content, protocol)
  monkeypatch.undo()  # who reads has no chumpy
  found = plain_pickle.read(path)
  assert set(found) == set(content) - {'style'}
  np.testing.assert_array_equal(found['dense'], dense)
  np.testing.assert_array_equal(found['turned'], dense)
  np.testing.assert_array_equal(found['big_endian'], small)
  np.testing.assert_allclose(found['columns'], sparse.toarray())
  np.testing.assert_allclose(found['rows'], sparse.toarray())
  np.testing.assert_array_equal(found['wrapped'], dense.astype(np.float32))


def test_flame_is_imported_from_a_pickle_as_from_arrays(tmp_path, chumpy, monkeypatch):
  arrays, _ = flame_like.model()
  np.savez(tmp_path / 'model.npz', **arrays)
  kept = {**arrays, 'J_regressor': scipy.sparse.csc_matrix(arrays['J_regressor']),
          'shapedirs': chumpy(arrays['shapedirs']), 'bs_type': 'lrotmin'}  # fmt: skip
  path = written(tmp_path / 'generic_model.pkl', kept)
  monkeypatch.undo()
  assert flame.take(path, tmp_path / 'a') == flame.take(tmp_path / 'model.npz', tmp_path / 'b')
  name = 'weights.safetensors'
  assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()


class Runs:
  """Would leave a file behind if it were opened as pickles are."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (str(self.path),)


def test_nothing_in_a_pickle_is_run(tmp_path):
  trace = tmp_path / 'ran'
  for number, content in enumerate((Runs(trace), {'v_template': Runs(trace)}, [Runs(trace)])):
    path = written(tmp_path / f'{number}.pkl', content)
    with pytest.raises(InputError, match='mkdir'):
      plain_pickle.read(path)
  assert not trace.exists()


def test_what_is_no_dict_of_arrays_is_refused(tmp_path):
  whole = written(tmp_path / 'whole.pkl', {'a': np.zeros(4)}).read_bytes()
  cases = {
    'list': (pickle.dumps([1]), 'list where names'),
    'text': (b'not a pickle', 'pickle'),
    'half': (whole[:-20], 'pickle'),
    'objects': (pickle.dumps({'a': np.array([{}, 1], object)}, protocol=2), 'no number|objects'),
    'long': (whole.replace(b'K\x04\x85', b'K\x05\x85'), 'does not fit'),
  }
  for name, (data, said) in cases.items():
    path = tmp_path / f'{name}.pkl'
    path.write_bytes(data)
    with pytest.raises(InputError, match=said):
      plain_pickle.read(path)
