import pathlib

import pytest

from ifmdm_jax import configs


def test_a_config_is_found_by_name_from_any_folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert {'autoencoder', 'motion', 'sweeps/window_overlap'} <= set(configs.names())
  for name in ('motion:lite', 'motion.py:lite', 'configs/motion.py:lite'):
    assert configs.find(name) == f'{configs.FOLDER / "motion.py"}:lite'
  assert pathlib.Path(configs.find('sweeps/window_overlap')).is_file()


def test_a_file_of_ones_own_comes_first_and_an_unknown_name_stays(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'motion.py').touch()
  assert configs.find('motion.py:big') == 'motion.py:big'
  assert configs.find('none:big') == 'none:big'
  assert configs.find('../__init__') == '../__init__'


@pytest.mark.parametrize('words', [['--config', 'motion:lite'], ['--config=motion:lite']])
def test_the_words_of_a_command_are_rewritten(words):
  rewritten = configs.found(['train', *words, '--config.train.batch=motion', '--workdir', 'motion'])
  assert f'{configs.FOLDER / "motion.py"}:lite' in ' '.join(rewritten)
  assert rewritten[-3:] == ['--config.train.batch=motion', '--workdir', 'motion']
