"""One step of stage 1: losses, gradients and Adam against the original, and who gets trained."""

import functools
import sys
import types

import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm.autoencoder import model, paper, step
from ifmdm_jax.training import state as states
from ifmdm_jax.training.gradient import value_and_grad


def config(**optim):
  return ml_collections.ConfigDict(
    {
      'model': {
        'size': 8,
        'motion_dim': 3,
        'style_dim': 6,
        'max_width': 4,
        'refine_width': 3,
        'perceptual': 'a_network_for_tests',
      },
      'optim': {'peak_lr': 1e-2, **optim},
    }
  )


@pytest.fixture
def network(monkeypatch):
  """A perceptual network of one layer, found by the name in the config."""
  module = types.ModuleType('a_network_for_tests')
  module.load = lambda: {'gain': jnp.float32(2.0)}
  module.features = lambda weights, images: {'layer': images * weights['gain']}
  monkeypatch.setitem(sys.modules, 'a_network_for_tests', module)


def one_step(settings):
  optimizers = paper.optimizers(settings)
  images = jax.random.randint(jax.random.key(1), (2, 2, 8, 8, 3), 0, 256).astype(jnp.uint8)
  batch = dict(zip(('source', 'target'), images, strict=True))
  frozen = paper.frozen(settings.model)

  shapes = jax.eval_shape(lambda: paper.init(jax.random.key(0), settings.model))
  params = testing.random_params(shapes)
  state = states.create(params, lambda p: {k: optimizers[k].init(p[k]) for k in p}, ema=False)
  rest = {'config': settings.model, 'frozen': frozen}
  train = functools.partial(paper.step, optimizers=optimizers, gradient=value_and_grad, **rest)
  step = jax.jit(train)
  measure = jax.jit(functools.partial(paper.evaluate, **rest))
  rng = jax.random.key(2)
  return state, *step(state, batch, rng), measure(params, batch, rng), batch


def test_step_trains_both_networks_and_reports_every_loss(network):
  settings = config()
  old, state, metrics, before, batch = one_step(settings)
  assert int(state.step) == 1
  norms = {'gen_grad_norm', 'dis_grad_norm'}
  assert set(metrics) - norms == set(before) == {'gen', 'dis', 'l1', 'gan', 'perceptual'}
  assert all(metrics[name] > 0 for name in norms)
  total = metrics['l1'] + metrics['gan'] + 10 * metrics['perceptual']
  np.testing.assert_allclose(metrics['gen'], total, rtol=1e-5)
  for name in ('gen', 'l1', 'gan', 'perceptual'):  # the losses are those before the update
    np.testing.assert_allclose(metrics[name], before[name], rtol=1e-4)
  for name in ('gen', 'dis'):
    moved = jax.tree.map(lambda a, b: np.any(a != b), old.params[name], state.params[name])
    assert np.mean(jax.tree.leaves(moved)) > 0.9
  rows = paper.pictures(state.params, batch, settings.model)['source_target_made_flow_mask']
  assert rows.shape == (16, 40, 3) and rows.dtype == np.uint8
  np.testing.assert_array_equal(rows[:8, :8], batch['source'][0])


@pytest.mark.parametrize('mode', ['super_resolution', 'refine', 'decoder'])
def test_partial_training_leaves_the_rest_alone(mode):
  settings = config(trainable=mode)
  params = jax.eval_shape(lambda: paper.init(jax.random.key(0), settings.model))['gen']
  params = testing.random_params(params)
  tx = paper.optimizers(settings)['gen']
  updates, _ = tx.update(params, tx.init(params), params)
  moved = {
    path
    for path, update in flax.traverse_util.flatten_dict(updates, sep='/').items()
    if np.any(update)
  }
  expected = {
    'super_resolution': (
      'appearance_net/conv_in/',
      'appearance_net/block_1/',
      'synthesis/convs_0/',
      'synthesis/convs_1/',
      'synthesis/to_flows_0/',
      'synthesis/to_rgbs_0/',
    ),
    'refine': ('refine_block/',),
    'decoder': ('directions/', 'synthesis/', 'refine_block/'),
  }[mode]
  paths = flax.traverse_util.flatten_dict(params, sep='/')
  assert moved == {path for path in paths if path.startswith(expected)}


def test_super_resolution_is_the_level_of_512():
  patterns = ' '.join(step.trainable('super_resolution', 512))
  assert 'convs_12|convs_13|to_rgbs_6|to_flows_6' in patterns


def test_unknown_kind_of_training_is_an_error():
  with pytest.raises(InputError, match="'mouth', expected one of all, super_resolution"):
    paper.optimizers(config(trainable='mouth'))


def test_lazy_adam_scales_its_rate():
  tx = step.lazy_adam(1e-2, interval=4)
  params = jnp.ones(3)
  updates, _ = tx.update(jnp.array([1.0, -2.0, 3.0]), tx.init(params))
  np.testing.assert_allclose(updates, [-0.8e-2, 0.8e-2, -0.8e-2], rtol=1e-5)


def test_size_that_is_no_power_of_two_is_an_error():
  with pytest.raises(InputError, match='model.size is 48'):
    model.build(ml_collections.ConfigDict({'size': 48}))
