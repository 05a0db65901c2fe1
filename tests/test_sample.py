"""The command line with a stand-in for the sampler: everything around the networks."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import av
import cv2
import numpy as np
import pytest
import soundfile

import ifmdm_jax
from ifmdm_jax import sample as cli
from ifmdm_jax import talk
from ifmdm_jax.errors import InputError
from ifmdm_jax.read import read_picture
from ifmdm_jax.video import image, read
from tests.audio import recordings

FIXTURES = pathlib.Path(__file__).parents[1] / 'data' / 'fixtures'
ENVIRONMENT = {**os.environ, 'PYTHONPATH': str(FIXTURES.parents[1])}
PORTRAIT, SPEECH = FIXTURES / 'portrait.jpg', FIXTURES / 'speech.wav'


class FakeSampler:
  """Repeats the picture, brighter with the sound; remembers what it was asked."""

  needs = frozenset({'image', 'voice'})

  def generate(self, clip, **options):
    self.picture, self.waveform, self.options = clip.image, clip.waveform, options
    for start in range(0, clip.num_frames, 10):
      yield np.repeat(clip.image[None], min(10, clip.num_frames - start), axis=0)


@pytest.fixture
def sampler(monkeypatch):
  fake = FakeSampler()
  monkeypatch.setattr(ifmdm_jax, 'load', lambda checkpoint=None, teacher=False: fake, raising=False)
  return fake


@pytest.fixture
def voice(tmp_path):
  def save(seconds, rate=16_000, name='voice.wav'):
    wave = 0.3 * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate)) / rate)
    soundfile.write(tmp_path / name, wave, rate)
    return tmp_path / name

  return save


def inspect(path):
  with av.open(str(path)) as container:
    video, audio = container.streams.video[0], container.streams.audio[0]
    return (
      video.codec_context.name,
      video.width,
      video.height,
      float(video.average_rate),
      video.frames,
      audio.codec_context.name,
      float(audio.duration * audio.time_base),
    )


def test_a_portrait_and_a_voice_become_a_video(tmp_path, sampler):
  output = tmp_path / 'new' / 'talk.mp4'  # the folder is made
  path, frames, _ = talk.make(PORTRAIT, SPEECH, output, seed=3, steps=5)
  assert path == output
  seconds = soundfile.info(SPEECH).duration
  assert frames == round(25 * seconds)
  codec, width, height, fps, written, sound, length = inspect(output)
  assert (codec, width, height, fps, written, sound) == ('h264', 512, 512, 25, frames, 'aac')
  assert length >= seconds - 0.002
  assert sampler.options == {'seed': 3, 'steps': 5}
  assert sampler.picture.shape == (512, 512, 3)


@pytest.mark.parametrize('seconds', [0.05, 0.5, 1.01, 1.019, 1.021, 2.3456])
@pytest.mark.parametrize('rate', [8_000, 44_100])
def test_video_is_as_long_as_its_audio(tmp_path, sampler, voice, seconds, rate):
  talk.make(PORTRAIT, voice(seconds, rate), tmp_path / 'o.mp4')
  assert inspect(tmp_path / 'o.mp4')[4] == round(25 * seconds)
  rate_again, blocks = read.audio_blocks(tmp_path / 'o.mp4')
  assert rate_again == rate  # as recorded, not as networks hear it
  assert sum(map(len, blocks)) >= (seconds - 0.002) * rate


def test_a_track_may_be_chosen_and_holes_and_tracks_are_said(tmp_path, sampler, capsys):
  lost = lambda packet, number: None if 20 <= number < 40 else packet
  loud, mute = (gain * recordings.tones(1, [0], length=1) for gain in (1, 0))
  film = recordings.write(tmp_path / 'a.mp4', loud, mute, change=lost, default=1)
  talk.make(PORTRAIT, film, tmp_path / '10:30.mp4')  # a colon is no protocol
  said = capsys.readouterr().err
  assert '2 sound tracks, taking number 2; --track' in said and 'is silent' in said
  talk.make(PORTRAIT, film, tmp_path / 'o.mp4', track=1)
  said = capsys.readouterr().err
  assert 'sound tracks' not in said and 'missing, from 0.4' in said and 'is silent' not in said
  assert np.abs(read.audio(tmp_path / 'o.mp4')).max() > 0.3
  with pytest.raises(InputError, match='--track 1 to 2'):
    talk.make(PORTRAIT, film, tmp_path / 'p.mp4', track=3)


def test_paste_back_keeps_the_whole_picture(tmp_path, sampler, voice):
  talk.make(PORTRAIT, voice(0.2), tmp_path / 'o.mp4', paste_back=True)
  frame = read.read_frames(tmp_path / 'o.mp4')[0]
  assert frame.shape == (512, 512, 3)
  assert np.abs(frame.astype(int) - image.read_image(PORTRAIT)).mean() < 3


def test_crop_none_takes_the_picture_as_it_is(tmp_path, sampler, voice):
  noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
  cv2.imwrite(str(tmp_path / 'noise.png'), noise[..., ::-1])
  talk.make(tmp_path / 'noise.png', voice(0.2), tmp_path / 'o.mp4', crop='none')
  assert (sampler.picture == noise).all()


@pytest.fixture
def two_faces(tmp_path):
  portrait = image.read_image(PORTRAIT)
  both = np.zeros((512, 1024, 3), np.uint8)
  both[:, :512], both[:256, 512:768] = portrait, cv2.resize(portrait, (256, 256))
  cv2.imwrite(str(tmp_path / 'two.png'), both[..., ::-1])
  return tmp_path / 'two.png'


def test_of_several_faces_the_largest_is_taken_and_said(two_faces, capsys):
  x0, _, _ = read_picture(two_faces).square
  assert x0 < 400
  said = capsys.readouterr().err
  assert '2 faces found, taking the largest' in said
  assert read_picture(two_faces, face=2).square[0] > 512
  with pytest.raises(InputError, match='expected --face 1 to 2, got 3'):
    read_picture(two_faces, face=3)


def test_silence_is_said_but_goes_on(tmp_path, sampler, capsys):
  soundfile.write(tmp_path / 'silent.wav', np.zeros(16_000), 16_000)
  talk.make(PORTRAIT, tmp_path / 'silent.wav', tmp_path / 'o.mp4')
  assert 'silent: the lips will rest' in capsys.readouterr().err
  assert inspect(tmp_path / 'o.mp4')[4] == 25


@pytest.fixture
def folder(tmp_path):
  """One of each thing that can be wrong."""
  rng = np.random.default_rng(0)
  small = cv2.resize(image.read_image(PORTRAIT), (100, 100))
  for name, picture in (
    ('noise', rng.integers(0, 256, (300, 300, 3), np.uint8)),
    ('wide', np.zeros((200, 300, 3), np.uint8)),
    ('small', small[..., ::-1]),
    ('tiny', np.zeros((40, 40, 3), np.uint8)),
  ):
    cv2.imwrite(str(tmp_path / f'{name}.png'), picture)
  broken = np.zeros(16_000, np.float32)
  broken[4_000] = np.inf
  for name, sound in (('inf', broken), ('empty', np.zeros(0)), ('short', np.zeros(200))):
    soundfile.write(tmp_path / f'{name}.wav', sound, 16_000, subtype='FLOAT')
  for name in ('text.jpg', 'text.wav', 'old.mp4'):
    (tmp_path / name).write_text('old')
  return tmp_path


# fmt: off
BAD = {  # what is bad                what is given instead                    what the line says
    'no picture':           ({'image': 'none.jpg'},                      'is not a file'),
    'unreadable picture':   ({'image': 'text.jpg'},                      'cannot be read'),
    'tiny picture':         ({'image': 'tiny.png'},                      '40 x 40'),
    'tiny face':            ({'image': 'small.png'},                     'use a larger picture'),
    'no face':              ({'image': 'noise.png'},                     'a clearly visible face'),
    'second face of one':   ({'face': 2},                                '--face 1 to 1, got 2'),
    'not square':           ({'image': 'wide.png', 'crop': 'none'},      '300 x 200'),
    'no sound':             ({'audio': 'none.wav'},                      'is not a file'),
    'unreadable sound':     ({'audio': 'text.wav'},                      'text.wav'),
    'picture as sound':     ({'audio': 'noise.png'},                     'neither a sound nor'),
    'empty sound':          ({'audio': 'empty.wav'},                     'no samples'),
    'short sound':          ({'audio': 'short.wav'},                     'one video frame'),
    'infinite samples':     ({'audio': 'inf.wav'},                       r'from 0\.250 s on'),
    'existing output':      ({'output': 'old.mp4'},                      'pass --overwrite'),
    'folder as output':     ({'output': '.'},                            r'\*\.mp4'),
    'other suffix':         ({'output': 'o.avi'},                        r'\*\.mp4'),
    'file as folder':       ({'output': 'text.jpg/o.mp4'},               'not a writable one'),
    'missing checkpoint':   ({'checkpoint': 'no/such'},                  'no/such does not exist'),
    'NaN guidance':         ({'guidance': float('nan')},                 '--guidance to be finite'),
}
# fmt: on


@pytest.mark.parametrize('name', BAD)
def test_bad_input_is_one_line_and_leaves_nothing(folder, sampler, name):
  given, said = BAD[name]
  given = {
    key: folder / value if key in ('image', 'audio', 'output') else value
    for key, value in given.items()
  }
  before = sorted(folder.iterdir())
  with pytest.raises(InputError, match=said) as caught:
    talk.make(**{'image': PORTRAIT, 'audio': SPEECH, 'output': folder / 'o.mp4', **given})
  assert re.match(r'expected .*, .*: .*', str(caught.value))  # wanted, came, what to do
  assert '\n' not in str(caught.value)
  assert not hasattr(sampler, 'picture')  # refused before the heavy work
  assert sorted(folder.iterdir()) == before
  assert (folder / 'old.mp4').read_text() == 'old'


def test_overwrite_replaces_but_never_an_input(tmp_path, sampler, voice):
  (tmp_path / 'o.mp4').write_bytes(b'old')
  talk.make(PORTRAIT, voice(0.2), tmp_path / 'o.mp4', overwrite=True)
  assert inspect(tmp_path / 'o.mp4')[4] == 5
  with pytest.raises(InputError, match='is an input'):
    talk.make(PORTRAIT, tmp_path / 'o.mp4', tmp_path / 'o.mp4', overwrite=True)


def test_a_failure_half_way_leaves_nothing(tmp_path, sampler, voice):
  def generate(clip, **_):
    yield clip.image[None]
    raise InputError('expected a, got b: do c')

  sampler.generate = generate
  sound = voice(1)
  with pytest.raises(InputError):
    talk.make(PORTRAIT, sound, tmp_path / 'o.mp4')
  assert list(tmp_path.iterdir()) == [sound]


def test_a_control_is_a_number_one_per_direction_or_none():
  assert cli.numbers('motion_mean', ['0.1']) == 0.1
  assert cli.numbers('motion_mean', ['0.1', '0', '-2']) == (0.1, 0, -2)
  assert cli.numbers('motion_std', ['none']) is None
  with pytest.raises(InputError, match='--motion_mean'):
    cli.numbers('motion_mean', ['a', '1'])


def test_units_are_names_and_numbers():
  assert cli.by_name('unit', ['jawLeft=0.5', 'mouthPucker=-1']) == {
    'jawLeft': 0.5,
    'mouthPucker': -1,
  }
  for bad in (['jawLeft'], ['jawLeft=much'], ['a=1=2'], ['']):
    with pytest.raises(InputError, match='--unit NAME=NUMBER'):
      cli.by_name('unit', bad)


def test_the_output_is_beside_the_voice_and_overwrites_nothing(tmp_path, sampler, voice):
  sound = voice(0.2)
  assert talk.make(PORTRAIT, sound).path == sound.with_suffix('.mp4')
  with pytest.raises(InputError, match='exists: choose another --output, or pass --overwrite'):
    talk.make(PORTRAIT, sound)
  film = sound.with_suffix('.mp4')
  assert talk.make(PORTRAIT, film).path == tmp_path / 'voice_talking.mp4'


def test_a_generator_that_needs_more_than_a_picture_and_a_voice_is_refused(sampler, voice):
  sampler.needs = frozenset({'image', 'voice', 'video'})
  with pytest.raises(InputError, match='has no video'):
    talk.make(PORTRAIT, voice(0.2))


PROGRAM = """
import itertools, signal, ifmdm_jax
from ifmdm_jax import errors, sample
class Endless:
  needs = {'image', 'voice'}
  def generate(self, clip, **_):
    return itertools.repeat(clip.image[None], ENDS)
ifmdm_jax.load = lambda checkpoint=None, teacher=False: Endless()
if hasattr(signal, 'SIGHUP'):
  signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests under nohup would hand on that it is ignored
errors.run(sample.main)
"""


def command(ends, *words):
  return [sys.executable, '-c', PROGRAM.replace('ENDS', str(ends)), *map(str, words)]


def test_the_command_prints_path_seconds_and_speed(tmp_path):
  words = ('--image', PORTRAIT, '--audio', SPEECH, '--output', tmp_path / 'o.mp4', '--seed=1')
  ran = subprocess.run(
    command(5, *words), check=True, capture_output=True, text=True, env=ENVIRONMENT
  )
  assert re.fullmatch(
    rf'{tmp_path}/o.mp4: 0.20 s of video \(5 frames\), made in .* s, '
    r'.* frames per second\n',
    ran.stdout,
  )


@pytest.mark.parametrize(
  ('words', 'said'),
  [
    (['--image', PORTRAIT], 'error: expected --image and --audio, got no --audio'),
    (['--image', PORTRAIT, '--audio', 'none.wav', '--output', 'o.mp4'], 'error: expected a file'),
  ],
)
def test_the_command_fails_with_status_2_in_one_line(tmp_path, words, said):
  ran = subprocess.run(
    command(5, *words), check=False, capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT
  )
  assert ran.returncode == 2
  line = [each for each in ran.stderr.splitlines() if not each.startswith('note:')]
  assert len(line) == 1
  assert line[0].startswith(said)
  assert list(tmp_path.iterdir()) == []


STOPS = [name for name in ('SIGTERM', 'SIGINT', 'SIGHUP') if hasattr(signal, name)]


@pytest.mark.parametrize('how', STOPS)
def test_a_stopped_run_leaves_no_half_written_file(tmp_path, how):
  words = ('--image', PORTRAIT, '--audio', SPEECH, '--output', tmp_path / 'o.mp4')
  with subprocess.Popen(
    command('10**9', *words), stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
  ) as running:
    deadline = time.monotonic() + 60
    while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
      time.sleep(0.05)
    assert any(tmp_path.iterdir())  # it was writing
    running.send_signal(getattr(signal, how))
    try:
      said = running.communicate(timeout=60)[1]
    finally:
      running.kill()  # a run that does not stop must not hold up the tests
  assert running.returncode in (143, 130, 129)
  assert 'Traceback' not in said
  assert list(tmp_path.iterdir()) == []
