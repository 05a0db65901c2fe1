import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import autoencoder as configs
from ifmdm_jax import testing
from ifmdm_jax.autoencoder.lite import composite, model
from ifmdm_jax.pipeline import pairs


@pytest.fixture(scope='module')
def batch(tmp_path_factory):
  cache = testing.write_cache(tmp_path_factory.mktemp('cache') / 'cache')
  config = configs.get_config('tiny').data
  config.cache = str(cache)
  return next(pairs.make_loader(config, batch=2, seed=0, split='train'))


@pytest.fixture(scope='module')
def tiny():
  config = configs.get_config('tiny').model
  return config, model.init(jax.random.key(0), config)


def loss(params, batch, config, step=0):
  return model.loss(params, batch, None, config=config, step=jnp.int32(step), frozen=None)


def reaches(tree):
  return max(float(jnp.abs(g).max()) for g in jax.tree.leaves(tree)) > 0


@pytest.fixture(scope='module')
def gradient(tiny):
  """Compiled (params, batch, step) -> ((loss, terms), gradient), codes not taught directly."""
  config = tiny[0].copy_and_resolve_references()
  config.loss.code = 0.0
  return jax.jit(
    jax.value_and_grad(lambda params, batch, step: loss(params, batch, config, step), has_aux=True)
  )


def test_loss_and_gradient_are_finite(tiny, batch, gradient):
  (value, terms), grads = gradient(tiny[1], batch, 0)
  assert np.isfinite(value) and all(np.isfinite(v) for v in terms.values())
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_taught_codes_drive_the_decoder_first_and_own_codes_later(tiny, batch, gradient):
  config, params = tiny
  start, end = config.teach
  assert float(model.teaching(jnp.int32(start), config)) == 1.0
  assert float(model.teaching(jnp.int32(end), config)) == 0.0
  # While taught, the picture does not depend on the motion encoder.
  for step, moves in ((0, False), (end, True)):
    assert reaches(gradient(params, batch, step)[1]['motion_encoder']) == moves


def test_targets_without_a_picture_teach_the_flow_only(tiny, batch, gradient):
  blind = dict(batch, seen=np.zeros_like(batch['seen']))
  (_, terms), _ = gradient(tiny[1], blind, 0)
  assert float(terms['photo']) == float(terms['bare']) == 0.0
  assert float(terms['flow']) > 0.0


def test_flow_loss_is_zero_where_the_grid_is_right():
  grid = composite.identity_grid(32)[None] + 0.05
  points = jnp.full((1, 468, 2), 0.4)
  assert float(model.flow_loss(grid, points, points + 0.05)[0]) == pytest.approx(0.0, abs=1e-3)
  # Two coordinates, 5 per cent of the side each.
  assert float(model.flow_loss(grid, points, points)[0]) == pytest.approx(10.0, rel=1e-3)


def test_mouth_region_lies_on_the_lips(batch):
  mouth, eyes, face = model.regions(batch['source_points'], 64)
  lips = batch['source_points'][0, 13]
  row, column = int(lips[1] * 64), int(lips[0] * 64)
  assert float(mouth[0, row, column, 0]) > 0.9
  assert float(mouth[0, 2, 2, 0]) < 0.01
  assert float(face.mean()) > float(mouth.mean())
  assert eyes.shape == face.shape


def test_pictures_are_rows_of_five(tiny, batch):
  config, params = tiny
  sheet = model.pictures(params, batch, config)['source_target_picture_warp_mask']
  assert sheet.shape == (2 * 64, 5 * 64, 3) and sheet.dtype == jnp.uint8


def test_the_motion_encoder_can_be_trained_alone(tiny, batch):
  config, params = tiny
  config = config.copy_and_resolve_references()
  config.phase = 'codes'
  grads = jax.jit(jax.grad(lambda p, b: loss(p, b, config)[0]))(params, batch)
  assert {name for name, tree in grads.items() if reaches(tree)} == {'motion_encoder'}


def test_the_perceptual_term_joins_when_it_has_a_weight(tiny, batch):
  config, params = tiny
  config = config.copy_and_resolve_references()
  config.loss.perceptual = 1.0
  vgg = model.frozen(config)
  shapes = jax.eval_shape(
    lambda p, b, f: model.loss(p, b, None, config=config, step=jnp.int32(0), frozen=f),
    params,
    batch,
    vgg,
  )
  assert shapes[1]['perceptual'].shape == ()
  assert model.frozen(tiny[0]) is None


def test_every_weight_of_the_config_has_its_term(tiny):
  assert set(tiny[0].loss) == {*model.TERMS, 'face', 'mouth', 'eyes'}  # these three weigh places
