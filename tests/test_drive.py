"""A film that drives a face: what is read of it, and the command around any generator."""

import pathlib
import types

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

import ifmdm_jax
from ifmdm_jax import drive, files, track
from ifmdm_jax import sample as cli
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import resized
from ifmdm_jax.systems.vlogger import body, flame
from ifmdm_jax.video import image, read, write

FIXTURES = pathlib.Path(__file__).parents[1] / 'data' / 'fixtures'
PORTRAIT, SPEECH = FIXTURES / 'portrait.jpg', FIXTURES / 'speech.wav'
GONE = (0, 1, 4)  # frames of the film without a face
COUNT = 7


@pytest.fixture(scope='module')
def film(tmp_path_factory):
  """A face that moves to the right, with a sound."""
  path = tmp_path_factory.mktemp('film') / 'driver.mp4'
  small = resized(image.read_image(PORTRAIT), 320)
  frames = [np.roll(small, 4 * k, axis=1) for k in range(COUNT)]
  frames = [np.zeros_like(small) if k in GONE else each for k, each in enumerate(frames)]
  tone = 0.3 * np.sin(np.arange(COUNT * 640) / 10)
  write(path, frames, tone.astype(np.float32))
  return path


class Reenactor:
  """Repeats the squares of the film; remembers what it was asked."""

  name, needs, size, fps = 'mirror', frozenset({'image', 'voice'}), 512, 25

  def reenact(self, clip, *, own=True, retarget=None, stage=None):
    self.clip, self.own, self.retarget, self.stage = clip, own, retarget, stage
    for frame in clip.frames:
      yield frame[None]


class Actor:
  """Shows how far the jaw opens as brightness."""

  name, needs, size, fps = 'actor', frozenset({'image', 'voice'}), 64, 25

  def enact(self, image, played):
    self.image = image
    jaw = played.units[:, track.UNITS.index('jawOpen')]
    for level in np.uint8(255 * jaw):
      yield np.full((1, self.size, self.size, 3), level, np.uint8)


@pytest.fixture
def actor(monkeypatch):
  made = Actor()
  monkeypatch.setattr(ifmdm_jax, 'load', lambda checkpoint=None, **_: made, raising=False)
  return made


@pytest.fixture
def units(tmp_path):
  """A track of half a second in which the jaw opens."""
  path = tmp_path / 'track.csv'
  path.write_text('time,jawOpen\n0,0\n0.48,0.96\n')
  return path


@pytest.fixture
def mirror(monkeypatch):
  made = Reenactor()

  def load(checkpoint=None, drawn_by=None):
    made.drawn_by = drawn_by
    return made

  monkeypatch.setattr(ifmdm_jax, 'load', load, raising=False)
  return made


def run(**given):
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(['sample'])
  given = {name: str(value) if name in PATHS else value for name, value in given.items()}
  # Other commands have flags of the same names, and defaults of their own.
  fresh = dict.fromkeys(PATHS)
  with flagsaver.flagsaver(compile_cache='none', **fresh), flagsaver.as_parsed(
    **{name: str(value) for name, value in given.items()}
  ):  # fmt: skip
    cli.main([])


PATHS = ('image', 'audio', 'drive', 'output', 'checkpoint', 'flame')


def test_a_track_drives_a_portrait_and_a_voice_is_its_sound(units, actor, tmp_path):
  run(drive=units, audio=SPEECH, image=PORTRAIT, output=tmp_path / 'o.mp4')
  frames = read.read_frames(tmp_path / 'o.mp4')
  assert actor.image.shape == (512, 512, 3)
  assert frames[:, 0, 0, 0].astype(int) == pytest.approx(np.linspace(0, 245, 13), abs=12)
  assert np.abs(read.audio(tmp_path / 'o.mp4')).max() > 0.1
  run(drive=units, image=PORTRAIT, output=tmp_path / 'fast.mp4', drive_fps=25)
  assert len(read.read_frames(tmp_path / 'fast.mp4')) == 2


def test_numbers_of_flame_drive_as_a_track_does(actor, tmp_path):
  """Of a model with one expression, which is the jaw's."""
  model = body.at_points(body.load())
  jaw = model.units[track.UNITS.index('jawOpen'), :468]
  face = flame.Flame(model.template[:468], jaw[None], np.zeros(468), np.zeros(3))
  arrays = {name: np.float32(value) for name, value in face._asdict().items()}
  files.write_arrays(tmp_path / 'flame' / files.IMPORTED, arrays)
  np.savez(tmp_path / 'track.npz', expr=np.linspace(0, 0.9, 10)[:, None], fps=25)
  run(drive=tmp_path / 'track.npz', flame=tmp_path / 'flame', image=PORTRAIT,
      output=tmp_path / 'o.mp4')  # fmt: skip
  frames = read.read_frames(tmp_path / 'o.mp4')
  assert frames[:, 0, 0, 0].astype(int) == pytest.approx(np.linspace(0, 230, 10), abs=20)


def test_what_suits_no_track_is_refused(units, actor, film, tmp_path, monkeypatch):
  output = tmp_path / 'o.mp4'
  for given, said in (
    (dict(drive=units), 'got no --image'),
    (dict(drive=units, image=PORTRAIT, text='hello'), 'got --text and --drive'),
    (dict(drive=units, image=PORTRAIT, retarget='none'), '--retarget without a track'),
    (dict(drive=units, image=PORTRAIT, steps=3), '--steps without a track'),
    (dict(drive=units, image=PORTRAIT, track=2), '--track without a track'),
    (dict(drive=units, image=PORTRAIT, flame=tmp_path), 'arrays in|not a file|is not a file'),
    (dict(drive=film, image=PORTRAIT, drive_fps=60), '--drive_fps with a track'),
    (dict(audio=SPEECH, image=PORTRAIT, drive_fps=60), 'expected --drive_fps with --drive'),
  ):  # fmt: skip
    with pytest.raises(InputError, match=said):
      run(output=output, **given)
  with pytest.raises(InputError, match='has when a track drives it, got --stage'):
    run(drive=units, image=PORTRAIT, output=output, stage='warp')
  monkeypatch.setattr(ifmdm_jax, 'load', lambda checkpoint=None: Reenactor())
  with pytest.raises(InputError, match='mirror cannot be: pass --system vlogger'):
    run(drive=units, image=PORTRAIT, output=output)
  assert not output.exists()


def test_frames_without_a_face_are_those_before_and_said(film, capsys):
  squares = drive.Film(film)
  assert '3 of 7 frames' in capsys.readouterr().err
  frames = list(squares)
  assert len(squares) == len(frames) == COUNT and squares.landmarks.shape == (COUNT, 468, 2)
  assert np.isfinite(squares.landmarks).all()
  for frame, shown in ((0, 2), (1, 2), (4, 3)):
    np.testing.assert_array_equal(frames[frame], frames[shown])
    np.testing.assert_array_equal(squares.landmarks[frame], squares.landmarks[shown])
  assert (frames[2] != frames[3]).any() and frames[2].mean() > 20
  np.testing.assert_array_equal(squares[5], frames[5])
  np.testing.assert_array_equal(squares[-3:], frames[4:])


def test_landmarks_are_those_of_the_squares(film):
  squares = drive.Film(film)
  found = drive.FaceLandmarker().track([squares[6]])[0]
  assert np.abs(found - squares.landmarks[6]).mean() < 5  # of 512 pixels; read at 320


def test_a_film_drives_a_portrait_and_keeps_its_sound(film, mirror, tmp_path):
  run(drive=film, image=PORTRAIT, output=tmp_path / 'o.mp4')
  assert mirror.clip.image.shape == (512, 512, 3) and not mirror.own and mirror.retarget is None
  assert len(read.read_frames(tmp_path / 'o.mp4')) == COUNT
  assert np.abs(read.audio(tmp_path / 'o.mp4')).max() > 0.1
  run(drive=film, image=PORTRAIT, output=tmp_path / 'p.mp4', same_person=True,
      retarget='mean_shape')  # fmt: skip
  assert mirror.own and mirror.retarget == 'mean_shape'


def test_weights_that_know_a_person_need_no_picture(film, mirror, tmp_path):
  mirror.needs = frozenset({'voice'})
  run(drive=film, checkpoint=tmp_path, output=tmp_path / 'o.mp4')
  assert mirror.clip.image is None and len(read.read_frames(tmp_path / 'o.mp4')) == COUNT


def test_how_and_by_what_it_is_drawn_may_be_said_of_a_driven_face_too(film, mirror, tmp_path):
  run(drive=film, image=PORTRAIT, output=tmp_path / 'o.mp4', system='vlogger', stage='warp',
      drawn_by=tmp_path)  # fmt: skip
  assert (mirror.stage, mirror.drawn_by) == ('warp', str(tmp_path))


def test_a_film_without_sound_drives_too(film, mirror, tmp_path):
  write(tmp_path / 'mute.mp4', read.read_frames(film))
  result = drive.make(tmp_path / 'mute.mp4', tmp_path / 'o.mp4', PORTRAIT)
  assert result.frames == COUNT


def test_bad_input_is_one_line_and_leaves_nothing(film, mirror, tmp_path, monkeypatch):
  output, empty = tmp_path / 'o.mp4', tmp_path / 'empty.mp4'
  write(empty, np.zeros((3, 64, 64, 3), np.uint8))
  for given, said in (
    (dict(drive=film, audio=SPEECH, image=PORTRAIT), 'got --audio and --drive'),
    (dict(drive=film), 'got no --image'),
    (dict(drive=film, checkpoint=tmp_path), 'mirror knows nobody'),
    (dict(drive=film, checkpoint=tmp_path, paste_back=True), '--image with --paste_back'),
    (dict(drive=film, image=PORTRAIT, steps=3), 'expected --steps with --audio'),
    (dict(audio=SPEECH, image=PORTRAIT, retarget='none'), 'expected --retarget with --drive'),
    (dict(drive=tmp_path / 'none.mp4', image=PORTRAIT), 'is not a file'),
    (dict(drive=SPEECH, image=PORTRAIT), 'expected a file with pictures'),
    (dict(drive=empty, image=PORTRAIT), 'empty.mp4 shows none'),
    (dict(drive=film, image=PORTRAIT, checkpoint=tmp_path / 'no'), 'does not exist'),
  ):  # fmt: skip
    with pytest.raises(InputError, match=said):
      run(output=output, **given)
  monkeypatch.setattr(Reenactor, 'reenact', lambda self, clip, *, own=True: iter(()))
  with pytest.raises(InputError, match='mirror has when a film drives it, got --retarget'):
    run(drive=film, image=PORTRAIT, output=output, retarget='none')
  talks = types.SimpleNamespace(name='mirror', needs={'image', 'voice'})
  monkeypatch.setattr(ifmdm_jax, 'load', lambda checkpoint=None: talks)
  with pytest.raises(InputError, match='weights that a film can drive, mirror cannot be'):
    run(drive=film, image=PORTRAIT, output=output)
  assert [path.name for path in tmp_path.iterdir()] == ['empty.mp4']
