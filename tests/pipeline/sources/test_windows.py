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
