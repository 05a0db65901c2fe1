"""The published networks distilled from the renderer: what they learn, and what they may see."""

import functools
import types

import jax
import ml_collections
import numpy as np
import optax
import pytest

from ifmdm_jax import bundle, testing
from ifmdm_jax.configs import autoencoder as lite_configs
from ifmdm_jax.configs import implicit as configs
from ifmdm_jax.errors import InputError
from ifmdm_jax.face import points
from ifmdm_jax.pipeline.sources import rendered as source
from ifmdm_jax.systems.ifmdm import parts
from ifmdm_jax.systems.ifmdm.autoencoder import implicit, model, rendered
from ifmdm_jax.systems.ifmdm.autoencoder.lite import model as lite


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
  """A bundle with the renderer in its smallest size."""
  config = lite_configs.get_config('tiny').model
  settings = dict(kind='lite', side=config.side, sizes=config.sizes.to_dict())
  part = bundle.Part(settings, bundle.half(testing.fresh_params(lite, config)))
  folder = tmp_path_factory.mktemp('teacher')
  rest = {'motion': bundle.Part({}, {'nothing': np.zeros(1)})}
  bundle.save(folder, bundle.Bundle('ifmdm', {'autoencoder': part, **rest}))
  return str(folder)


@pytest.fixture(scope='module')
def config(teacher, drawn_set):
  config = configs.get_config('tiny')
  config.model.update(teacher=teacher, targets=2)
  config.data.cache = str(drawn_set)
  return config


@pytest.fixture(scope='module')
def batch(config):
  return next(source.make_loader(config.data, batch=2, seed=0, split='train'))


@pytest.fixture(scope='module')
def fresh(config):
  return implicit.init(jax.random.key(0), config.model)


def test_flow_comes_nearer_to_that_of_the_renderer(config, batch, fresh):
  optimizer = optax.adam(5e-3)
  frozen = implicit.frozen(config.model)
  loss = functools.partial(implicit.loss, config=config.model, frozen=frozen, step=0)
  grad = jax.jit(jax.value_and_grad(loss, has_aux=True))
  params, memory, seen = fresh, optimizer.init(fresh), []
  for _ in range(60):
    (_, terms), grads = grad(params, batch, jax.random.key(1))
    with jax.numpy_dtype_promotion('standard'):
      changes, memory = optimizer.update(grads, memory)
    params = optax.apply_updates(params, changes)
    seen.append(terms)
  assert seen[-1]['flow'] < 0.8 * seen[0]['flow']
  assert seen[-1]['mask'] < seen[0]['mask']


def test_lips_and_lids_count_more_than_their_few_pixels():
  """The same error of a look-up, once at the lips and once at the edge."""
  side = 64
  still = np.stack(np.meshgrid(*2 * [(np.arange(side) + 0.5) / side]), -1)[None]
  landmarks = testing.talking_face(1, side)[1].astype(np.float32)
  pairs = rendered.Pairs(None, None, still[:, None].astype(np.float32),
                         np.ones((1, 1, side, side, 1), np.float32),
                         np.repeat(landmarks[None], 2, axis=1))  # fmt: skip
  counts = dict(face=0.0, lips=20.0, lids=0.0)

  def flow(x, y):
    grid = np.float32(2 * still - 1)
    grid[:, y - 1 : y + 2, x - 1 : x + 2] += 0.1
    moved = types.SimpleNamespace(
      grids=[jax.numpy.asarray(grid)], masks=[np.ones_like(grid[..., :1])]
    )
    return float(implicit.flow_terms(moved, pairs, counts)['flow'])

  lips = np.int32(landmarks[0, points.LIPS_INNER].mean(0) * side)
  assert flow(*lips) > 5 * flow(4, 4) > 0


def test_a_steady_head_keeps_what_the_face_does():
  places = testing.talking_face(2, 64)[1].astype(np.float32)
  centre, angle = np.float32([0.5, 0.5]), 0.1
  turn = np.float32([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
  lips = np.zeros_like(places[0])
  lips[points.LOWER_LIP_OUTER] = (0.0, 0.02)
  moved = (places[0] + lips - centre) @ (1.1 * turn.T) + centre - places[0]
  np.testing.assert_allclose(source.steady(places[0], np.float32(moved)), lips, atol=2e-3)


def test_films_come_second_and_the_flow_fades(config, batch, fresh):
  settings = ml_collections.ConfigDict(dict(config.model, stage='pairs', fade=2))
  loss = functools.partial(implicit.loss, config=settings, frozen=implicit.frozen(settings))
  at = jax.jit(lambda step: loss(fresh, batch, jax.random.key(1), step=step))
  (first, terms), (half, _), (last, _) = map(at, range(3))
  assert {'film', 'film_code', 'flow'} <= set(terms)
  drawn = sum(settings.loss[name] * terms[name] for name in ('flow', 'mask', 'photo'))
  np.testing.assert_allclose(first - last, drawn, rtol=1e-4)
  np.testing.assert_allclose(first - half, drawn / 2, rtol=1e-4)
  np.testing.assert_array_equal(at(3)[0], last)  # and does not come back


def test_who_drives_itself_does_not_move(config, batch, fresh):
  gen, _ = model.build(config.model)
  picture = model.as_float(batch['source'], gen.size)
  variables = {'params': fresh['gen']}
  undriven = jax.jit(gen.apply)(variables, picture)
  driven = jax.jit(gen.apply)(variables, picture, picture)
  np.testing.assert_allclose(driven, undriven, atol=1e-5)

  @jax.jit
  def drawn(image):
    portrait = model.portrait(fresh, image, config.model)
    return model.draw(fresh, portrait, portrait.code, config.model)

  found = np.float32(drawn(batch['source'][0])[0]) / 127.5 - 1
  np.testing.assert_allclose(found, np.clip(undriven[0], -1, 1), atol=0.006)


def test_figures_of_held_out_films(config, batch, fresh):
  measure = functools.partial(implicit.evaluate, config=config.model, frozen=None, rng=None)
  figures = jax.jit(measure)(fresh, batch)
  assert {'l1', 'psnr', 'psnr_of_still', 'flow', 'flow_of_still', 'share'} == set(figures)
  still = batch['target_points'] - batch['source_points'][:, None]
  expected = 100 * np.linalg.norm(still, axis=-1).mean()
  np.testing.assert_allclose(figures['flow_of_still'], expected, rtol=1e-4)
  np.testing.assert_allclose(
    figures['share'], figures['flow'] / figures['flow_of_still'], rtol=1e-5
  )


def test_only_the_driver_is_changed_and_by_what_is_asked():
  pictures = jax.random.uniform(jax.random.key(0), (2, 3, 32, 32, 3), minval=-0.5, maxval=0.5)
  none = ml_collections.ConfigDict(dict(gain=0.0, offset=0.0, scale=0.0, turn=0.0, shift=0.0))
  same = implicit.changed(jax.random.key(1), pictures, none)
  np.testing.assert_allclose(same, pictures, atol=1e-5)
  for name in none:
    one = ml_collections.ConfigDict(dict(none, **{name: 0.2}))
    changed = implicit.changed(jax.random.key(1), pictures, one)
    assert np.abs(changed - pictures).mean((2, 3, 4)).min() > 0.01, name  # each by itself
    begun = implicit.changed(jax.random.key(1), pictures, one, grown=0.0)
    np.testing.assert_allclose(begun, pictures, atol=1e-5)


def test_shapes_of_a_plan_are_those_of_a_batch(config, batch):
  planned = implicit.example(config.model, 2)
  assert set(planned) == set(batch)
  scaled = {'source', 'target', 'picture'}  # of which a run may have another size
  for name in set(batch) - scaled:
    assert planned[name].shape == batch[name].shape and planned[name].dtype == batch[name].dtype


def test_pictures_are_rows_of_five(config, batch, fresh):
  (strip,) = implicit.pictures(fresh, batch, config.model).values()
  assert strip.shape == (2 * 32, 5 * 32, 3) and strip.dtype == np.uint8


def test_an_unknown_stage_is_one_line(config):
  settings = ml_collections.ConfigDict(dict(config.model, stage='flows'))
  with pytest.raises(InputError, match="model.stage is 'flows', expected one of flow, pairs"):
    implicit.init(jax.random.key(0), settings)


def test_a_run_becomes_the_stage_1_of_a_bundle(config):
  settings = parts.settings_of('paper', config.model.to_dict())
  found = parts.config_of('autoencoder', settings)
  assert parts.KIND_OF[config.model.module] == 'paper'
  assert found.relative and found.multiplier == config.model.multiplier
  shapes = jax.eval_shape(lambda key: model.init(key, found), jax.random.key(0))
  trained = jax.eval_shape(lambda key: implicit.init(key, config.model), jax.random.key(0))
  assert jax.tree.map(lambda x: x.shape, shapes['gen']) == jax.tree.map(
    lambda x: x.shape, trained['gen']
  )
