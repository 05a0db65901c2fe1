"""VLOGGER as a system: a voice moves a portrait; bundles, options, bad input."""

import dataclasses

import jax
import ml_collections
import numpy as np
import pytest

from ifmdm_jax import bundle, testing
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.face import points
from ifmdm_jax.generator import Compiles, Draws, Dubs, Redraws, Reenacts
from ifmdm_jax.pipeline.face_motion import NAMES
from ifmdm_jax.shot import Painted
from ifmdm_jax.systems.vlogger import generate, sampler, translate, video_model
from ifmdm_jax.systems.vlogger.sizes import SIZES
from tests.systems.vlogger.test_edit import clip as filmed
from tests.systems.vlogger.test_performance import SIDE, network, pictures  # noqa: F401

SECONDS = 1.2


class Renderer:
  """Draws nothing, and remembers the places."""

  name, size = 'remembers', SIDE

  def redraw(self, shot, landmarks):
    self.landmarks = landmarks
    yield Painted(np.zeros((len(shot), 8, 8, 3), np.uint8), np.zeros((len(shot), 8, 8)))

  def draw(self, image, places, *, painted=True):
    self.painted, self.landmarks = painted, []
    for each in places:
      self.landmarks.append(each.landmarks)
      yield np.repeat(image[None], len(each.landmarks), axis=0)


@pytest.fixture(scope='module')
def made(network):  # noqa: F811
  """A sampler with random motion, and what draws for it."""
  found = generate.fresh('tiny')
  found._network, found._renderer = network, Renderer()
  return found


@pytest.fixture(scope='module')
def clip():
  rng = np.random.default_rng(0)
  voice = rng.normal(0, 0.1, round(16_000 * SECONDS)).astype(np.float32)
  return Clip(image=pictures(1)[0], waveform=voice, rate=16_000)


def track(made, clip, **options):
  frames = np.concatenate(list(made.generate(clip, **options)))
  assert frames.shape == (round(25 * SECONDS), SIDE, SIDE, 3)
  return np.concatenate(made._renderer.landmarks)


def test_it_is_a_generator_that_films_can_drive(made):
  assert isinstance(made, Reenacts) and isinstance(made, Compiles)
  assert isinstance(made, Dubs)
  assert isinstance(made._renderer, Draws) and isinstance(made._renderer, Redraws)


def test_one_seed_is_one_performance_and_takes_differ(made, clip):
  first, again, other = (track(made, clip, seed=seed) for seed in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  assert np.abs(first - other).max() > 1e-3


def test_names_are_held_and_scaled(made, clip):
  still = track(made, clip, scale={'head': 0, 'mouth': 0, 'brows': 0, 'eyes': 0, 'gaze': 0})
  free = track(made, clip)
  nose = lambda landmarks: np.ptp(landmarks[:, points.NOSE_TIP], axis=0).max()
  assert nose(still[:, :]) < 0.01 * nose(free) + 1e-3
  shut = track(made, clip, pin={'mouth': 0, 'jawOpen': 0})
  assert np.ptp(points.mouth_opening(shut)) < 0.5 * np.ptp(points.mouth_opening(free))


def test_stages_are_told_apart(made, clip):
  track(made, clip, stage='warp')
  assert not made._renderer.painted
  track(made, clip, stage='paint')
  assert made._renderer.painted
  shown = next(iter(made.generate(clip, stage='controls')))
  assert shown.shape == (1, sampler.SHOWN, 4 * sampler.SHOWN, 3) and shown.dtype == np.uint8


def test_weights_of_the_video_model_draw_all_or_what_the_photo_does_not_know(made, clip, video):
  found = generate.load(bundle.Bundle('vlogger', {'video': video}, name='drawn'))
  found._network, found._renderer, found._model = made._network, made._renderer, made._model
  found._audio, found._samplers = made._audio, made._samplers
  assert found.stage == 'diffusion' and found.name == 'drawn'
  still = dict(scale={'head': 0})
  frames = {
    stage: np.concatenate(list(found.generate(clip, stage=stage, **still)))
    for stage in ('paint', 'fill', 'diffusion')
  }
  assert {each.shape for each in frames.values()} == {(round(25 * SECONDS), SIDE, SIDE, 3)}
  np.testing.assert_array_equal(
    frames['diffusion'], np.concatenate(list(found.generate(clip, **still)))
  )
  away = {stage: (each != frames['paint']).any(-1).mean() for stage, each in frames.items()}
  assert away['fill'] < 0.3 and away['diffusion'] > 0.9
  driven = np.concatenate(list(found.reenact(Clip(image=clip.image, frames=np.stack(pictures(3))))))
  assert driven.shape == (3, SIDE, SIDE, 3)
  assert len(found.compile_ahead(stage='fill')) == 4


def test_a_run_of_the_video_model_draws_by_itself_or_as_a_part(video, tmp_path, monkeypatch):
  config = ml_collections.ConfigDict({'model': {'module': generate.VIDEO, **video.settings}})
  config.model.stage = 'clips'
  config.model.unlock()
  found = generate.load_run(tmp_path / 'clips', config, video.params)
  assert (found.stage, found.name) == ('diffusion', 'clips')
  monkeypatch.setattr('ifmdm_jax.training.checkpoints.load', lambda path: (config, video.params))
  packed = generate.pack({'video': tmp_path / 'clips'})
  assert set(packed.parts) == {'video'}
  bundle.save(tmp_path / 'drawn', packed)
  assert bundle.load(tmp_path / 'drawn').stage == 'diffusion'
  with pytest.raises(InputError, match='expected --parts of motion, video, video_2'):
    generate.pack({'video_2': tmp_path / 'clips'})
  config.model.stage = 'base'
  with pytest.raises(InputError, match='knows no controls: go on with'):
    generate.load_run(tmp_path / 'base', config, video.params)


@pytest.fixture(scope='module')
def video():
  """A part with random weights."""
  config = ml_collections.ConfigDict(SIZES['tiny'])
  shapes = jax.eval_shape(lambda key: video_model.init(key, config), jax.random.key(0))
  settings = {**SIZES['tiny'], 'steps': '2'}
  settings.pop('frozen')
  return bundle.Part(settings, testing.random_params(shapes, scale=0.05))


@pytest.mark.parametrize(
  'options, message',
  [
    (dict(stage='fill'), 'got .fill.: it takes weights of a video model'),
    (dict(head=0.5), 'got head: leave it out'),
    (dict(pin={'jawopen': 0}), 'did you mean jawOpen'),
    (dict(scale={'neck': 0}), 'expected the name of a face unit'),
    (dict(stage='all'), 'expected stage to be one of'),
    (dict(gaze='away'), 'expected gaze to be one of'),
  ],
)
def test_what_cannot_be_is_one_line(made, clip, options, message):
  with pytest.raises(InputError, match=message):
    list(made.generate(clip, **options))


def test_a_film_of_the_person_drives(made):
  frames = np.stack(pictures(4))
  drawn = np.concatenate(list(made.reenact(Clip(image=frames[0], frames=frames), own=True)))
  assert drawn.shape == frames.shape
  clip = Clip(image=frames[0], frames=frames)
  shown = np.concatenate(list(made.reenact(clip, stage='controls')))
  assert shown.shape == (4, sampler.SHOWN, 4 * sampler.SHOWN, 3)


def test_the_bundled_weights_load_by_the_name_of_their_system():
  folder = bundle.chosen(None, 'vlogger')
  made = bundle.load(folder)
  assert made.name == 'vlogger' and made.sources == (bundle.BUNDLED,)
  assert bundle.read(folder).licence == 'Apache 2.0'


def test_a_bundle_that_is_not_whole_is_one_line(video):
  whole = bundle.read(bundle.chosen(None, 'vlogger'))
  part = whole.parts['motion']
  other = lambda **settings: bundle.Part({**part.settings, **settings}, part.params)
  for parts, message in (
    ({'motion': part}, 'expected a bundle with motion and statistics'),
    ({**whole.parts, 'motion': other(depth=0)}, 'depth'),
    ({**whole.parts, 'motion': other(audio='/etc')}, '/etc'),
    ({'video_2': part}, 'in order'),
    ({'video': bundle.Part({**video.settings, 'masks': 3}, {})}, '12 masks'),
    ({'video': bundle.Part({**video.settings, 'prediction': 'y'}, {})}, 'prediction is'),
    ({'video': bundle.Part({**video.settings, 'steps': 'all'}, {})}, 'spacing is'),
    ({'video': bundle.Part({**video.settings, 'low': 8}, {})}, 'give all of them'),
  ):
    with pytest.raises(InputError, match=message):
      generate.load(bundle.Bundle('vlogger', parts, name='broken'))


def test_a_film_says_something_else_and_keeps_head_and_eyes(made, clip):
  shot = dataclasses.replace(filmed(), waveform=clip.waveform)
  (painted,) = made.dub(shot, seed=1)
  assert len(painted.frames) == len(shot)
  target, own = made._renderer.landmarks, shot.landmarks[..., :2]
  away = np.linalg.norm(target - own, axis=-1) / points.eye_distance(own)[:, None]
  for still in (points.RIGID, points.EYES, points.BROWS):
    assert away[:, still].max() < 0.05
  assert away[:, points.LIPS].max() > 0.1
  again = list(made.dub(shot, seed=1))
  np.testing.assert_array_equal(made._renderer.landmarks, target)
  assert len(again) == 1


def test_lips_of_a_film_go_as_the_motion_says(made):
  shot = filmed(closed=slice(0, 0))
  motion = np.zeros((50, len(NAMES)))
  motion[25:, NAMES.index('jawOpen')] = 0.6
  target = translate.moved(shot, motion)
  opening = points.mouth_opening(target)
  assert np.ptp(opening[:20]) < 0.02 and opening[30:].min() > opening[:20].max() + 0.1
  voice = translate.voice(dataclasses.replace(shot, waveform=np.ones(9, np.float32)), 16_000)
  assert len(voice) == 2 * 16_000 and voice.sum() == 9
