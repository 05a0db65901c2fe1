"""Clips of films with the body in them, and a run of each stage of the video model."""

import jax
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.configs import vlogger_video
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.vlogger import axes, body, clips
from ifmdm_jax.training import loop


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  place = tmp_path_factory.mktemp('clips') / 'set'
  return testing.write_cache(place, people=3, num_frames=70, noise=True)


@pytest.fixture(scope='module')
def source(folder):
  return clips.Clips(folder, 'train', 32, 4)


def test_a_clip_is_consecutive_frames_and_a_far_one_with_the_body_of_each(source):
  item = source.items[0]
  film, known = source.films[item], source.fit(item)
  stored = [frame.tobytes() for frame in source.films[item].frames[:]]
  assert known['motion'].shape == (70, len(axes.AXES)) and np.isfinite(known['motion']).all()
  big = clips.Clips(source.films.entries[0].folder, 'train', film.frames.side, 4)
  for seed in range(5):
    drawn = big.draw(item, np.random.default_rng(seed))
    numbers = [stored.index(frame.tobytes()) for frame in drawn['frames']]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    reference = stored.index(drawn['reference'].tobytes())
    away = max(numbers[0] - reference, reference - numbers[-1])
    assert away >= min(clips.FAR, max(numbers[0], 69 - numbers[-1]))
    np.testing.assert_array_equal(drawn['motion'], known['motion'][numbers])
    np.testing.assert_array_equal(drawn['at'], known['motion'][reference])


def test_the_body_is_fitted_once_and_kept_beside_the_set(source, folder, monkeypatch):
  first = source.fit(source.items[0])
  monkeypatch.setattr(clips.fit, 'fit', None)
  again = source.fit(source.items[0])
  np.testing.assert_array_equal(again['motion'], first['motion'])
  assert list((folder / clips.FOLDER).glob('*.npz'))


def test_a_batch_is_as_the_plans_say(folder):
  config = vlogger_video.get_config('tiny')
  config.data.cache = str(folder)
  batch = next(iter(clips.make_loader(config.data, batch=2, seed=0, split='train')))
  wanted = clips.example(16, 4, len(body.load().identity), 2)
  assert {name: (x.dtype, x.shape) for name, x in batch.items()} == {
    name: (np.dtype(dtype), shape) for name, (dtype, shape) in wanted.items()
  }


def test_a_loader_has_fitted_all_films_before_its_threads_begin(tmp_path, monkeypatch):
  place = testing.write_cache(tmp_path / 'set', people=3, num_frames=10, noise=True)
  config, known = vlogger_video.get_config('tiny'), clips.Clips(place, 'train', 16, 4)
  monkeypatch.setattr(clips.loader, 'endless', lambda source, **_: source)
  config.data.cache = str(place)
  source = clips.make_loader(config.data, batch=2, seed=0, split='train')
  monkeypatch.setattr(clips.fit, 'fit', None)  # two threads that fit wait for each other
  assert {source.fit(item)['motion'].shape for item in known.items} == {(10, len(axes.AXES))}


def test_films_that_are_too_short_are_one_line(folder):
  with pytest.raises(InputError, match='no film of split train with 99 frames'):
    clips.Clips(folder, 'train', 32, 99)


def test_each_stage_goes_on_from_the_one_before(folder, tmp_path):
  before = None
  for stage in ('base', 'pictures', 'clips'):
    config = vlogger_video.get_config('tiny')
    config.model.stage, config.data.cache = stage, str(folder)
    config.train.steps, config.train.pictures_every = 2, 2
    state = loop.train(config, tmp_path / stage, init_from=before, devices=jax.devices()[:1])
    assert int(state.step) == 2
    assert list((tmp_path / stage / 'pictures').rglob('*reference_target_made*'))
    before = tmp_path / stage
