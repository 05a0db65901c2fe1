import cv2
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.configs import autoencoder as configs
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline.sources import pairs


@pytest.fixture(scope='module')
def config(drawn_set):
  config = configs.get_config('tiny').data
  config.cache = str(drawn_set)
  return config


def loader(config, **kwargs):
  return pairs.make_loader(config, **{**dict(batch=2, seed=0, split='train'), **kwargs})


def test_batches_have_one_source_and_its_targets(config):
  batch = next(loader(config))
  assert batch['source'].shape == (2, 64, 64, 3) and batch['source'].dtype == np.uint8
  assert batch['target'].shape == (2, 3, 64, 64, 3)
  assert batch['target_points'].shape == (2, 3, 468, 2)
  assert batch['seen'].shape == (2, 3)
  assert set(batch) == {'source', 'source_points', 'target', 'target_points', 'seen'}


def test_targets_stay_within_the_gap(config):
  source = pairs.Pairs(config.cache, 'train', targets=3, augment=False, gap=2)
  track = source.clips[0].landmarks / source.clips[0].frames.side
  example = source.draw(('clip', 0), np.random.default_rng(0))
  number = lambda points: int(np.abs(track - points).sum((1, 2)).argmin())
  start = number(example['source_points'])
  assert all(abs(number(p) - start) <= 2 for p in example['target_points'])


def test_a_split_without_a_clip_says_so(config):
  with pytest.raises(InputError, match='no clip of split train'):
    pairs.Pairs(config.cache, 'train', licence='of nobody')


def test_same_seed_same_batches_and_another_seed_others(config):
  first, again, other = (next(loader(config, seed=s)) for s in (0, 0, 1))
  np.testing.assert_array_equal(first['target'], again['target'])
  assert (first['target'] != other['target']).any()


def test_a_restored_loader_goes_on_where_it_was(config):
  running = loader(config)
  next(running)
  state = running.get_state()
  expected = next(running)
  fresh = loader(config)
  fresh.set_state(state)
  np.testing.assert_array_equal(next(fresh)['source'], expected['source'])


def test_landmarks_follow_the_picture_through_every_augmentation():
  rng = np.random.default_rng(0)
  picture = np.zeros((64, 64, 3), np.uint8)
  point = np.array([[0.4, 0.6]], np.float32)
  cv2.circle(picture, (int(0.4 * 64), int(0.6 * 64)), 2, (255, 255, 255), -1)
  for _ in range(10):
    matrix = pairs.flip(pairs.affine(rng, **pairs.AUGMENT))
    moved = pairs.move_picture(picture, matrix)[..., 0].astype(float)
    rows, columns = np.mgrid[:64, :64]
    found = np.array([(columns * moved).sum(), (rows * moved).sum()]) / moved.sum()
    expected = pairs.move_points(point, matrix)[0] * 64
    np.testing.assert_allclose(found, expected - 0.1, atol=0.7)  # within a pixel


def test_a_mirrored_face_still_has_its_left_eye_on_the_left(config, monkeypatch):
  flip, flips = pairs.flip, []
  monkeypatch.setattr(pairs, 'flip', lambda matrix: flips.append(matrix) or flip(matrix))
  source = pairs.Pairs(config.cache, 'train', targets=1, stills=0)
  for seed in range(8):
    example = source.draw(('clip', 0), np.random.default_rng(seed))
    for points in (example['source_points'], example['target_points'][0]):
      assert points[33, 0] < points[263, 0]
  assert 0 < len(flips) < 8


@pytest.fixture(scope='module')
def matted(tmp_path_factory):
  """Frames of noise, with mattes of the left half."""
  left = np.zeros((256, 256), np.uint8)
  left[:, :128] = 255
  folder = tmp_path_factory.mktemp('matted') / 'cache'
  return testing.write_cache(folder, people=2, num_frames=10, matte=left, noise=True)


def test_source_and_targets_lose_the_same_background_and_keep_the_person(matted):
  sharp, blurred = (
    pairs.Pairs(matted, 'train', targets=2, stills=0, augment=False, blur=b) for b in (1e-9, 1.0)
  )
  before, after = (p.draw(('clip', 0), np.random.default_rng(3)) for p in (sharp, blurred))
  np.testing.assert_array_equal(before['source_points'], after['source_points'])
  for was, now in zip(
    [before['source'], *before['target']], [after['source'], *after['target']], strict=True
  ):
    np.testing.assert_array_equal(was[:, :32], now[:, :32])  # the person
    # 3 taps of sigma 0.44 leave 0.877 of the deviation of noise along each axis.
    assert abs(now[:, 33:].std() / was[:, 33:].std() - 0.877**2) < 0.03


def test_without_blur_nothing_changes_and_no_mattes_are_needed(config):
  assert 'blur' in config and not config.blur
  config = config.copy_and_resolve_references()
  config.blur = 0.5
  with pytest.raises(InputError, match='--matte'):
    loader(config)


def test_a_missing_cache_is_told_with_the_command_that_makes_it(config, tmp_path):
  config = config.copy_and_resolve_references()
  config.cache = str(tmp_path)
  with pytest.raises(InputError, match='ifmdm_jax.prepare'):
    loader(config)
