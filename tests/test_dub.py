"""The command of the dub with a stand-in for the generator: flags, lines and exit statuses."""

import json

import pytest
from absl import flags
from absl.testing import flagsaver

import ifmdm_jax
from ifmdm_jax import bundle
from ifmdm_jax import dub as cli
from ifmdm_jax.errors import InputError
from tests.dubbing import films


@pytest.fixture
def inputs(tmp_path, monkeypatch):
  painter = films.Painter()
  monkeypatch.setattr(ifmdm_jax, 'load', lambda checkpoint=None: painter, raising=False)
  films.write(tmp_path / 'a.mp4', [*films.talk(10), *[films.wall(240, 320)] * 5])
  films.voice(tmp_path / 'voice.wav', 0.8)
  painter.folder = tmp_path
  return painter


def run(folder, **given):
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(['dub'])
  given = dict(video=folder / 'a.mp4', audio=folder / 'voice.wav', compile_cache='none') | given
  text = {k: str(v) if hasattr(v, 'name') else v for k, v in given.items()}
  with flagsaver.flagsaver(**text):
    cli.main([])


def test_a_film_and_a_voice_become_a_film_and_a_report(inputs, capsys):
  run(inputs.folder, output=inputs.folder / 'o.mp4', seed=4, steps=7, verbose=True)
  said = capsys.readouterr().out
  assert '0.00 to      0.40 s      10 frames  new lips' in said
  assert '10 frames' in said and 'as it was: no face' in said
  assert 'o.mp4: 10 of 20 frames with new lips' in said and 'o.report.json says' in said
  assert '320 x 240, h264 yuv420p, 25.000 frames per second' in said
  assert 'face 1: 0.40 s, dubbed' in said
  assert inputs.options == {'seed': 4, 'steps': 7}
  assert json.loads((inputs.folder / 'o.report.json').read_text())['dubbed_frames'] == 10


def test_aligning_says_a_line_and_writes_nothing(inputs, capsys):
  before = sorted(inputs.folder.iterdir())
  run(inputs.folder, align=True)
  assert '0.20 s longer than the film' in capsys.readouterr().out
  assert sorted(inputs.folder.iterdir()) == before


def test_what_is_missing_is_named(inputs):
  with pytest.raises(InputError, match='got no --output'):
    run(inputs.folder)
  with pytest.raises(InputError, match='got no --video'):
    run(inputs.folder, video=None, align=True)


def test_an_existing_output_stays_unless_asked(inputs):
  (inputs.folder / 'o.mp4').write_bytes(b'mine')
  with pytest.raises(InputError, match='exists'):
    run(inputs.folder, output=inputs.folder / 'o.mp4')
  assert (inputs.folder / 'o.mp4').read_bytes() == b'mine'
  run(inputs.folder, output=inputs.folder / 'o.mp4', overwrite=True)
  assert (inputs.folder / 'o.mp4').stat().st_size > 1000


def test_a_system_is_found_by_the_weights_that_are_bundled(tmp_path):
  assert bundle.chosen(None, None) is None and bundle.chosen('x', None) == 'x'
  assert bundle.chosen(None, 'ifmdm').name == 'lite'
  with pytest.raises(InputError, match='nobody has none here'):
    bundle.chosen(None, 'nobody')
  (tmp_path / 'config.json').write_text('{"system": "other"}')
  with pytest.raises(InputError, match='has those of other'):
    bundle.chosen(str(tmp_path), 'ifmdm')
  assert bundle.chosen(str(tmp_path), 'other') == str(tmp_path)
