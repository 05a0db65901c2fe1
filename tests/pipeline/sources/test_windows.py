import ml_collections
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline.sources import windows


@pytest.fixture(scope='module')
def config(drawn_set):
  return ml_collections.ConfigDict(dict(cache=str(drawn_set), frames=9))


def test_a_window_is_hint_frames_and_their_features(config):
  batch = next(windows.make_loader(config, batch=2, seed=0, split='train'))
  assert batch['x'].shape == (2, 8, 20) and batch['y'].shape == (2, 16, 12)
  assert batch['hint'].shape == batch['mean'].shape == batch['std'].shape == (2, 1, 20)
  whole = np.concatenate([batch['hint'], batch['x']], axis=1)
  np.testing.assert_allclose(batch['mean'][:, 0], whole.mean(1), atol=1e-5)
  np.testing.assert_allclose(batch['std'][:, 0], whole.std(1, ddof=1), rtol=1e-4)


def test_features_belong_to_the_frames_they_come_with(config):
  source = windows.Windows(config.cache, 'train', config.frames)
  clip = source.clips[source.items[0]]
  window = source.draw(source.items[0], np.random.default_rng(3))
  start = np.flatnonzero((clip.codes == window['hint']).all(1))[0]
  np.testing.assert_array_equal(window['y'], clip.features[2 * start + 2 : 2 * start + 18])


def test_a_clip_shorter_than_a_window_is_masked(config):
  source = windows.Windows(config.cache, 'train', frames=31)
  window = source.draw(source.items[0], np.random.default_rng(0))
  assert window['x'].shape == (30, 20) and window['mask'].sum() == 19


def test_missing_codes_are_told_with_the_command_that_makes_them(tmp_path):
  with pytest.raises(InputError, match='--autoencoder'):
    windows.Windows(tmp_path, 'train', 9)


def test_the_reference_is_a_frame_of_the_same_clip_and_held_out_clips_keep_their_voice(config):
  source = windows.Windows(config.cache, 'val', config.frames)
  clip = source.clips[0]
  for seed in range(20):
    window = source.draw(0, np.random.default_rng(seed))
    assert (clip.codes == window['reference']).all(1).any()
    assert not window['quiet'].any()


def test_in_training_every_so_often_another_sound_is_heard_and_lips_rest_where_it_says(config):
  source = windows.Windows(config.cache, 'train', config.frames, augment=True)
  found = [source.draw(0, np.random.default_rng(seed))['quiet'] for seed in range(60)]
  assert all(quiet.shape == (config.frames,) for quiet in found)
  assert 10 < sum(quiet.any() for quiet in found) < 45


def test_some_windows_of_training_are_as_short_as_those_of_a_live_voice(drawn_set, monkeypatch):
  monkeypatch.setattr(windows, 'SHORTEST', 6)
  source = windows.Windows(drawn_set, 'train', frames=13, augment=True)
  real = [source.draw(0, np.random.default_rng(seed))['mask'].sum() for seed in range(60)]
  assert 5 <= min(real) < 11 and sum(count == 12 for count in real) > 20
