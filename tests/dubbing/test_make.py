"""Whole dubs with a stand-in for the generator: what changes, what stays, what is said."""

import json
import signal
import subprocess
import sys
import time

import av
import cv2
import numpy as np
import pytest
import soundfile

from ifmdm_jax import dubbing
from ifmdm_jax.dubbing import background, make, planes, report, timeline
from ifmdm_jax.dubbing.film import Film
from ifmdm_jax.errors import InputError
from ifmdm_jax.trust import report as report_of_origin
from ifmdm_jax.trust.origin import Options
from ifmdm_jax.video import read
from tests.dubbing import films

ROOT = films.PORTRAIT.parents[2]


@pytest.fixture
def voice(tmp_path):
  return films.voice(tmp_path / 'voice.wav', 0.8)


def kept(path):
  """Names of the files of a folder, without the inputs."""
  return sorted(p.name for p in path.iterdir() if p.name[0] not in 'av')


@pytest.fixture
def spy(monkeypatch):
  """Notes what is handed to the encoder, and where the masks lay."""
  handed, masks = [], []

  class Spy(make.FilmWriter):
    def add(self, frame, moment):
      handed.append((frame, moment))
      super().add(frame, moment)

  def paint(frame, matrix, square, mask):
    masks.append((frame, matrix, mask))
    planes.paint(frame, matrix, square, mask)

  monkeypatch.setattr(make, 'FilmWriter', Spy)
  monkeypatch.setattr(make, 'planes', type('planes', (), {'copied': planes.copied, 'paint': paint}))
  return handed, masks


def allowed(frame, matrix, mask):
  """Pixels that may change: bool as the frame is stored."""
  y, x = np.mgrid[: frame.height, : frame.width] + 0.5
  back = planes.inverted(matrix)
  u, v = (back[i, 0] * x + back[i, 1] * y + back[i, 2] - 0.5 for i in (0, 1))
  near = cv2.dilate(mask, np.ones((3, 3)))
  return cv2.remap(near, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR) > 0


KINDS = {
  'even': dict(height=240, width=320),
  'odd': dict(height=241, width=321, codec='ffv1', suffix='.mkv'),
  'odd, colours of full size': dict(height=241, width=321, pixels='yuv444p'),
  'turned to the left': dict(turned=90),
  'turned to the right': dict(turned=270),
  'ten bits': dict(pixels='yuv420p10le'),
  'a cut': dict(cut=True),
  'a broadcast, in which nothing is searched': dict(cut=True, suffix='.ts'),
}


@pytest.mark.parametrize('kind', KINDS)
def test_every_pixel_outside_the_mask_is_the_films_bit_for_bit(tmp_path, voice, spy, kind):
  options = dict(KINDS[kind])
  size = {k: options.pop(k) for k in ('height', 'width') if k in options}
  suffix, cut = options.pop('suffix', '.mp4'), options.pop('cut', False)
  pictures = films.talk(12, **size)
  if cut:
    pictures += films.talk(10, side=215, seed=4, flip=True)
  if turned := options.get('turned'):
    pictures = [np.rot90(p, -turned // 90) for p in pictures]
  path = films.write(tmp_path / f'a{suffix}', pictures, **options)
  film, painter = Film(path), films.Painter()
  output = tmp_path / ('o.mp4' if suffix == '.ts' else f'o{suffix}')
  before = [planes.copied(frame) for frame in film.all_times()]
  result = dubbing.dub(path, voice, output, painter, longer='cut')
  handed, masks = spy
  assert result.dubbed == len(before) == len(handed) and len(painter.shots) == 1 + cut
  masks = {id(frame): (matrix, mask) for frame, matrix, mask in masks}
  changed = 0
  for old, (new, _) in zip(before, handed):
    may = allowed(old, *masks[id(new)])
    for a, b in zip(planes.planes(old), planes.planes(new)):
      here = may
      if a.shape != may.shape:
        room = [(0, 2 * a.shape[axis] - may.shape[axis]) for axis in (0, 1)]
        here = np.pad(may, room).reshape(a.shape[0], 2, a.shape[1], 2).any((1, 3))
      assert np.abs(a.astype(int) - b)[~here].max() == 0
      changed += (a != b).sum()
  assert changed > 500 * len(before)
  # And it lies on the mouth, as players show it, in a film of the same size.
  shown = read.read_frames(output)
  assert shown.shape[1:3] == film.shown[::-1]
  new = (np.abs(shown[3].astype(int) - read.read_frames(path)[3]).max(-1) > 80).nonzero()
  assert [np.mean(each) for each in new] == pytest.approx([film.shown[1] / 2 - 38, 137], abs=8)


@pytest.mark.parametrize('name', ['o.mp4', 'o.mov', 'o.mkv'])
def test_times_of_a_variable_rate_stay(tmp_path, voice, name):
  times = np.cumsum([0.0, *np.random.default_rng(0).uniform(0.02, 0.08, 19)])
  path = films.write(tmp_path / 'a.mp4', films.talk(20), times)
  dubbing.dub(path, voice, tmp_path / name, films.Painter(), longer='cut')
  film = Film(tmp_path / name)
  for _ in film.all_times():
    pass
  assert film.times == pytest.approx(times, abs=1.1e-3 if name == 'o.mkv' else 2e-5)


@pytest.mark.parametrize('codec', ['libx264', 'libx265'])
def test_the_file_says_of_its_pictures_what_the_film_said(tmp_path, voice, codec):
  says = dict(colorspace=1, color_primaries=1, color_trc=1, color_range=1)
  options = {'x265-params': 'log-level=error'} if codec == 'libx265' else None
  path = films.write(tmp_path / 'a.mp4', films.talk(10), codec=codec, pixels='yuv420p10le',
                     options=options, **says)  # fmt: skip
  dubbing.dub(path, voice, tmp_path / 'o.mp4', films.Painter())
  with av.open(str(tmp_path / 'o.mp4')) as container:
    context = container.streams.video[0].codec_context
    assert {name: int(getattr(context, name)) for name in says} == says
    assert context.pix_fmt == 'yuv420p10le'
    assert context.name == {'libx264': 'h264', 'libx265': 'hevc'}[codec]


def test_the_sound_is_the_new_voice_and_other_tracks_stay(tmp_path, voice, capsys):
  hum = [0.3 * np.sin(f * np.arange(12_800) / 16) for f in (1, 2)]
  path = films.write(tmp_path / 'a.mp4', films.talk(20), waveforms=hum)
  dubbing.dub(path, voice, tmp_path / 'o.mp4', films.Painter())
  spoken = soundfile.read(voice, dtype='float32')[0]
  again = read.audio(tmp_path / 'o.mp4', track=1)[: len(spoken)]
  assert np.corrcoef(spoken[: len(again)], again)[0, 1] > 0.95
  second = [read.audio(path, track=2), read.audio(tmp_path / 'o.mp4', track=2)]
  count = min(map(len, second))
  assert count > 11_000 and np.abs(second[0][:count] - second[1][:count]).mean() < 0.02
  with pytest.raises(InputError, match='--track 1 to 2'):
    read.audio(tmp_path / 'o.mp4', track=3)


def test_subtitles_stay_where_they_can_and_are_named_where_not(tmp_path, voice, capsys):
  path = films.write(tmp_path / 'a.mkv', films.talk(20), subtitle='Guten Tag')
  dubbing.dub(path, voice, tmp_path / 'o.mkv', films.Painter())
  with av.open(str(tmp_path / 'o.mkv')) as container:
    [text] = container.streams.subtitles
    assert text.language == 'ger'
    [packet] = [packet for packet in container.demux(text) if packet.size]
    assert b'Guten Tag' in bytes(packet) and float(packet.pts * packet.time_base) == 0.2
  assert 'not kept' not in capsys.readouterr().err
  dubbing.dub(path, voice, tmp_path / 'o.mp4', films.Painter())
  assert 'not kept, as o.mp4 cannot hold them: subtitle (ass)' in capsys.readouterr().err


def test_the_metadata_says_synthetic_and_no_path(tmp_path, voice):
  path = films.write(tmp_path / 'a.mp4', films.talk(10))
  dubbing.dub(path, voice, tmp_path / 'o.mp4', films.Painter(), seed=5, checkpoint='/home/me/best')
  data = (tmp_path / 'o.mp4').read_bytes()
  assert b'synthetic=yes' in data and b'checkpoint=best' in data and b'seed=5' in data
  assert b'/home/me' not in data and str(tmp_path).encode() not in data
  assert str(tmp_path) not in (tmp_path / 'o.report.json').read_text()


def test_a_dub_says_that_it_was_edited_and_keeps_the_mark_of_its_film(tmp_path, voice, capsys):
  path = films.write(tmp_path / 'a.mp4', films.talk(75, height=512, width=512, side=400))
  dubbing.dub(path, voice, tmp_path / 'o.mp4', films.Painter())
  found = report_of_origin.examine(tmp_path / 'o.mp4')
  assert found['verdict'] == report_of_origin.SYNTHETIC
  layers = found['layers']
  assert layers['manifest']['source'] == ['compositeWithTrainedAlgorithmicMedia']
  assert [each['role'] for each in layers['manifest']['inputs']] == ['film', 'voice']
  number = layers['mark']['number']
  dubbing.dub(tmp_path / 'o.mp4', voice, tmp_path / 'p.mp4', films.Painter())
  assert 'carries a mark of ifmdm_jax already' in capsys.readouterr().err
  layers = report_of_origin.examine(tmp_path / 'p.mp4')['layers']
  assert layers['mark']['number'] == layers['manifest']['number'] == number
  dubbing.dub(path, voice, tmp_path / 'q.mp4', films.Painter(), provenance=Options(wanted=False))
  states = {each['state'] for name, each in
            report_of_origin.examine(tmp_path / 'q.mp4')['layers'].items()
            if name != 'notice'}  # fmt: skip
  assert states == {report_of_origin.ABSENT}


@pytest.mark.parametrize('longer', timeline.LONGER)
def test_a_voice_that_is_longer_goes_on_or_is_cut(tmp_path, longer, capsys):
  path = films.write(tmp_path / 'a.mp4', films.talk(12))
  films.voice(tmp_path / 'voice.wav', 1.0)
  painter = films.Painter()
  result = dubbing.dub(path, tmp_path / 'voice.wav', tmp_path / 'o.mp4', painter, longer=longer)
  frames = read.read_frames(tmp_path / 'o.mp4')
  assert result.frames == len(frames) == (12 if longer == 'cut' else 25)
  assert len(painter.shots) == (3 if longer == 'loop' else 1)  # a loop jumps
  heard = len(read.audio(tmp_path / 'o.mp4')) / 16_000
  assert heard == pytest.approx(0.48 if longer == 'cut' else 1.0, abs=0.07)
  said = capsys.readouterr().err
  assert ('are cut' if longer == 'cut' else f'--longer {longer} fills that') in said


def test_where_the_voice_ends_first_the_lips_rest_in_silence(tmp_path, capsys):
  path = films.write(tmp_path / 'a.mp4', films.talk(40))
  films.voice(tmp_path / 'voice.wav', 0.6)
  painter = films.Painter()
  dubbing.dub(path, tmp_path / 'voice.wav', tmp_path / 'o.mp4', painter)
  assert 'ends 1.00 s before the film: there is silence then' in capsys.readouterr().err
  assert len(painter.shots[0]) == 40 and len(painter.shots[0].waveform) == 9600


def test_each_shot_gets_its_own_part_of_the_voice(tmp_path):
  voice = films.voice(tmp_path / 'voice.wav', 1.2)
  empty = [films.wall(240, 320)] * 5
  path = films.write(tmp_path / 'a.mp4', films.talk(10) + empty + films.talk(15, seed=3))
  painter, said = films.Painter(), []
  result = dubbing.dub(path, voice, tmp_path / 'o.mp4', painter, say=said.append)
  spoken = soundfile.read(voice, dtype='float32')[0]
  starts = [0, round(0.6 * 16_000)]
  for shot, start, count in zip(painter.shots, starts, (10, 15)):
    blocks = np.concatenate(list(shot.blocks()))
    again = np.concatenate(list(shot.blocks()))  # as often as is asked
    assert blocks.shape == (count, 128, 128, 3) and (blocks == again).all()
    assert shot.landmarks.shape == (count, 478, 3) and shot.landmarks.dtype == np.float32
    assert shot.times == pytest.approx(np.arange(count) / 25, abs=1e-4)
    assert np.abs(spoken[start : start + len(shot.waveform)] - shot.waveform).max() < 1e-4
    mouth = shot.landmarks[:, [13, 14], :2].mean((0, 1)) / 128
    assert mouth == pytest.approx([0.5, 0.6], abs=0.08)
  assert [(part.stop - part.start, part.dubbed) for part in said] == [
    (10, True), (5, False), (15, True)]  # fmt: skip
  told = json.loads(result.report.read_text())
  assert [part['why'] for part in told['segments']] == ['dubbed', 'no face', 'dubbed']
  assert told['seconds'] == [
    {'second': 0, 'dubbed': 20, 'no face': 5}, {'second': 1, 'dubbed': 5}]  # fmt: skip
  # What passes is the film's.
  shown = [read.read_frames(each)[12].astype(int) for each in (path, tmp_path / 'o.mp4')]
  assert np.abs(shown[0] - shown[1]).mean() < 2


def test_a_film_without_a_face_gets_the_voice_alone(tmp_path, voice, capsys):
  path = films.write(tmp_path / 'a.mp4', [films.wall(240, 320)] * 20)
  painter = films.Painter()
  result = dubbing.dub(path, voice, tmp_path / 'o.mp4', painter)
  assert (result.frames, result.dubbed, painter.shots) == (20, 0, [])
  assert 'can get new lips (no face): all pass as they are' in capsys.readouterr().err
  assert np.abs(read.audio(tmp_path / 'o.mp4')).max() > 0.1


def test_new_lips_fade_within_a_take_and_not_at_a_cut():
  plan = timeline.Timeline(np.arange(20), np.arange(20) / 25, 0.8)
  parts = report.segments(
    plan, np.array([0] * 10 + [4] * 5 + [0] * 5), np.array([0] * 15 + [1] * 5)
  )
  assert [part.fades for part in parts] == [(False, True), (True, False), (False, False)]
  gains = make._gains(np.arange(10) / 25, (False, True))
  assert (gains[:6] == 1).all() and (np.diff(gains[6:]) < 0).all() and gains[-1] > 0


def test_stretching_meets_the_film_and_keeps_the_pitch(tmp_path, capsys):
  path = films.write(tmp_path / 'a.mp4', films.talk(50))
  tone = 0.4 * np.sin(2 * np.pi * 300 * np.arange(34_000) / 16_000)
  soundfile.write(tmp_path / 'voice.wav', tone, 16_000)
  painter = films.Painter()
  dubbing.dub(path, tmp_path / 'voice.wav', tmp_path / 'o.mp4', painter, stretch=True)
  assert len(painter.shots[0].waveform) / 16_000 == pytest.approx(2.0, abs=0.08)
  spectrum = np.abs(np.fft.rfft(read.audio(tmp_path / 'o.mp4')[4_000:20_000]))
  assert spectrum.argmax() == pytest.approx(300, abs=3)
  assert 'nobody seems to speak' in capsys.readouterr().err
  soundfile.write(tmp_path / 'voice.wav', np.tile(tone, 2), 16_000)
  dubbing.dub(path, tmp_path / 'voice.wav', tmp_path / 'p.mp4', painter, stretch=True)
  assert 'would have to be spoken 2.12 times as fast; --stretch goes to 1.12' in (
    capsys.readouterr().err)  # fmt: skip


def test_alignment_only_measures(tmp_path, voice):
  path = films.write(tmp_path / 'a.mp4', films.talk(25))
  told = dubbing.align(path, voice)
  assert (told.film, told.voice) == pytest.approx((1.0, 0.8), abs=0.01)
  assert 'is 0.20 s shorter than the film' in told.line() and '0.800 times as fast' in told.line()
  assert kept(tmp_path) == []


def test_background_needs_a_separator(tmp_path, voice, monkeypatch):
  hum = 0.1 * np.sin(np.arange(12_800) / 4)
  path = films.write(tmp_path / 'a.mp4', films.talk(20), waveforms=[hum])
  ask = lambda name: dubbing.dub(
    path, voice, tmp_path / name, films.Painter(), keep_background_audio=True
  )
  monkeypatch.setattr(background.importlib.metadata, 'entry_points', lambda group: [])
  with pytest.raises(InputError, match='none is installed'):
    ask('o.mp4')
  assert kept(tmp_path) == []
  fake = type('Entry', (), {'load': lambda self: lambda sound, rate: 0.5 * sound})
  monkeypatch.setattr(background.importlib.metadata, 'entry_points', lambda group: [fake()])
  ask('o.mp4')
  heard = read.audio(tmp_path / 'o.mp4')[:12_800] - soundfile.read(voice, dtype='float32')[0]
  assert np.corrcoef(heard[1000:12_000], hum[1000:12_000])[0, 1] > 0.8


@pytest.mark.parametrize(
  ('change', 'said'),
  [
    (dict(video='missing.mp4'), 'is not a file'),
    (dict(video='voice.wav'), 'has none'),
    (dict(audio='a.mp4'), 'has none'),
    (dict(output='o.avi'), r'named \*.mp4'),
    (dict(output='a.mp4', overwrite=True), 'is an input'),
    (dict(face=2), '--face 1 to 1'),
    (dict(who='nobody'), '--who left'),
    (dict(longer='forever'), '--longer hold'),
    (dict(generator=object()), 'a generator that dubs'),
    (dict(seed=0.5), 'whole number'),
  ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, voice, change, said):
  films.write(tmp_path / 'a.mp4', films.talk(6))
  given = dict(video='a.mp4', audio='voice.wav', output='o.mp4', generator=films.Painter())
  given |= change
  for name in ('video', 'audio', 'output'):
    given[name] = tmp_path / given[name]
  with pytest.raises(InputError, match=said) as raised:
    dubbing.dub(**given)
  assert '\n' not in str(raised.value)
  assert kept(tmp_path) == [] and (tmp_path / 'a.mp4').stat().st_size > 1000


def test_an_option_that_a_generator_has_not_is_named(tmp_path, voice):
  class Plain(films.Painter):
    def dub(self, shot, *, seed=0):
      yield from super().dub(shot, seed=seed)

  path = films.write(tmp_path / 'a.mp4', films.talk(6))
  with pytest.raises(InputError, match='options that painter has, got --steps'):
    dubbing.dub(path, voice, tmp_path / 'o.mp4', Plain(), steps=5)


@pytest.mark.parametrize('count', [3, 9])
def test_a_generator_that_fails_leaves_no_file(tmp_path, voice, count):
  class Failing(films.Painter):
    def dub(self, shot, **options):
      for number, painted in enumerate(super().dub(shot, **options)):
        if number == count // 7:
          raise InputError('expected more of me')
        yield painted

  path = films.write(tmp_path / 'a.mp4', films.talk(20))
  with pytest.raises(InputError, match='more of me'):
    dubbing.dub(path, voice, tmp_path / 'o.mp4', Failing())
  assert kept(tmp_path) == []


SLOW = """
import sys, time
from ifmdm_jax import dubbing, errors
from tests.dubbing import films
class Slow(films.Painter):
  def dub(self, shot, **options):
    for painted in super().dub(shot, **options):
      print('painting', flush=True)
      yield painted
      time.sleep(30)
errors.run(lambda _: dubbing.dub('a.mp4', 'voice.wav', 'o.mp4', Slow()))
"""


@pytest.mark.skipif(sys.platform == 'win32', reason='signals of POSIX')
def test_a_stopped_dub_leaves_no_file(tmp_path, voice):
  films.write(tmp_path / 'a.mp4', films.talk(20))
  work = subprocess.Popen(
    [sys.executable, '-c', SLOW], cwd=tmp_path, env={'PYTHONPATH': str(ROOT), 'PATH': ''},
    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
  )  # fmt: skip
  try:
    assert work.stdout.readline() == 'painting\n'
    time.sleep(0.2)
    work.send_signal(signal.SIGINT)
    _, said = work.communicate(timeout=60)
  finally:
    work.kill()
  assert work.returncode == 130 and 'Traceback' not in said
  assert kept(tmp_path) == []
