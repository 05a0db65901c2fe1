import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import read, testing
from ifmdm_jax.configs import autoencoder as configs
from ifmdm_jax.face.crop import cut
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.face.points import LOWER_LIP_INNER, UPPER_LIP_INNER
from ifmdm_jax.pipeline.sources import pairs
from ifmdm_jax.systems.ifmdm.autoencoder.lite import eyes, geometry, losses, model
from ifmdm_jax.video import image

# Compiled once per shape, not op by op.
inner_mouth = jax.jit(geometry.inner_mouth, static_argnums=1)
anchored_mouth = jax.jit(geometry.anchored_mouth, static_argnums=2)
uncrossed = jax.jit(geometry.uncrossed)
regions = jax.jit(losses.regions, static_argnums=1)

FIXTURE = pathlib.Path(__file__).parents[5] / 'data' / 'fixtures' / 'portrait.jpg'


@pytest.fixture(scope='module')
def batch(tmp_path_factory):
  cache = testing.write_cache(tmp_path_factory.mktemp('cache') / 'cache')
  config = configs.get_config('tiny').data
  config.cache = str(cache)
  return next(pairs.make_loader(config, batch=2, seed=0, split='train'))


def loss(params, batch, config, step=0):
  return model.loss(params, batch, None, config=config, step=jnp.int32(step), frozen=None)


def reaches(tree):
  return max(np.abs(g).max() for g in jax.tree.leaves(tree)) > 0


@pytest.fixture(scope='module')
def gradient(tiny):
  """Compiled (params, batch) -> ((loss, terms), gradient)."""
  config, _ = tiny
  compute = lambda params, batch: loss(params, batch, config)
  return jax.jit(jax.value_and_grad(compute, has_aux=True))


def test_loss_and_gradient_are_finite(tiny, batch, gradient):
  (value, terms), grads = gradient(tiny[1], batch)
  assert np.isfinite(value) and all(np.isfinite(v) for v in terms.values())
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_landmarker_and_code_are_never_trained(tiny, batch, gradient):
  grads = gradient(tiny[1], batch)[1]
  assert {name for name, tree in grads.items() if reaches(tree)} == {'network'}


def test_targets_without_a_picture_teach_no_colour(tiny, batch, gradient):
  blind = dict(batch, seen=np.zeros_like(batch['seen']))
  (_, terms), _ = gradient(tiny[1], blind)
  assert float(terms['photo']) == float(terms['bare']) == float(terms['paint']) == 0.0
  assert float(terms['folds']) > 0.0


def test_a_portrait_is_read_as_the_landmark_tracker_reads_it(tiny):
  config, params = tiny
  picture = image.read_image(FIXTURE)
  square = cut(picture, read.find_square(picture))
  ours = jax.jit(model.find_landmarks)(params, square[None])[0]
  theirs = FaceLandmarker().track([square])[0] / len(square)
  face = np.linalg.norm(theirs[10] - theirs[152])
  # The sampler looks at a smaller copy; three quarters of a pixel of a face of 256.
  assert np.abs(ours - theirs).mean() < 0.003 * face


def test_the_inner_mouth_is_between_the_lips():
  points = np.zeros((1, 468, 2), np.float32)
  across = np.linspace(0.4, 0.6, 11)
  open_by = 0.04 * np.sin(np.linspace(0, np.pi, 11))
  points[0, UPPER_LIP_INNER] = np.stack([across, 0.6 - open_by], 1)
  points[0, LOWER_LIP_INNER] = np.stack([across, 0.6 + open_by], 1)
  mouth = np.asarray(inner_mouth(points, 100))[0, :, :, 0]
  assert mouth[60, 50] == 1.0 and mouth[60, 30] == mouth[50, 50] == 0.0
  closed = points.copy()
  closed[0, LOWER_LIP_INNER] = closed[0, UPPER_LIP_INNER]
  assert inner_mouth(closed, 100).max() == 0.0
  # A mouth opened by the lower lip alone: nothing of it is in the source, nothing hangs elsewhere.
  _, unseen, flow = anchored_mouth(closed, points, 100)
  assert unseen[0, 60, 50, 0] == 1.0 and np.abs(flow).max() < 1e-6
  _, unseen, _ = anchored_mouth(points, points, 100)
  assert unseen[0, 58, 50, 0] == 0.0


def test_lips_that_would_pass_each_other_meet():
  ajar = np.random.default_rng(0).uniform(0.3, 0.7, (1, 468, 2)).astype(np.float32)
  ajar[:, 10], ajar[:, 152] = (0.5, 0.2), (0.5, 0.8)  # upright

  def with_gap(gap):
    points = ajar.copy()
    for lip, side in ((geometry.UPPER_PAIRS, -1), (geometry.LOWER_PAIRS, 1)):
      points[:, lip[0], 1] = 0.6 + side * gap / 2
      points[:, lip[1], 1] = 0.6 + side * (gap / 2 + 0.03)
    return points

  same = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6)
  same(uncrossed(with_gap(0.0), with_gap(-0.02)), with_gap(0.0))
  same(uncrossed(with_gap(0.02), with_gap(-0.02)), with_gap(0.0))
  same(uncrossed(with_gap(-0.01), with_gap(-0.02)), with_gap(-0.01))
  same(uncrossed(with_gap(0.0), with_gap(0.05)), with_gap(0.05))


def test_lids_that_would_pass_each_other_meet_at_the_lower_one():
  face = np.random.default_rng(0).uniform(0.3, 0.7, (1, 468, 2)).astype(np.float32)
  face[:, 10], face[:, 152] = (0.5, 0.2), (0.5, 0.8)  # upright
  upper, lower = eyes.UPPER, eyes.LOWER
  face[:, lower, 1] = 0.4
  open_eye, shut = face.copy(), face.copy()
  open_eye[:, upper, 1], shut[:, upper, 1] = 0.38, 0.42
  found = np.asarray(uncrossed(open_eye, shut))
  np.testing.assert_allclose(found[:, [*upper, *lower], 1], 0.4, atol=1e-6)


def test_mouth_region_lies_on_the_lips(batch):
  mouth, both_eyes, face = regions(batch['source_points'], 64)
  lips = batch['source_points'][0, 13]
  row, column = int(lips[1] * 64), int(lips[0] * 64)
  assert float(mouth[0, row, column, 0]) > 0.9
  assert float(mouth[0, 2, 2, 0]) < 0.01
  assert float(face.mean()) > float(mouth.mean())
  assert both_eyes.shape == face.shape


def test_pictures_are_rows_of_five(tiny, batch):
  config, params = tiny
  draw = jax.jit(lambda params, batch: model.pictures(params, batch, config))
  sheet = draw(params, batch)['source_target_picture_bare_mask']
  assert sheet.shape == (2 * 64, 5 * 64, 3) and sheet.dtype == jnp.uint8


def test_the_perceptual_terms_join_when_they_have_a_weight(tiny, batch):
  config, params = tiny
  config = config.copy_and_resolve_references()
  config.loss.update(perceptual=1.0, lpips=1.0, lips=1.0)
  networks = model.frozen(config)
  shapes = jax.eval_shape(
    lambda p, b, f: model.loss(p, b, None, config=config, step=jnp.int32(0), frozen=f),
    params,
    batch,
    networks,
  )
  assert {shapes[1][term].shape for term in losses.NETWORKS} == {()}
  assert model.frozen(tiny[0]) == {}


def test_every_weight_of_the_config_has_its_term(tiny):
  assert set(tiny[0].loss) == {*losses.TERMS, *losses.PLACES}
