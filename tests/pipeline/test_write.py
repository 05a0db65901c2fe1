"""From a folder of films to records, whatever happens on the way."""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.configs import autoencoder as configs
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import records, write
from ifmdm_jax.pipeline.sources import pairs
from tests.pipeline import films

pytest.importorskip('tensorflow_datasets')
ROOT = pathlib.Path(__file__).resolve().parents[2]
BEAM = ['--runner=DirectRunner']
posix = pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no SIGKILL')


def digest(folder):
  """{relative path: checksum} of everything in a folder."""
  return {
    path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(pathlib.Path(folder).rglob('*'))
    if path.is_file()
  }


def contents(folder):
  return {c.name: (c.frames[:], c.landmarks, c.waveform) for c in records.clips(folder)}


def test_every_film_is_kept_or_dropped_with_a_reason(film_set):
  output, summary = film_set
  report = json.loads((output / 'report.json').read_text())
  assert {e['source'] for e in report['kept']} == {f'film{i}.mp4' for i in range(3)}
  (dropped,) = report['dropped']
  assert dropped['source'] == 'broken.mp4' and dropped['reason'] and dropped['value'] == 8
  assert summary['people'] == {'train': 2, 'val': 1}
  page = (output / 'report.html').read_text()
  assert page.count('<img class=face') == 3 and 'unreadable' in page
  assert 'broken.mp4: 8 bytes' in page
  assert write.sentence(summary).startswith('3 tracks') and '1 dropped' in write.sentence(summary)


def test_a_second_run_changes_nothing(film_set, film_folder, settings):
  output, summary = film_set
  before = digest(output)
  assert write.build(film_folder, output, settings, films.LevelLag) == summary
  assert before == digest(output)


KILLED = """
import sys
sys.path[:0] = [{root!r}]
from ifmdm_jax.pipeline import write
from tests.pipeline import conftest, films
if __name__ == '__main__':
  write.build({source!r}, {output!r}, conftest.SETTINGS, films.LevelLag)
"""


@posix
def test_killed_in_the_middle_and_started_again_is_bit_equal(
  film_set, film_folder, settings, tmp_path
):
  output = tmp_path / 'killed'
  script = tmp_path / 'killed.py'
  script.write_text(KILLED.format(root=str(ROOT), source=str(film_folder), output=str(output)))
  run = subprocess.Popen([sys.executable, script], cwd=ROOT, start_new_session=True)
  for _ in range(3000):  # until the first film is done and others are not
    if any(output.glob('videos/film*/result.json')) or run.poll() is not None:
      break
    time.sleep(0.1)
  assert run.poll() is None
  os.killpg(run.pid, signal.SIGKILL)
  run.wait()
  assert not (output / 'report.json').exists()
  write.build(film_folder, output, settings, films.LevelLag)
  assert digest(output) == digest(film_set[0])


@posix
def test_a_film_that_kills_its_process_costs_itself_only(film_folder, settings, tmp_path):
  write.build(film_folder, tmp_path, settings, films.Poisoned)
  report = json.loads((tmp_path / 'report.json').read_text())
  reasons = {e['source']: (e['reason'], e['value']) for e in report['dropped']}
  assert reasons['film0.mp4'] == ('crashed', -signal.SIGKILL)
  assert reasons['broken.mp4'][0] == 'unreadable' and len(reasons) == 2
  assert {e['source'] for e in report['kept']} == {'film1.mp4', 'film2.mp4'}
  assert len(records.clips(tmp_path)) == 2


def test_writing_a_set_leaves_nothing_in_the_temporary_folder(tmp_path, monkeypatch, capfd):
  temporary = tmp_path / 'temporary'
  temporary.mkdir()
  monkeypatch.setattr(tempfile, 'tempdir', str(temporary))
  testing.write_cache(tmp_path / 'set', people=2, num_frames=2)
  assert not list(temporary.iterdir())
  said = capfd.readouterr()
  assert 'ownload' not in said.out + said.err  # as TFDS calls it to write a set


def test_where_nothing_can_be_kept_the_report_says_why(settings, tmp_path):
  (tmp_path / 'broken.mp4').write_text('no video')
  with pytest.raises(InputError, match='report.html says why'):
    write.build(tmp_path, tmp_path / 'set', settings, films.LevelLag)
  assert 'unreadable' in (tmp_path / 'set' / 'report.html').read_text()


def test_workers_are_spawned_on_every_platform(film_folder, settings, tmp_path, monkeypatch):
  source = tmp_path / 'films'
  source.mkdir()
  shutil.copy(film_folder / 'film0.mp4', source / 'film.mp4')
  monkeypatch.setattr(films.Spawned, 'here', 'changed')  # which a fork would see
  summary = write.build(source, tmp_path / 'set', settings, films.Spawned)
  assert summary['tracks_kept'] == 1


@posix
def test_on_beam_a_film_that_kills_its_process_costs_itself_only(film_folder, settings, tmp_path):
  pytest.importorskip('apache_beam')
  write.build(film_folder, tmp_path, settings, films.Poisoned, beam=BEAM)
  report = json.loads((tmp_path / 'report.json').read_text())
  reasons = {e['source']: e['reason'] for e in report['dropped']}
  assert reasons == {'film0.mp4': 'crashed', 'broken.mp4': 'unreadable'}


def test_beam_gives_the_same_records(film_set, film_folder, settings, tmp_path):
  pytest.importorskip('apache_beam')
  write.build(film_folder, tmp_path, settings, films.LevelLag, beam=BEAM)
  one, other = contents(film_set[0]), contents(tmp_path)
  assert one.keys() == other.keys()
  for name in one:
    for a, b in zip(one[name], other[name]):
      np.testing.assert_array_equal(a, b)


def test_mattes_that_were_asked_for_are_in_the_records_and_blur_backgrounds(
  film_set, film_folder, settings, tmp_path
):
  assert all(clip.mattes is None for clip in records.clips(film_set[0]))
  source = tmp_path / 'films'
  source.mkdir()
  shutil.copy(film_folder / 'film1.mp4', source / 'film.mp4')
  (source / 'MANIFEST.csv').write_text('file,split\nfilm.mp4,train\n')
  output = tmp_path / 'set'
  write.build(source, output, dataclasses.replace(settings, matte=True), films.LevelLag)
  (clip,) = records.clips(output)
  assert clip.mattes[:].shape == (clip.num_frames, 256, 256, 3)
  config = configs.get_config('tiny').data
  config.cache = str(output)
  draw = lambda: next(pairs.make_loader(config, batch=2, seed=0, split='train'))
  sharp, config.blur = draw(), 1.0
  blurred, again = draw(), draw()
  assert sharp['source'].shape == blurred['source'].shape
  np.testing.assert_array_equal(blurred['source'], again['source'])
