"""Several performances of one voice, a text in place of it, and options by name."""

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

import ifmdm_jax
from ifmdm_jax import sample as cli
from ifmdm_jax.audio import spoken
from ifmdm_jax.errors import InputError
from ifmdm_jax.video import image, read
from tests.test_sample import PORTRAIT, SPEECH

FLAGS = ('audio', 'text', 'drive', 'output', 'checkpoint', 'system', 'pin', 'scale', 'speaker',
         'drawn_by')  # fmt: skip


class Performer:
  """Draws grey as bright as its seed; remembers options."""

  name, needs, size, fps = 'performer', frozenset({'image', 'voice'}), 64, 25

  def __init__(self):
    self.asked = []

  def generate(self, clip, *, seed=0, **options):
    self.asked.append((seed, len(clip.waveform), options))
    yield np.full((clip.num_frames, 64, 64, 3), 20 + 20 * seed, np.uint8)


@pytest.fixture
def performer(monkeypatch):
  made, loaded = Performer(), []

  def load(checkpoint=None, drawn_by=None, **_):
    loaded.append(checkpoint)
    made.drawn_by = drawn_by
    return made

  monkeypatch.setattr(ifmdm_jax, 'load', load, raising=False)
  made.loaded = loaded
  return made


def run(**given):
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(['sample'])
  lists = {name: [value] for name, value in given.items() if name in ('pin', 'scale')}
  single = {name: str(value) for name, value in given.items() if name not in lists}
  start = dict.fromkeys(FLAGS)
  with flagsaver.flagsaver(compile_cache='none', image=str(PORTRAIT), **start):
    with flagsaver.as_parsed(**single, **lists):
      cli.main([])


def test_takes_are_videos_of_seeds_that_follow_each_other_and_a_sheet(tmp_path, performer, capsys):
  run(audio=SPEECH, output=tmp_path / 'o.mp4', takes=3, seed=2)
  assert [seed for seed, _, _ in performer.asked] == [2, 3, 4] and performer.loaded == [None]
  assert sorted(path.name for path in tmp_path.iterdir()) == [
    'o_take1.mp4', 'o_take2.mp4', 'o_take3.mp4', 'o_takes.jpg',
  ]  # fmt: skip
  sheet = image.read_image(tmp_path / 'o_takes.jpg')
  rows = sheet.reshape(3, -1, *sheet.shape[1:])
  levels = rows.mean((1, 2, 3))
  assert levels[0] < levels[1] - 10 < levels[2] - 20
  assert 'o_takes.jpg' in capsys.readouterr().out


def test_a_take_that_is_there_already_stops_all_of_them(tmp_path, performer):
  (tmp_path / 'o_take2.mp4').write_bytes(b'mine')
  with pytest.raises(InputError, match='o_take2.mp4'):
    run(audio=SPEECH, output=tmp_path / 'o.mp4', takes=3)
  assert not performer.asked and len(list(tmp_path.iterdir())) == 1


def test_a_text_is_spoken_and_kept_as_the_sound(tmp_path, performer, monkeypatch):
  tone = lambda text, voice, seed: (np.full(8_000, 0.1, np.float32), 8_000)
  monkeypatch.setattr(spoken, 'speaker', lambda name: tone)
  run(text='Good morning.', output=tmp_path / 'o.mp4')
  length = (1 + spoken.PAUSE) * 16_000
  assert performer.asked[0][1] == pytest.approx(length, abs=2)
  frames = list(read.frames(tmp_path / 'o.mp4'))
  assert len(frames) == round(25 * (1 + spoken.PAUSE))
  assert [path.name for path in tmp_path.iterdir()] == ['o.mp4']


@pytest.mark.parametrize(
  'given, message',
  [
    (dict(text='a', audio=SPEECH), 'got --audio and --text'),
    (dict(text='...'), 'expected a text to speak'),
    (dict(audio=SPEECH, voice='emma'), 'expected --voice with --text'),
    (dict(audio=SPEECH, pin='jawOpen'), 'expected --pin NAME=NUMBER'),
    (dict(audio=SPEECH, drawn_by='x'), 'expected --system vlogger with --drawn_by'),
    (dict(audio=SPEECH, system='vlogger', drawn_by='none'), 'none does not exist'),
    (dict(audio=SPEECH, stage='controls', paste_back='true'), 'a stage that draws the portrait'),
    (dict(audio=SPEECH, system='nobody'), 'expected a system whose weights are bundled'),
  ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, performer, monkeypatch, given, message):
  monkeypatch.setattr(spoken, 'speaker', lambda name=None: None)
  with pytest.raises(InputError, match=message):
    run(**given, output=tmp_path / 'o.mp4')
  assert not list(tmp_path.iterdir()) and not performer.asked


def test_names_reach_the_generator(tmp_path, performer):
  run(audio=SPEECH, output=tmp_path / 'o.mp4', pin='jawOpen=0', scale='head=0.5,gaze=0')
  assert performer.asked[0][2] == {'pin': {'jawOpen': 0.0}, 'scale': {'head': 0.5, 'gaze': 0.0}}


def test_the_system_chooses_its_bundled_weights(tmp_path, performer):
  run(audio=SPEECH, output=tmp_path / 'o.mp4', system='vlogger')
  assert performer.loaded[0].name == 'vlogger'


def test_a_person_that_was_learned_draws_and_controls_are_written_beside(tmp_path, performer):
  (tmp_path / 'anna').mkdir()
  anna = str(tmp_path / 'anna')
  run(
    audio=SPEECH, output=tmp_path / 'o.mp4', system='vlogger', drawn_by=anna, show_controls='true'
  )
  assert performer.drawn_by == anna and len(performer.loaded) == 1
  assert [options for _, _, options in performer.asked] == [{}, {'stage': 'controls'}]
  assert (tmp_path / 'o_controls.mp4').exists()
