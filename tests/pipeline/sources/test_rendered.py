import numpy as np
import pytest

from ifmdm_jax.configs import implicit as configs
from ifmdm_jax.face.points import eye_distance
from ifmdm_jax.pipeline.sources import rendered


@pytest.fixture(scope='module')
def config(drawn_set):
  config = configs.get_config('tiny').data
  config.update(cache=str(drawn_set), size=64)
  return config


def loader(config, **given):
  return rendered.make_loader(config, **{**dict(batch=4, seed=0, split='train'), **given})


def test_a_batch_has_a_pair_of_a_film_and_what_is_to_be_drawn(config):
  batch = next(loader(config))
  k = config.targets
  shapes = dict(
    source=(4, 64, 64, 3), source_points=(4, 468, 2), target=(4, k, 64, 64, 3),
    target_points=(4, k, 468, 2), seen=(4, k), picture=(4, 64, 64, 3), points=(4, 468, 2),
    moved=(4, 1 + k, 468, 2), gestures=(4, 1 + k, 4),
  )  # fmt: skip
  assert {name: values.shape for name, values in batch.items()} == shapes
  assert (batch['seen'] == 1).all()  # of films every target is known
  assert batch['picture'].dtype == np.uint8 and batch['moved'].dtype == np.float32


def test_half_of_the_first_frames_are_the_picture_itself_and_no_other_frame_is(config):
  batches = loader(config)
  moved = np.concatenate([next(batches)['moved'] for _ in range(100)])
  still = ~moved.any((2, 3))
  assert 0.45 < still[:, 0].mean() < 0.7
  assert still[:, 1:].mean() < 0.2  # a film that is at rest lends no motion


def test_motion_is_borrowed_in_the_size_of_the_face(config):
  batch = next(loader(config, batch=16))
  sizes = np.array([eye_distance(points) for points in batch['points']])
  far = np.abs(batch['moved']).max((1, 2, 3))
  assert far.max() > 0 and (far < 2 * sizes).all()


def test_lids_close_together_and_seldom():
  drawn = rendered.gestures(np.random.default_rng(0), 1000)
  np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
  assert ((drawn[:, :2] >= 0) & (drawn[:, :2] <= 1)).all()
  assert 0.25 < (drawn[:, 0] > 0).mean() < 0.35


def test_a_restored_loader_goes_on_where_it_was(config):
  running = loader(config)
  next(running)
  state, expected = running.get_state(), next(running)
  fresh = loader(config)
  fresh.set_state(state)
  found = next(fresh)
  for name, values in expected.items():
    np.testing.assert_array_equal(found[name], values)
