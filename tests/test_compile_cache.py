import os
import pathlib
import subprocess
import sys
import time
import zlib

import jax
import pytest

from ifmdm_jax import compile_cache
from ifmdm_jax.errors import InputError

posix = pytest.mark.skipif(not hasattr(os, 'geteuid'), reason='owners and modes are POSIX')


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
  """Neither this process' cache nor the user's is touched."""
  monkeypatch.delenv('JAX_COMPILATION_CACHE_DIR', raising=False)
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'home'))
  monkeypatch.setattr(compile_cache, '_kept', None)
  monkeypatch.setattr(jax.config, 'update', lambda *_: None)


@pytest.mark.parametrize(
  'system, variable, place',
  [
    ('linux', 'XDG_CACHE_HOME', 'ifmdm_jax'),
    ('linux', None, '.cache/ifmdm_jax'),
    ('darwin', None, 'Library/Caches/ifmdm_jax'),
    ('win32', 'LOCALAPPDATA', 'ifmdm_jax'),
    ('win32', None, 'AppData/Local/ifmdm_jax'),
  ],
)
def test_the_default_is_where_the_system_wants_it(system, variable, place, monkeypatch, tmp_path):
  monkeypatch.setattr(compile_cache.sys, 'platform', system)
  monkeypatch.setattr(pathlib.Path, 'home', lambda: tmp_path)
  for name in ('XDG_CACHE_HOME', 'LOCALAPPDATA'):
    monkeypatch.delenv(name, raising=False)
  if variable:
    monkeypatch.setenv(variable, str(tmp_path))
  assert compile_cache.default_folder() == tmp_path / place


@posix
def test_by_default_programs_are_kept_where_only_the_user_reads(tmp_path):
  kept = compile_cache.keep()
  assert kept == compile_cache.folder() and kept.parent == tmp_path / 'home' / 'ifmdm_jax'
  assert {path.stat().st_mode & 0o777 for path in (kept, kept.parent)} == {0o700}


def test_none_switches_it_off(tmp_path):
  assert compile_cache.keep('none') is None and compile_cache.folder() is None
  assert not (tmp_path / 'home').exists()


def test_a_cache_that_jax_was_given_is_left_alone(monkeypatch, tmp_path):
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(tmp_path))
  assert compile_cache.keep() is None and not list(tmp_path.iterdir())


@posix
@pytest.mark.parametrize('mode', [0o777, 0o770, 0o702])
def test_a_folder_that_others_write_into_is_not_used(mode, tmp_path, capsys):
  tmp_path.chmod(mode)
  assert compile_cache.keep(tmp_path) is None and not list(tmp_path.iterdir())
  error = capsys.readouterr().err
  assert error.startswith('note: compiled programs are not kept: others may write')
  assert error.count('\n') == 1


@posix
def test_a_folder_of_another_user_is_not_used(monkeypatch, tmp_path, capsys):
  owner = tmp_path.stat().st_uid
  monkeypatch.setattr(os, 'geteuid', lambda: owner + 1)
  assert compile_cache.keep(tmp_path) is None and not list(tmp_path.iterdir())
  assert 'belongs to another user' in capsys.readouterr().err


def test_a_default_that_cannot_be_made_is_a_note(monkeypatch, tmp_path, capsys):
  (tmp_path / 'file').touch()
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
  assert compile_cache.keep() is None
  assert 'note: compiled programs are not kept: cannot make' in capsys.readouterr().err


def test_a_named_one_that_cannot_be_made_is_bad_input(tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(InputError, match='choose another --compile_cache'):
    compile_cache.keep(tmp_path / 'file' / 'cache')


@posix
def test_a_folder_that_cannot_be_written_is_a_note(monkeypatch, tmp_path, capsys):
  tmp_path.chmod(0o500)
  try:
    monkeypatch.setattr(os, 'access', lambda *_: False)  # root may always
    assert compile_cache.keep(tmp_path) is None
  finally:
    tmp_path.chmod(0o700)
  assert 'cannot be written' in capsys.readouterr().err


def test_a_full_disk_is_no_error(monkeypatch, tmp_path):
  def full(*_):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(os, 'replace', full)
  compile_cache.write(tmp_path / 'a.trace', 'leaf', b'body')
  assert not list(tmp_path.iterdir())


def test_any_flipped_byte_is_seen(tmp_path):
  path = tmp_path / 'a.trace'
  compile_cache.write(path, ['tuple', None, ['leaf']], b'StableHLO')
  whole = path.read_bytes()
  assert compile_cache.read(path) == (['tuple', None, ['leaf']], b'StableHLO')
  for place in range(len(whole)):
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    assert compile_cache.read(path) is None
  for length in range(len(whole)):
    path.write_bytes(whole[:length])
    assert compile_cache.read(path) is None


def test_damaged_programs_of_jax_are_removed_at_the_start():
  kept = compile_cache.keep()
  whole = zlib.compress(bytes(1000))
  for name, data in (('whole', whole), ('half', whole[:10]), ('not', b'x' * 9), ('empty', b'')):
    (kept / f'{name}-cache').write_bytes(data)
  (kept / 'flipped-cache').write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
  compile_cache.keep()
  assert [path.name for path in kept.glob('*-cache')] == ['whole-cache']


def test_what_was_not_used_for_longest_goes_first(tmp_path):
  kept = compile_cache.keep()
  old = kept.with_name(f'{compile_cache.PREFIX}older')
  old.mkdir()
  (old / 'a-cache').write_bytes(bytes(100))
  os.utime(old, (1, 1))
  mine = tmp_path / 'home' / 'ifmdm_jax' / 'notes'
  mine.mkdir()
  (mine / 'a-cache').write_bytes(bytes(10_000))  # not ours: neither counted nor removed
  for age, name in ((2, 'old'), (1, 'new')):
    data = zlib.compress(bytes(100), 0)
    (kept / f'{name}-cache').write_bytes(data)
    os.utime(kept / f'{name}-cache', (time.time() - age * 1e6,) * 2)
  names = lambda: sorted(path.name for path in kept.parent.glob('*/*-cache'))
  compile_cache.keep(limit=3 * len(data))
  assert names() == ['a-cache', 'a-cache', 'new-cache', 'old-cache']
  compile_cache.keep(limit=2 * len(data))
  assert names() == ['a-cache', 'new-cache', 'old-cache'] and not old.exists()
  os.utime(kept / 'old-cache', (time.time() - 2e6,) * 2)
  os.utime(kept / 'new-cache', (time.time() - 1e6,) * 2)
  compile_cache.keep(limit=len(data))
  assert names() == ['a-cache', 'new-cache'] and (mine / 'a-cache').exists()


PROCESS = """
import sys
import numpy as np
from ifmdm_jax import compile_cache
from ifmdm_jax.streaming import programs
compile_cache.keep(sys.argv[1])
print(programs.Jitted(lambda x: (x + 1,), 'sum')(np.int32(1))[0])
"""


def test_two_processes_at_once_and_a_third_share_what_they_make(tmp_path):
  root = pathlib.Path(__file__).parents[1]
  begin = lambda: subprocess.Popen(
    [sys.executable, '-c', PROCESS, tmp_path / 'cache'],
    cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
  )  # fmt: skip
  both = [begin(), begin()]
  answers = [process.communicate() for process in both]
  files = sorted((tmp_path / 'cache').glob('*/*'))
  answers.append(begin().communicate())
  assert answers == [('2\n', '')] * 3
  assert sorted((tmp_path / 'cache').glob('*/*')) == files and len(files) == 2
