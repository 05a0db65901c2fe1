import os
import stat

import numpy as np
import pytest
from safetensors.numpy import load_file

from ifmdm_jax import bundle, files, video
from ifmdm_jax.errors import InputError

posix = pytest.mark.skipif(os.name != 'posix', reason='permissions are otherwise here')


def test_a_file_is_whole_or_what_it_was(tmp_path):
  path = tmp_path / 'deep' / 'table.csv'
  with files.atomic(path) as half:
    assert half.suffix == '.csv' and half.parent == path.parent
    half.write_text('old')
    assert not path.exists()
  with pytest.raises(RuntimeError), files.atomic(path) as half:
    half.write_text('ne')
    raise RuntimeError
  assert path.read_text() == 'old' and list(path.parent.iterdir()) == [path]


def test_a_folder_is_whole_or_what_it_was(tmp_path):
  path = tmp_path / 'clip'
  for text in ('old', 'new'):
    with files.atomic(path) as half:
      half.mkdir()
      (half / 'a').write_text(text)
  assert (path / 'a').read_text() == 'new' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('suffix', ['.safetensors', '.npz'])
def test_arrays_come_back_as_float32_in_their_tree(tmp_path, suffix):
  path = tmp_path / f'w{suffix}'
  tree = {'a': {'kernel': np.float16([[1.5, 2.0]])}, 'count': np.int32([3])}
  if suffix == '.npz':
    np.savez(path, **{'a/kernel': tree['a']['kernel'], 'count': tree['count']})
  else:
    files.write_arrays(path, tree, metadata={'licence': 'none'})
    assert files.read_metadata(path) == {'licence': 'none'}
  back = files.read_arrays(path)
  assert back['a']['kernel'].dtype == np.float32 and back['count'].dtype == np.int32
  np.testing.assert_array_equal(back['a']['kernel'], tree['a']['kernel'])


def test_floats_alone_are_written_in_half_precision(tmp_path):
  files.write_arrays(tmp_path / 'w.safetensors', {'x': np.ones(2), 'n': np.int64([7])}, np.float16)
  raw = load_file(tmp_path / 'w.safetensors')
  assert raw['x'].dtype == np.float16 and raw['n'].dtype == np.int64


@pytest.mark.parametrize('name', ['no.safetensors', 'no.npz', 'bad.safetensors', 'bad.npz'])
def test_what_holds_no_arrays_is_one_line(tmp_path, name):
  if name.startswith('bad'):
    (tmp_path / name).write_bytes(b'\x80\x04pickle')
  with pytest.raises(InputError, match=f'expected arrays in .*{name}'):
    files.read_arrays(tmp_path / name)


def test_rows_are_added_under_one_header(tmp_path):
  files.add_rows(tmp_path / 'table.csv', [dict(a=1, b='x')])
  files.add_rows(tmp_path / 'table.csv', [dict(a=2, b='y'), dict(a=3, b='z')])
  assert (tmp_path / 'table.csv').read_text() == 'a,b\n1,x\n2,y\n3,z\n'


@posix
@pytest.mark.parametrize('umask, mode', [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_files_are_for_whom_the_user_lets_read_them(tmp_path, umask, mode):
  """Weights were once for their writer alone, whatever the umask said."""
  before = os.umask(umask)
  try:
    files.write_arrays(tmp_path / 'w.safetensors', {'a': np.ones(2)})
    files.write_text(tmp_path / 'table.json', '[]')
    video.write(tmp_path / 'talk.mp4', np.zeros((2, 32, 32, 3), np.uint8))
    part = bundle.Part(dict(kind='toy'), {'a': np.ones(2)})
    bundle.save(tmp_path / 'bundle', bundle.Bundle('ifmdm', {'motion': part}))
  finally:
    os.umask(before)
  written = [path for path in tmp_path.rglob('*') if path.is_file()]
  assert len(written) == 5
  assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {mode}
