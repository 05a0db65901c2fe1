"""The command of the edit with a stand-in for what draws: flags, lines and exit statuses."""

import numpy as np
import pytest
import soundfile
from absl import flags
from absl.testing import flagsaver

import ifmdm_jax
from ifmdm_jax import edit as cli
from ifmdm_jax.errors import InputError
from ifmdm_jax.shot import Painted
from tests.dubbing import films


class Painter:
  """Paints every frame whose landmarks have moved."""

  name, size = 'painter', 128

  def dub(self, shot, *, seed=0):
    """Paints all of a shot, and keeps its voice."""
    self.waveform = shot.waveform
    yield from self.redraw(shot, shot.landmarks[..., :2] + 1)

  def redraw(self, shot, landmarks):
    """Yields one block."""
    moved = (landmarks != shot.landmarks[..., :2]).any((1, 2))
    self.moved = moved
    mask = np.zeros((len(shot), 128, 128), np.float32)
    mask[moved, 80:100, 40:80] = 1
    yield Painted(np.zeros((len(shot), 128, 128, 3), np.uint8), mask)


@pytest.fixture
def inputs(tmp_path, monkeypatch):
  painter = Painter()
  monkeypatch.setattr(ifmdm_jax, 'load', lambda checkpoint=None, **_: painter, raising=False)
  films.write(tmp_path / 'a.mp4', films.talk(20))
  painter.folder = tmp_path
  return painter


def run(folder, **given):
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(['edit'])
  given = dict(video=folder / 'a.mp4', output=folder / 'o.mp4', compile_cache='none') | given
  text = {k: str(v) if hasattr(v, 'name') else v for k, v in given.items()}
  with flagsaver.flagsaver(**text):
    cli.main([])


def test_a_unit_over_a_span_is_drawn_and_reported(inputs, capsys):
  run(inputs.folder, unit=['jawOpen=0.6@0.2-0.6'], verbose=True)
  said = capsys.readouterr().out
  moved = inputs.moved  # softly, before the span and after it
  assert moved[5:15].all() and not moved[:2].any() and not moved[19:].any()
  assert f'o.mp4: {inputs.moved.sum()} of 20 frames changed' in said and 'edited' in said
  assert 'face 1: 0.80 s, edited' in said
  assert (inputs.folder / 'o.report.json').exists()


def test_a_new_voice_goes_over_the_whole_film(inputs, capsys):
  voice = np.float32(0.1 * np.sin(np.arange(8_000) / 5))
  soundfile.write(inputs.folder / 'b.wav', voice, 16_000)
  run(inputs.folder, translate=str(inputs.folder / 'b.wav'))
  assert inputs.moved.all() and len(inputs.waveform) > 7_900
  assert '20 of 20 frames changed' in capsys.readouterr().out


def test_the_names_of_the_units_are_listed(inputs, capsys):
  run(inputs.folder, units=True)
  said = capsys.readouterr().out.split()
  assert len(said) == 51 and 'mouthSmileLeft' in said


@pytest.mark.parametrize(
  ('given', 'said'),
  [
    (dict(output=None), 'got no --output'),
    (dict(), 'something to change'),
    (dict(close_mouth='0.6-0.2'), 'ends after it begins'),
    (dict(close_mouth='0.2-9'), 'within the film'),
    (dict(unit=['mouthSmyleLeft=1@0.1-0.4']), 'did you mean mouthSmileLeft'),
    (dict(translate='a.wav', close_mouth='0.2-0.4'), 'expected --translate alone'),
    (dict(translate='none.wav'), 'none.wav'),
    (dict(close_mouth='0.2-0.4', spoken_label=True), 'expected --spoken_label with --translate'),
    (dict(close_mouth='0.1-0.5', unit=['jawOpen=1@0.4-0.6']), 'one change of jawOpen at a time'),
  ],
)
def test_what_is_wrong_is_one_line_and_no_file(inputs, given, said):
  with pytest.raises(InputError, match=said) as raised:
    run(inputs.folder, **given)
  assert '\n' not in str(raised.value)
  assert sorted(path.name for path in inputs.folder.iterdir()) == ['a.mp4']
