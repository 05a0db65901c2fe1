"""What the operating system says: one line that names the place and what to do, exit status 2."""

import errno
import os
import pathlib
import shutil
import stat

import numpy as np
import pytest

from ifmdm_jax import errors, files, read, talk, testing, video
from ifmdm_jax.errors import InputError
from ifmdm_jax.video import read as films
from ifmdm_jax.video.image import read_image

PORTRAIT = testing.REPOSITORY / 'data' / 'fixtures' / 'portrait.jpg'
READERS = {
  'picture': read_image,
  'portrait': read.read_portrait,
  'arrays': files.read_arrays,
  'JSON': files.read_json,
}
TOO_LONG = 'x' * 300
FRAMES = np.zeros((2, 64, 64, 3), np.uint8)


@pytest.mark.parametrize('number', sorted(errors.SYSTEM), ids=lambda n: errno.errorcode[n])
def test_each_answer_is_one_line_and_status_2(number, capsys):
  with pytest.raises(SystemExit) as caught, errors.fail_cleanly():
    raise OSError(number, os.strerror(number), 'some/file')
  said = capsys.readouterr().err
  assert caught.value.code == 2
  assert said.startswith('error: ') and said.count('\n') == 1 and 'some/file: ' in said


def test_too_little_memory_is_one_line(capsys):
  with pytest.raises(SystemExit) as caught, errors.fail_cleanly():
    raise MemoryError
  assert caught.value.code == 2
  assert capsys.readouterr().err.startswith('error: there is not enough memory: ')


def test_a_name_that_is_not_utf_8_is_one_line(capsys):
  with pytest.raises(SystemExit), errors.fail_cleanly():
    os.fsdecode(b'lat\xe9').encode()
  assert capsys.readouterr().err == 'error: a name is not UTF-8: rename the file\n'


def test_a_line_stays_short():
  assert len(str(InputError('x' * 100_000))) < 1100


@pytest.mark.parametrize('reader', READERS)
def test_a_name_too_long_is_said(tmp_path, reader):
  with pytest.raises(InputError, match='name is too long'):
    READERS[reader](tmp_path / TOO_LONG)


@pytest.mark.parametrize('reader', READERS)
@pytest.mark.parametrize('kind', ['folder', 'pipe', 'missing', 'below a file', 'loop', 'NUL'])
def test_what_is_no_file_is_refused_at_once(tmp_path, reader, kind):
  path = tmp_path / 'it'
  if kind == 'folder':
    path.mkdir()
  elif kind == 'pipe':
    if not hasattr(os, 'mkfifo'):
      pytest.skip('no named pipes here')
    os.mkfifo(path)  # reading would wait for ever
  elif kind == 'below a file':
    path.write_text('')
    path = path / 'x.npz'
  elif kind == 'loop':
    path.symlink_to(path)
  elif kind == 'NUL':
    path = tmp_path / 'a\0b'
  with pytest.raises(InputError, match='not a file|circle|no path'):
    READERS[reader](path)


@pytest.mark.parametrize('reader', READERS)
def test_permission_is_said_and_not_to_convert(tmp_path, reader, monkeypatch):
  def refuse(*_, **__):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

  path = tmp_path / 'a.npz'
  path.write_bytes(b'')
  monkeypatch.setattr(os, 'open', refuse)  # as for anybody but root
  with pytest.raises(InputError, match='permission denied at .*a.npz: change the permissions'):
    READERS[reader](path)


@pytest.mark.parametrize('name', ['10:30.mp4', 'a:b.mp4', 'file:x.mp4', 'ü %d.mp4', '-x.mp4'])
def test_any_name_of_an_output_is_written(tmp_path, monkeypatch, name):
  monkeypatch.chdir(tmp_path)
  assert talk.check_output(name) == pathlib.Path(name)
  video.write(name, FRAMES)
  assert os.listdir() == [name] and len(films.read_frames(tmp_path / name)) == 2


def test_an_output_that_cannot_be_is_refused_before_the_work(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  assert talk.check_output('~/x.mp4') == tmp_path / 'x.mp4'
  with pytest.raises(InputError, match='too long'):
    talk.check_output(tmp_path / f'{TOO_LONG}.mp4')
  if hasattr(os, 'mkfifo'):
    os.mkfifo(tmp_path / 'pipe.mp4')
    with pytest.raises(InputError, match='is none'):
      talk.check_output(tmp_path / 'pipe.mp4', overwrite=True)
    assert stat.S_ISFIFO((tmp_path / 'pipe.mp4').stat().st_mode)


def test_a_long_name_leaves_room_for_its_temporary(tmp_path):
  path = tmp_path / f'{"x" * 245}.mp4'
  video.write(path, FRAMES)
  assert list(tmp_path.iterdir()) == [path]


def test_where_a_link_leads_is_written_and_the_link_stays(tmp_path):
  (tmp_path / 'elsewhere').mkdir()
  link, place = tmp_path / 'out.mp4', tmp_path / 'elsewhere' / 'real.mp4'
  link.symlink_to(place)
  video.write(link, FRAMES)
  assert link.is_symlink() and len(films.read_frames(place)) == 2
  table = tmp_path / 'table.csv'
  table.symlink_to(tmp_path / 'elsewhere' / 'table.csv')
  files.write_text(table, 'a')
  assert table.is_symlink() and (tmp_path / 'elsewhere' / 'table.csv').read_text() == 'a'


def test_a_temporary_that_somebody_else_has_put_there_is_not_followed(tmp_path):
  """A link with the name of the temporary would let another user choose what is overwritten."""
  theirs = tmp_path / 'theirs'
  theirs.write_text('precious')
  output = tmp_path / 'o.mp4'
  files.temporary(output).symlink_to(theirs)
  video.write(output, FRAMES)
  assert theirs.read_text() == 'precious' and not output.is_symlink()


def test_what_killed_commands_left_is_swept_by_the_next(tmp_path):
  output = tmp_path / 'o.mp4'
  here = files.temporary(output)
  dead = here.with_name(here.name.replace(f'-{os.getpid()}.', f'-{2**22 + 1}.'))  # beyond any id
  alive = here.with_name(here.name.replace(f'-{os.getpid()}.', f'-{os.getppid()}.'))
  other = here.with_name(here.name.replace('.o.', '.other.'))
  for path in (dead, alive, other):
    path.write_text('half')
  video.write(output, FRAMES)
  assert sorted(tmp_path.iterdir()) == sorted([alive, other, output])


def test_a_full_disk_while_writing_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys):
  def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  with pytest.raises(SystemExit) as caught, errors.fail_cleanly():
    with files.atomic(tmp_path / 'table.csv') as half:
      half.write_text('half')
      full()
  assert caught.value.code == 2 and list(tmp_path.iterdir()) == []
  assert 'no room is left' in capsys.readouterr().err


def test_one_command_at_a_time_holds_a_folder(tmp_path):
  with files.alone(tmp_path / 'set'):
    if files.fcntl is not None:
      with pytest.raises(InputError, match='another one is at work'):
        with files.alone(tmp_path / 'set'):
          pass
  with files.alone(tmp_path / 'set'):
    pass


@pytest.mark.skipif(os.name == 'nt', reason='names are UTF-16 there')
def test_names_that_are_not_utf_8_are_read_and_written(tmp_path):
  name = os.fsencode(tmp_path) + b'/lat\xe9'
  picture, out = (os.fsdecode(name + ending) for ending in (b'.jpg', b'.npz'))
  shutil.copy(PORTRAIT, picture)
  assert read_image(picture).shape == read_image(PORTRAIT).shape
  with files.atomic(out) as half:
    np.savez(half, x=np.ones(2))
  assert files.read_arrays(out)['x'].tolist() == [1, 1]
