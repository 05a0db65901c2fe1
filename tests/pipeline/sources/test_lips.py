import json

import numpy as np
import pytest

from ifmdm_jax.configs import sync_network as configs
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import write
from ifmdm_jax.pipeline.sources import lips


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  """Two clips whose every feature, point and pixel tells its frame."""
  folder, examples = tmp_path_factory.mktemp('set'), {}
  for name, split, count in (('a', 'train', 40), ('b', 'val', 34)):
    time = np.arange(count)
    arrays = dict(
      lips=np.broadcast_to(time[:, None, None], (count, 60, 60)).astype(np.uint8),
      points=np.broadcast_to(time[:, None, None], (count, 40, 2)).astype(np.float32),
      whisper_tiny=np.tile(np.repeat(time, 2)[:, None], 384).astype(np.float16),
      mfcc=np.tile(np.repeat(time, 4)[:, None], 13).astype(np.float16),
    )
    about = dict(name=name, person=name, split=split, licence='', count=count)
    stored = {k: v.tobytes() for k, v in arrays.items()}
    examples[split] = [(name, dict(stored, about=json.dumps(about)))]
  write.write('LipCrops', folder / 'lips', examples)
  config = configs.get_config('tiny').data
  config.cache = str(folder)
  return config


def batch(config, **kwargs):
  return next(lips.make_loader(config, **{**dict(batch=3, seed=0, split='val'), **kwargs}))


def test_voice_begins_fifteen_frames_before_the_lips(config):
  found = batch(config)
  assert found['lips'].shape == (3, 28, 48, 48) and found['features'].shape == (3, 116, 384)
  first = found['lips'][:, 0, 0, 0].astype(int)
  for row, start in zip(found['features'], first):
    times, frames = row[::2, 0], np.arange(start - 15, start + 43)
    inside = (frames >= 0) & (frames < 34)
    np.testing.assert_array_equal(times[inside], frames[inside])
    assert not times[~inside].any()


def test_valid_tells_which_windows_of_voice_the_clip_holds(config):
  found = batch(config)
  first = found['lips'][:, 0, 0, 0].astype(int)
  for row, start in zip(found['valid'], first):
    begins = start - 15 + np.arange(54)
    np.testing.assert_array_equal(row, (begins >= 0) & (begins + 5 <= 34))


def test_points_are_those_of_the_middle_frame(config):
  found = batch(config)
  middle = found['lips'][:, 2:-2, 0, 0].astype(float)
  edge = 6  # pixels cut from the stored crop
  np.testing.assert_allclose(found['points'][..., 0] * lips.POINT_UNIT + edge, middle)


def test_training_moves_pictures_and_validation_does_not(config):
  assert np.ptp(batch(config)['lips'], axis=(2, 3)).max() == 0
  one, two = (batch(config, split='train', seed=seed) for seed in (0, 1))
  assert (one['lips'] != two['lips']).any()
  again = batch(config, split='train', seed=0)
  np.testing.assert_array_equal(one['lips'], again['lips'])


def test_mirrored_points_keep_their_names():
  """The left corner of the mouth becomes the right one."""
  points = np.random.default_rng(0).uniform(0, 47, (2, 40, 2))
  flipped = lips.mirror(points)
  np.testing.assert_allclose(flipped[:, 0, 0], 47 - points[:, 10, 0])  # corners of the outer ring
  np.testing.assert_allclose(flipped[:, 5], points[:, 5] * (-1, 1) + (47, 0))  # below the middle
  np.testing.assert_allclose(lips.mirror(flipped), points)


def test_a_missing_folder_is_told_with_the_command_that_makes_it(config, tmp_path):
  config = config.copy_and_resolve_references()
  config.cache = str(tmp_path)
  with pytest.raises(InputError, match='--lips'):
    batch(config)
