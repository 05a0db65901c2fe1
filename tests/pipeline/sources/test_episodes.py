import cv2
import ml_collections
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import resized
from ifmdm_jax.face.points import LEFT_LIDS, RIGHT_LIDS
from ifmdm_jax.pipeline import records
from ifmdm_jax.pipeline.sources import episodes


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Three faces of 40 frames, stored without loss, one of them held out."""
  place = tmp_path_factory.mktemp('episodes') / 'set'
  return testing.write_cache(place, people=3, num_frames=40, noise=True)


def config(folder, **changes):
  settings = dict(cache=str(folder), size=32, shots=3, augment=False, licence='', videos=2)
  return ml_collections.ConfigDict({**settings, **changes})


def test_a_batch_has_shots_a_target_and_their_landmarks(folder):
  batch = next(episodes.make_loader(config(folder), batch=4, seed=0, split='train'))
  assert batch['shots'].shape == (4, 3, 32, 32, 3) and batch['shots'].dtype == np.uint8
  assert batch['target'].shape == (4, 32, 32, 3) and batch['target'].dtype == np.uint8
  assert batch['shot_points'].shape == (4, 3, 468, 2)
  assert batch['target_points'].shape == (4, 468, 2)
  assert set(batch['video']) <= {0, 1}


def test_frames_are_the_records_own_and_never_the_target_again(folder):
  source = episodes.Episodes(folder, 'train', 32, 3)
  stored = records.clips(folder, 'train', sound=False)[1]
  small = [resized(frame, 32).tobytes() for frame in stored.frames[:]]
  for seed in range(10):
    example = source.draw(1, np.random.default_rng(seed))
    numbers = [small.index(each.tobytes()) for each in (example['target'], *example['shots'])]
    assert len(set(numbers)) == 4
    points = stored.landmarks[numbers] / stored.frames.side
    np.testing.assert_allclose(example['target_points'], points[0], atol=1e-6)
    np.testing.assert_allclose(example['shot_points'], points[1:], atol=1e-6)


def test_a_clip_that_is_too_short_repeats_frames(folder):
  source = episodes.Episodes(folder, 'train', 32, 3)
  chosen = source.frames(2, np.random.default_rng(0))
  assert chosen.shape == (4,) and set(chosen) <= {0, 1}


def test_an_episode_is_moved_as_a_whole_and_its_landmarks_with_it(tmp_path):
  testing.write_cache(tmp_path / 'set', people=2, num_frames=40)
  source = episodes.Episodes(tmp_path / 'set', 'train', 64, 2, augment=True)
  for seed in range(6):
    example = source.draw(0, np.random.default_rng(seed))
    pictures = [example['target'], *example['shots']]
    tracks = [example['target_points'], *example['shot_points']]
    left = [points[LEFT_LIDS.outer, 0] < points[RIGHT_LIDS.outer, 0] for points in tracks]
    assert all(left)  # also where the picture is mirrored
    for picture, points in zip(pictures, tracks):
      grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
      for eye in (LEFT_LIDS.outer, RIGHT_LIDS.outer):
        x, y = np.floor(64 * points[eye]).astype(int)
        assert grey[y, x] < 70  # eyes are drawn dark on a light skin


def test_people_who_are_held_out_have_no_number(folder):
  batch = next(episodes.make_loader(config(folder), batch=2, seed=0, split='val'))
  assert (batch['video'] == episodes.UNKNOWN).all()


@pytest.mark.parametrize(
  'changes, message',
  [
    (dict(videos=1), '2 clips to train on, expected at most 1: raise data.videos'),
    (dict(shots=0), 'data.shots is 0'),
    (dict(licence='^mine$'), 'no clip of split train with a licence'),
  ],
)
def test_what_cannot_be_is_reported(folder, changes, message):
  with pytest.raises(InputError, match=message):
    episodes.make_loader(config(folder, **changes), batch=2, seed=0, split='train')
