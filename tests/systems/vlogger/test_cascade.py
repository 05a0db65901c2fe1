"""The video model at work: stages that follow each other, films of which only holes are drawn."""

import cv2
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.vlogger import axes, body, cascade, fit, video, video_model
from ifmdm_jax.systems.vlogger.sizes import SIZES

SIDE, FRAMES = 64, 7


def stage(size, scale=0.05):
  config = ml_collections.ConfigDict({**SIZES[size], 'steps': '3'})
  shapes = jax.eval_shape(lambda key: video.init(key, config), jax.random.key(0))
  return config, testing.random_params(shapes, scale=scale)


@pytest.fixture(scope='module')
def small():
  return cascade.Cascade([stage('tiny')])


@pytest.fixture(scope='module')
def found():
  """A body that the middle of a picture shows."""
  identity = np.zeros(len(body.load().identity), np.float32)
  return fit.Fit(identity, 2.7 * SIDE, body.standing(9.0)[None], np.zeros(1), (SIDE, SIDE))


@pytest.fixture(scope='module')
def picture():
  return np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope='module')
def moved():
  """It turns, and opens its mouth."""
  motion = np.repeat(body.standing(9.0)[None], FRAMES, axis=0)
  motion[:, axes.INDEX['headYaw']] = np.linspace(0, 0.5, FRAMES)
  motion[:, axes.INDEX['jawOpen']] = np.linspace(0, 1, FRAMES)
  return motion


def test_frames_come_as_windows_are_drawn_and_a_seed_is_one_video(small, found, picture, moved):
  draw = lambda seed: list(small.draw(found, picture, moved, seed=seed))
  blocks = draw(0)
  assert [len(block) for block in blocks] == [4, 2, 1]  # half of four overlap
  frames = np.concatenate(blocks)
  assert frames.shape == (FRAMES, 16, 16, 3) and frames.dtype == np.uint8 and frames.std() > 5
  np.testing.assert_array_equal(np.concatenate(draw(0)), frames)
  assert (np.concatenate(draw(1)) != frames).any()


def test_a_stage_enlarges_the_frames_of_the_one_before(small, found, picture, moved):
  both = cascade.Cascade([stage('tiny'), stage('tiny32')])
  assert (small.side, both.side) == (16, 32)
  frames = np.concatenate(list(both.draw(found, picture, moved)))
  assert frames.shape == (FRAMES, 32, 32, 3)


@pytest.mark.parametrize('sizes', [['tiny32'], ['tiny', 'tiny'], ['tiny32', 'tiny']])
def test_stages_that_do_not_follow_each_other_are_one_line(sizes):
  with pytest.raises(InputError, match='give all of them'):
    cascade.Cascade([stage(size) for size in sizes])


def test_only_what_the_photo_says_nothing_about_is_drawn(small, found, picture, moved):
  film = np.random.default_rng(1).integers(0, 255, (FRAMES, SIDE, SIDE, 3), np.uint8)
  blocks = iter(np.split(film, [3, 5]))  # of whatever lengths
  filled = np.concatenate(list(small.fill(found, picture, moved, blocks)))
  assert filled.shape == film.shape and filled.dtype == np.uint8
  changed = (filled != film).any(-1)
  assert changed.any()
  config, _ = stage('tiny')
  batch = {name: jnp.asarray(x) for name, x in clip(found, picture, moved).items()}
  shown = video_model.shown(body.load(), batch, config)
  holes = np.asarray(cascade.unknown(body.load(), batch, shown, config))[0, ..., 0]
  reach = np.ones((5, 5), np.uint8)  # pixels, as far as enlarging reaches
  large = np.stack([cv2.dilate(each, reach).repeat(4, 0).repeat(4, 1) for each in holes])
  assert 0 < holes.mean() < 0.5 and not (changed & (large == 0)).any()


def clip(found, picture, moved):
  reference = picture[::4, ::4]
  return dict(
    identity=found.identity[None], focal=np.float32([2.7]), at=found.motion, motion=moved[None],
    reference=reference[None],
  )  # fmt: skip


def test_what_the_photo_says_nothing_about_is_behind_a_head_that_went_and_in_a_mouth(found):
  config = ml_collections.ConfigDict({**SIZES['tiny'], 'image': SIDE})
  motion = np.repeat(body.standing(9.0)[None], 3, axis=0)
  motion[1, axes.INDEX['headX']] += 1.0
  motion[2, axes.INDEX['jawOpen']] = 1.0
  grey = np.full((SIDE * 4, SIDE * 4, 3), 128, np.uint8)
  batch = {name: jnp.asarray(x) for name, x in clip(found, grey, motion).items()}
  shown = video_model.shown(body.load(), batch, config)
  holes = np.asarray(cascade.unknown(body.load(), batch, shown, config))[0, ..., 0]
  assert not holes[0].any()  # the photo's own motion
  assert holes[1].mean() > 0.02
  mouth = [body.REGIONS.index(name) for name in ('teeth', 'tongue', 'mouth')]
  inside = np.asarray(shown)[0, 2, ..., 3 : 3 + config.masks][..., mouth].sum(-1)
  assert inside.sum() >= 3 and holes[2][inside > 0].mean() > 0.5
