"""Sweeps: what is listed, run, handed to SLURM and collected; no training here."""

import json
import os
import pathlib
import stat
from types import SimpleNamespace

import ml_collections
import pytest

from ifmdm_jax import compile_cache, errors
from ifmdm_jax.sweeps import definition, launch, table, training
from ifmdm_jax.training import hosts, loop

ROOT = pathlib.Path(__file__).resolve().parents[1]
SWEEPS = sorted((ROOT / 'ifmdm_jax' / 'configs' / 'sweeps').glob('[a-z]*.py'))
FILE = """
import ml_collections


def get_config(size='big'):
  return ml_collections.ConfigDict({'depth': 8 if size == 'big' else 2, 'rate': 0.1})


def sweep(add):
  for depth in (1, 2, 3):
    add({'depth': depth})


def run(config, workdir):
  if config.depth == 2:
    (workdir / 'seen').touch()
  return {'loss': config.rate / config.depth, 'size': 1.0 * config.depth}
"""


@pytest.fixture
def path(tmp_path):
  file = tmp_path / 'depths.py'
  file.write_text(FILE)
  return file


def test_runs_are_collected_into_a_table_and_a_plot(path, tmp_path):
  pytest.importorskip('matplotlib')
  found = definition.Sweep(str(path), ['rate=0.5'])
  assert found.changes == [{'depth': 1}, {'depth': 2}, {'depth': 3}]
  with pytest.raises(errors.InputError, match='--launch local runs them'):
    table.collect(found, tmp_path / 'runs', tmp_path / 'out')
  for index in (0, 1):
    found.run(index, tmp_path / 'runs' / str(index))
  text = table.collect(found, tmp_path / 'runs', tmp_path / 'out')
  assert '| 1 | 2 | 0.25 | 2 |' in text and '1 of 3 runs are not done' in text
  assert (tmp_path / 'out' / 'plot.png').stat().st_size > 0
  assert (tmp_path / 'out' / 'results.csv').read_text().startswith('run,depth,loss,size,minutes')


def test_all_runs_are_done_side_by_side_and_only_what_is_left_again(path, tmp_path, monkeypatch):
  monkeypatch.setenv('PYTHONPATH', str(ROOT))
  path.write_text(FILE.replace("'seen').touch()", "'seen').touch(exist_ok=False)"))  # fails twice
  runs, found = tmp_path / 'runs', definition.Sweep(str(path))
  (runs / '1').mkdir(parents=True)
  (runs / '1' / 'seen').touch()
  assert launch.local(found, runs, parallel=2) == [1]
  assert 'exists already' in (runs / '1' / 'output.txt').read_text()
  (runs / '1' / 'seen').unlink()
  (runs / '0' / definition.RESULT).write_text('untouched')
  assert launch.local(found, runs, parallel=2) == []
  assert (runs / '0' / definition.RESULT).read_text() == 'untouched'
  assert all((runs / str(index) / definition.RESULT).exists() for index in range(3))


def test_what_does_not_fit_is_refused_before_anything_runs(path):
  with pytest.raises(errors.InputError, match='depths: width=4 does not fit.*there is no'):
    definition.Sweep(str(path), ['width=4'])
  with pytest.raises(errors.InputError, match='has runs 0 to 2'):
    definition.Sweep(str(path)).config(3)
  with pytest.raises(errors.InputError, match='there is no configs/sweeps/none.py'):
    definition.Sweep('configs/sweeps/none.py')


def test_slurm_gets_an_array_of_what_is_left(path, tmp_path, monkeypatch):
  fake = tmp_path / 'bin' / 'sbatch'
  fake.parent.mkdir()
  fake.write_text('#!/bin/sh\necho Submitted "$@"\n')
  fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
  monkeypatch.setenv('PATH', f'{fake.parent}{os.pathsep}{os.environ["PATH"]}')
  found = definition.Sweep(str(path), ['rate=0.2'])
  found.run(1, tmp_path / 'runs' / '1')
  said = launch.slurm(found, tmp_path / 'runs', '--gpus=1')
  script = tmp_path / 'runs' / 'array.sh'
  assert said == f'Submitted --gpus=1 {script}'
  assert '#SBATCH --array=0,2\n' in script.read_text()
  assert '--set rate=0.2' in script.read_text()
  assert '--index "$SLURM_ARRAY_TASK_ID"\n' in script.read_text()


def test_of_many_hosts_only_the_first_leaves_the_result(tmp_path, monkeypatch):
  (tmp_path / 'log.csv').write_text('step,seconds,name,value\n5,1,val/loss,2\n')
  config = ml_collections.ConfigDict({'train': {'steps': 5}})
  met = []
  monkeypatch.setattr(hosts, 'connect', lambda: met.append('connected'))
  monkeypatch.setattr(loop, 'train', lambda *_: met.append('trained') or SimpleNamespace(step=5))
  monkeypatch.setattr(compile_cache, 'keep', lambda: None)
  monkeypatch.setattr(hosts, 'first', lambda: True)
  assert training.train(config, tmp_path) == {'loss': 2.0}
  monkeypatch.setattr(hosts, 'first', lambda: False)
  assert training.train(config, tmp_path) is None
  assert met == ['connected', 'trained'] * 2


def test_the_last_validation_is_the_result(tmp_path):
  rows = ['5,1,val/loss,2', '10,2,train/loss,9', '10,2,val/loss,1.5', '10,2,val/psnr,20']
  (tmp_path / 'log.csv').write_text('\n'.join(['step,seconds,name,value', *rows]))
  assert training.last_validation(tmp_path) == {'loss': 1.5, 'psnr': 20.0}


@pytest.mark.parametrize('file', SWEEPS, ids=lambda file: file.stem)
def test_the_sweeps_that_come_along_fit_their_configs(file, monkeypatch):
  monkeypatch.syspath_prepend(str(ROOT))
  for size in ('', ':tiny'):
    found = definition.Sweep(f'{file}{size}')
    assert len(found.changes) >= 3
    assert json.dumps([found.config(i).to_dict() for i in range(len(found.changes))], default=str)
