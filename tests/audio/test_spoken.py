"""A text becomes a sound file, sentence by sentence."""

import importlib.util
import shutil

import numpy as np
import pytest
import soundfile

from ifmdm_jax.audio import spoken
from ifmdm_jax.errors import InputError

RATE = 8_000


def beep(text, voice, seed):
  """Speaks a tone as long as the text, as loud as the seed."""
  del voice
  return np.full(100 * len(text), 0.01 * (seed + 1), np.float32), RATE


def test_sentences_end_where_people_breathe():
  text = 'Dr. Smith left at 7.30. "Really?" she asked. J. K. Rowling, too!\n\nA new paragraph'
  assert spoken.sentences(text) == [
    'Dr. Smith left at 7.30.', '"Really?" she asked.', 'J. K. Rowling, too!', 'A new paragraph',
  ]  # fmt: skip
  assert spoken.sentences('おはよう。元気ですか。') == ['おはよう。', '元気ですか。']
  long = ', '.join(['word'] * 400)
  parts = spoken.sentences(long)
  assert max(map(len, parts)) <= spoken.LONGEST and ' '.join(parts) == long


def test_a_text_is_written_with_pauses_and_the_same_seed_sounds_the_same(tmp_path):
  path = tmp_path / 'voice.wav'
  spoken.write(path, 'One. Two three.', beep)
  samples, rate = soundfile.read(path, dtype='float32')
  pause = round(spoken.PAUSE * RATE)
  assert rate == RATE and len(samples) == 100 * len('One.') + 100 * len('Two three.') + 2 * pause
  assert samples[0] == pytest.approx(0.01, abs=1e-4)
  assert samples[-pause - 1] == pytest.approx(0.02, abs=1e-4) and samples[-1] == 0
  spoken.write(tmp_path / 'again.wav', 'One. Two three.', beep)
  assert (tmp_path / 'again.wav').read_bytes() == path.read_bytes()


@pytest.mark.parametrize('text', ['', '  \n', '... !?'])
def test_nothing_to_say_is_one_line_and_no_file(tmp_path, text):
  with pytest.raises(InputError, match='expected a text to speak, got none'):
    spoken.write(tmp_path / 'voice.wav', text, beep)
  assert not (tmp_path / 'voice.wav').exists()


def test_english_is_what_hibari_reads():
  with pytest.raises(InputError, match='expected English.*got letters as Добр'):
    spoken._hibari('Доброе утро', '', 0)


def test_a_long_text_says_how_long_it_will_be(tmp_path, capsys):
  spoken.write(tmp_path / 'voice.wav', 'word ' * 1_600, beep)
  assert 'about 10 minutes of speech' in capsys.readouterr().err


def test_a_speaker_that_is_not_there_is_one_line():
  with pytest.raises(InputError, match='expected a speaker of hibari, espeak-ng'):
    spoken.speaker('nobody')


@pytest.mark.skipif(importlib.util.find_spec('hibari') is not None, reason='hibari is installed')
def test_without_the_extra_one_line_says_which():
  with pytest.raises(ModuleNotFoundError):
    spoken.speaker(spoken.HIBARI)


@pytest.mark.skipif(importlib.util.find_spec('hibari') is None, reason='hibari is not installed')
def test_hibari_speaks(tmp_path):
  spoken.write(tmp_path / 'voice.wav', 'Good morning.', spoken.speaker(spoken.HIBARI))
  samples, rate = soundfile.read(tmp_path / 'voice.wav')
  assert 0.5 < len(samples) / rate < 4 and samples.std() > 0.01
  with pytest.raises(InputError, match='nobody'):
    spoken.write(tmp_path / 'other.wav', 'Hello.', spoken.speaker(spoken.HIBARI), 'nobody')


@pytest.mark.skipif(shutil.which(spoken.ESPEAK) is None, reason='espeak-ng is not installed')
def test_espeak_speaks(tmp_path):
  spoken.write(tmp_path / 'voice.wav', 'Guten Morgen.', spoken.speaker(spoken.ESPEAK), 'de')
  assert soundfile.info(tmp_path / 'voice.wav').duration > 0.3
