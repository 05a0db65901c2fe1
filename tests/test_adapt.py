"""The command that learns a person: its flags and lines, with a stand-in for the work."""

import pathlib

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from ifmdm_jax import adapt as cli
from ifmdm_jax import bundle
from ifmdm_jax.adaptation import learn
from ifmdm_jax.adaptation.shots import Shots
from ifmdm_jax.errors import InputError


def run(**given):
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(['adapt'])
  with flagsaver.flagsaver(compile_cache='none', **given):
    cli.main([])


@pytest.fixture
def asked(monkeypatch):
  seen = {}
  shots = Shots(np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 468, 2)), ('a', 'b'), {})

  def gather(places, **options):
    seen.update(options, places=places)
    return shots

  def learned(weights, shots, output, overwrite):
    seen.update(system=weights.system, output=output)
    return learn.Learned(pathlib.Path(output), 8, 40, 0.2, 0.15, 'lips', seen['better'], 61.0)

  monkeypatch.setattr(cli.shots, 'gather', gather)
  monkeypatch.setattr(cli.learn, 'learn', learned)
  return seen


def test_it_says_what_was_learned(asked, tmp_path, capsys):
  asked['better'] = True
  run(shots=['a.jpg', 'b'], output=str(tmp_path / 'o'), count=4, mixed=True)
  assert asked['places'] == ['a.jpg', 'b'] and asked['count'] == 4 and asked['mixed']
  assert asked['system'] == bundle.read(bundle.BUNDLED).system
  said = capsys.readouterr().out
  assert 'learned from 8 pictures, 40 updates; lips of those held out 0.2000 -> 0.1500 (-25 %)' in (
    said
  )


def test_it_says_where_nothing_was(asked, tmp_path, capsys):
  asked['better'] = False
  run(shots=['a.jpg'], output=str(tmp_path / 'o'))
  assert 'the weights as they were, for 8 pictures taught them nothing' in capsys.readouterr().out


def test_bad_words_are_one_line_before_the_work(tmp_path):
  with pytest.raises(InputError, match='got no --shots'):
    run(output=str(tmp_path / 'o'))
  with pytest.raises(InputError, match='got no --output'):
    run(shots=['a.jpg'])
  with pytest.raises(InputError, match='exists'):
    run(shots=['a.jpg'], output=str(tmp_path))
