"""Recordings as people have them, each with its right result: `../shared/data/reports`, if there.

The same kinds are tested by files that the tests make, see tests/audio/test_sound.py and
tests/video/test_shown.py.
"""

import pathlib

import numpy as np
import pytest

from ifmdm_jax import read as people
from ifmdm_jax.audio import features
from ifmdm_jax.face import lag
from ifmdm_jax.pipeline.prep import film, layouts, results
from ifmdm_jax.rates import SAMPLE_RATE
from ifmdm_jax.video import Writer, read

FOLDER = pathlib.Path(__file__).parents[3] / 'shared' / 'data' / 'reports'
pytestmark = pytest.mark.skipif(
  not (FOLDER / 'voice.wav').is_file(), reason=f'no recordings in {FOLDER}'
)
LEVEL = -19.2  # dB, of one channel of the voice


@pytest.fixture(scope='module')
def opening():
  """opening(file): the mouth opening that is predicted from a voice, [T]."""
  encoder, ridge, known = features.load('whisper_tiny'), lag.load(), {}

  def predict(name):
    if name not in known:
      voice, _ = people.read_voice(FOLDER / name, SAMPLE_RATE)
      known[name] = ridge.predict(encoder.features(voice, SAMPLE_RATE))
    return known[name]

  return predict


def agreement(a, b, most=0):
  return lag.find(a, b, most).r


def decibel(waveform):
  return 10 * np.log10(np.square(waveform, dtype=np.float64).mean())


@pytest.mark.parametrize(
  ('name', 'least'),
  [
    ('voice_opposite.wav', 0.95),
    ('voice_opposite_room.wav', 0.95),
    ('voice_opposite_music.flac', 0.80),
  ],
)
def test_a_voice_in_opposite_phase_is_heard(name, least, opening, capsys):
  assert agreement(opening(name), opening('voice.wav')) >= least
  assert 'silent' not in capsys.readouterr().err
  voice, _ = people.read_voice(FOLDER / name, SAMPLE_RATE)
  assert abs(decibel(voice) - LEVEL) < 3
  _, blocks = read.audio_blocks(FOLDER / name)  # what the video gets: as recorded
  sound = np.concatenate(list(blocks))
  assert sound.shape[1] == 2 and np.corrcoef(sound.T)[0, 1] < 0


@pytest.mark.parametrize(
  ('name', 'seconds', 'frames', 'alike'),
  [
    ('rate_48_then_24.mp3', 2.48, 62, True),
    ('mono_then_stereo.mp3', 2.45, 61, True),
    ('mono_then_stereo.aac', 2.47, 62, True),
    ('stereo_then_mono.aac', 2.47, 62, False),
    ('joined_files.mp3', 2.45, 61, True),
  ],
)
def test_what_changes_on_the_way_is_followed(name, seconds, frames, alike, opening, tmp_path):
  voice, _ = people.read_voice(FOLDER / name, SAMPLE_RATE)
  assert len(voice) / SAMPLE_RATE == pytest.approx(seconds, abs=0.06)
  if alike:
    assert agreement(opening('voice.wav'), opening(name), 3) >= 0.9
  rate, blocks = read.audio_blocks(FOLDER / name)
  count = round(len(voice) / SAMPLE_RATE * 25)
  with Writer(tmp_path / 'a.mp4', blocks, rate) as writer:
    for _ in range(count):
      writer.add(np.zeros((32, 32, 3), np.uint8))
  assert abs(count - frames) <= 1
  assert len(read.audio(tmp_path / 'a.mp4')) / SAMPLE_RATE == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize('name', ['channels_60.wav', 'channels_32.wav'])
def test_many_channels_are_read(name):
  sound = read.audio(FOLDER / name)
  assert len(sound) / SAMPLE_RATE == pytest.approx(0.2, abs=0.01) and np.abs(sound).max() > 0.005


def rises(series, step):
  """Times at which a series passes the middle of its range upwards, seconds."""
  above = series > (series.min() + series.max()) / 2
  return (np.flatnonzero(above[1:] & ~above[:-1]) + 1) * step


HOLES = [f'sound_hole.{suffix}' for suffix in ('mp4', 'mov', 'mkv', 'webm')]


@pytest.mark.parametrize(
  'name',
  [*HOLES, 'default_track_second.mp4', 'damaged_packets.mp4', 'times_wrap.ts', 'wide_pixels.mp4'],
)
def test_the_flash_and_the_beep_of_a_clap_film_stay_together(name):
  light = np.array([frame.mean() for frame in read.frames(FOLDER / name)])
  sound = read.audio(FOLDER / name)
  level = np.sqrt((sound[: len(sound) // 160 * 160].reshape(-1, 160) ** 2).mean(1))
  assert abs(len(light) - 100) <= 1
  assert len(sound) / SAMPLE_RATE == pytest.approx(4.0, abs=0.06)
  flash, beep = rises(light, 1 / 25), rises(level, 0.01)
  assert flash == pytest.approx([1, 3], abs=0.045)
  assert beep == pytest.approx([1, 3], abs=0.1 if name == 'damaged_packets.mp4' else 0.045)
  assert np.abs(flash - beep).max() < 0.06


@pytest.mark.parametrize(
  ('name', 'says'), [('sound_hole.mkv', 'missing'), ('damaged_packets.mp4', 'decoded')]
)
def test_what_is_missing_is_told(name, says, tmp_path, capsys):
  people.read_voice(FOLDER / name, SAMPLE_RATE)
  assert says in capsys.readouterr().err
  source = layouts.Source(str(FOLDER / name), name, 'somebody', 'train')
  job = film.Film(source, tmp_path, results.Settings(), None)
  job.run()  # nobody is in it
  assert not job.kept and says in job.damage


def test_pixels_that_are_not_square_are_shown_as_they_are_meant():
  height, width, _ = next(read.frames(FOLDER / 'wide_pixels.mp4')).shape
  assert width / height == pytest.approx(4 / 3, abs=0.01)


@pytest.mark.parametrize('name', ['hdr_hlg.mp4', 'hdr_pq.mp4'])
def test_hdr_films_have_the_colours_that_were_filmed(name):
  frame = next(read.frames(FOLDER / name))
  colours = [(200, 60, 50), (60, 160, 80), (60, 80, 190), (225, 185, 160)]
  for x, colour in zip((32, 96, 160, 224), colours):
    assert frame[28:36, x - 4 : x + 4].mean((0, 1)) == pytest.approx(colour, abs=25)
