"""What goes wrong around films: full disks, damaged notes, two commands at once, odd names."""

import dataclasses
import errno
import json
import os
import pathlib
import shutil
import types

import numpy as np
import pytest

from ifmdm_jax import files
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import frames as codec
from ifmdm_jax.pipeline import prep, write
from ifmdm_jax.pipeline.prep import filters, layouts, process, report, results
from tests.pipeline import films
from tests.pipeline.test_write import digest

SETTINGS = results.Settings(size=64, limits=filters.Limits(seconds=1.0, sync=0.2))


@pytest.fixture(scope='module')
def source(tmp_path_factory):
  path = films.talking(tmp_path_factory.mktemp('films') / 'a.mp4', seconds=1.2)
  return layouts.Source(str(path), path.name, 'somebody', 'train')


@pytest.fixture(scope='module')
def wanted(source, tmp_path_factory):
  """What a run gives that never lacks anything."""
  output = tmp_path_factory.mktemp('wanted')
  process.guarded(source, output, SETTINGS, films.LevelLag())
  return digest(output)


def run(source, output):
  return process.guarded(source, output, SETTINGS, films.LevelLag())


def full(*_, **__):
  raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


LACKS = {
  'frames': (codec.Encoder, 'add'),
  'landmarks': (np, 'savez'),
  'the folder': (os, 'replace'),
}


@pytest.mark.parametrize('what', LACKS)
def test_a_film_without_room_is_tried_again_and_equals_one_that_had_it(
  source, wanted, tmp_path, monkeypatch, what
):
  with monkeypatch.context() as patch:
    patch.setattr(*LACKS[what], full)
    result = run(source, tmp_path)
  assert not result['kept'] and result['dropped'][0]['reason'] == 'failed'
  assert 'No space left' in result['dropped'][0]['detail'] or 'no room' in str(result)
  assert results.finished(tmp_path, source, SETTINGS) is None
  assert run(source, tmp_path)['kept']
  assert digest(tmp_path) == wanted


@pytest.mark.parametrize('text', ['', '{', 'null', '[]', '{"kept": 1}', '\0', '[' * 10**5])
def test_a_damaged_result_is_made_anew(source, wanted, tmp_path, text):
  folder = results.folder_of(tmp_path, source)
  folder.mkdir(parents=True)
  (folder / 'result.json').write_text(text)
  assert run(source, tmp_path)['kept']
  assert digest(tmp_path) == wanted


def test_a_film_that_is_no_video_is_not_tried_again(tmp_path):
  path = tmp_path / 'text.mp4'
  path.write_text('no film')
  source = layouts.Source(str(path), path.name, 'somebody', 'train')
  result = run(source, tmp_path / 'out')
  assert results.finished(tmp_path / 'out', source, SETTINGS) == result


def test_a_film_that_vanishes_costs_itself_only(tmp_path):
  source = layouts.Source(str(tmp_path / 'gone.mp4'), 'gone.mp4', 'somebody', 'train')
  assert run(source, tmp_path / 'out')['dropped'][0]['source'] == 'gone.mp4'


@pytest.mark.skipif(files.fcntl is None, reason='no locks here')
def test_a_second_command_leaves_the_first_ones_folder_alone(source, tmp_path):
  (tmp_path / 'films').mkdir()
  (tmp_path / 'films' / 'a.mp4').write_text('a film')
  half = tmp_path / 'out' / 'videos' / '.half.tmp'
  half.mkdir(parents=True)
  with files.alone(tmp_path / 'out'), pytest.raises(InputError, match='another one is at work'):
    write.build(tmp_path / 'films', tmp_path / 'out', SETTINGS, films.LevelLag, processes=1)
  assert half.is_dir()


@pytest.mark.skipif(os.name == 'nt', reason='names are UTF-16 there')
def test_a_name_that_is_not_utf_8_costs_nobody_anything(source, tmp_path):
  name = os.fsdecode(b'lat\xe9.mp4')
  os.link(source.path, tmp_path / name)
  os.link(source.path, tmp_path / 'b.mp4')
  found = layouts.find(tmp_path)
  assert len({each.key for each in found}) == 2
  outcomes = [run(each, tmp_path / 'out') for each in found]
  assert [len(each['kept']) for each in outcomes] == [1, 1]
  report.write(tmp_path / 'out', outcomes, dataclasses.asdict(SETTINGS))
  assert json.loads((tmp_path / 'out' / 'report.json').read_text())
  assert 'lat' in (tmp_path / 'out' / 'report.html').read_text()


@pytest.mark.parametrize(
  'data', [b'file\nlat\xe9.mp4\n', b'name\na.mp4\n', b'file\n' + b'x' * 2**18]
)
def test_a_damaged_manifest_is_one_line(tmp_path, data):
  (tmp_path / 'a.mp4').write_text('a film')
  (tmp_path / 'MANIFEST.csv').write_bytes(data)
  with pytest.raises(InputError, match='MANIFEST.csv'):
    layouts.find(tmp_path)


@pytest.mark.parametrize('where', ['here', 'on Beam'])
def test_films_that_the_machine_failed_are_told_from_films_that_are_no_good(
  source, tmp_path, monkeypatch, where
):
  """A full disk is no reason to move the limits; another machine may not even have left a word."""
  lost = results.failed(
    tmp_path, source, SETTINGS, 'failed', 1, 'bytes; no room (a.py:1)', again=True
  )
  monkeypatch.setattr(write.workers, 'run', lambda *_: [lost])
  silent = types.SimpleNamespace(run=lambda *_: None)
  monkeypatch.setattr(prep, 'on_beam', silent, raising=False)
  if where == 'on Beam':
    shutil.rmtree(results.folder_of(tmp_path, source))
  beam = [] if where == 'on Beam' else None
  with pytest.raises(InputError, match='1 of 1 failed, .*: the same command tries them again'):
    write.build(pathlib.Path(source.path).parent, tmp_path, SETTINGS, None, beam=beam)
