"""One step of stage 1: losses, gradients and Adam against the original, and who gets trained."""

import functools
import sys
import types

import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from ifmdm_jax import testing
from ifmdm_jax.autoencoder import paper
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import autoencoder, discriminator, engine
from ifmdm_jax.training import state as states

# ------------------------------------------------------------------------------- the original

CONFIG = ml_collections.ConfigDict({'size': 64})


@functools.cache
def original():
  """Losses and gradients of the original's weights, and the losses after one Adam step."""
  golden = testing.golden('train_S64')
  _, gen = autoencoder.convert(testing.golden_state('gen_S64'))
  _, dis = discriminator.convert(testing.golden_state('dis_S64'))
  source, target = (testing.golden_image(f'input/{name}', 2, 64) for name in ('source', 'drive'))

  def terms(gen, dis):
    """[l1, gan] and the reconstruction."""
    _, (made, metrics) = paper.gen_loss(gen, dis, source, target, config=CONFIG)
    return jnp.stack([metrics['l1'], metrics['gan']]), made

  @jax.jit
  def gradients(gen, dis):
    values, pull_back, made = jax.vjp(lambda params: terms(params, dis), gen, has_aux=True)
    return values, made, [pull_back(one)[0] for one in jnp.eye(2)]

  @jax.jit
  def adam_step(gen, grads):
    tx = paper.lazy_adam(1e-4, interval=4)
    updates, _ = tx.update(jax.tree.map(jnp.add, *grads), tx.init(gen))
    return optax.apply_updates(gen, updates)

  values, made, grads = gradients(gen, dis)
  loss = jax.jit(jax.value_and_grad(functools.partial(paper.dis_loss, config=CONFIG)))
  return types.SimpleNamespace(
    golden=golden,
    terms=values,
    grads=grads,
    dis=loss(dis, target, made),
    after=jax.jit(terms)(adam_step(gen, grads), dis)[0],
  )


def norms(grads, keys, rules, ignored):
  """Their keys -> 2-norms of our gradients; None where we have no such parameter."""
  flat = flax.traverse_util.flatten_dict(grads, sep='/')
  found = []
  for key in keys:
    dead = any(engine.re.fullmatch(pattern, key) for pattern, _ in ignored)
    path = None if dead else engine.translate(key, rules)[0]
    found.append(None if dead else float(jnp.linalg.norm(flat[path].ravel())))
  return found


@pytest.mark.parametrize(('index', 'name'), [(0, 'l1'), (1, 'gan')])
def test_generator_loss_and_gradient_agree_with_the_original(index, name):
  run = original()
  np.testing.assert_allclose(run.terms[index], run.golden[f'g_{name}'][0], rtol=1e-5)
  keys = [str(key) for key in run.golden['g_keys']]
  found = norms(run.grads[index], keys, autoencoder.RULES, autoencoder.ignored(64))
  # What we do not build is just what the original's output does not depend on.
  absent = {key for key, value in zip(keys, found, strict=True) if value is None}
  assert absent == {str(key) for key in run.golden[f'g_{name}_grad_none']}
  expected = run.golden[f'g_{name}_grad_l2']
  live = [i for i, value in enumerate(found) if value is not None]
  np.testing.assert_allclose([found[i] for i in live], expected[live], rtol=2e-2)


def test_discriminator_loss_and_gradient_agree_with_the_original():
  run = original()
  loss, grads = run.dis
  np.testing.assert_allclose(loss, run.golden['d_loss'][0], rtol=1e-5)
  keys = [str(key) for key in run.golden['d_keys']]
  found = norms(grads, keys, discriminator.RULES, discriminator.IGNORED)
  np.testing.assert_allclose(found, run.golden['d_grad_l2'], rtol=2e-2)


def test_losses_after_an_adam_step_agree_with_the_original():
  run = original()
  before, after, _ = run.golden['adam_l1_gan_per_step']  # a second step would double the time
  np.testing.assert_allclose(run.terms, before, rtol=1e-5)
  np.testing.assert_allclose(run.after, after, rtol=3e-2)


# ------------------------------------------------------------------------------- its promises


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
  step = jax.jit(functools.partial(paper.step, optimizers=optimizers, **rest))
  measure = jax.jit(functools.partial(paper.evaluate, **rest))
  rng = jax.random.key(2)
  return state, *step(state, batch, rng), measure(params, batch, rng), batch


def test_step_trains_both_networks_and_reports_every_loss(network):
  settings = config()
  old, state, metrics, before, batch = one_step(settings)
  assert int(state.step) == 1
  assert set(metrics) == set(before) == {'gen', 'dis', 'l1', 'gan', 'perceptual'}
  total = metrics['l1'] + metrics['gan'] + 10 * metrics['perceptual']
  np.testing.assert_allclose(metrics['gen'], total, rtol=1e-5)
  for name in ('gen', 'l1', 'gan', 'perceptual'):  # the losses are those before the update
    np.testing.assert_allclose(metrics[name], before[name], rtol=1e-4)
  for name in ('gen', 'dis'):
    moved = jax.tree.map(lambda a, b: np.any(a != b), old.params[name], state.params[name])
    assert np.mean(jax.tree.leaves(moved)) > 0.9
  rows = paper.pictures(state.params, batch, settings.model)['source_target_made']
  assert rows.shape == (16, 24, 3) and rows.dtype == np.uint8
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
  patterns = ' '.join(paper.trainable('super_resolution', 512))
  assert 'convs_12|convs_13|to_rgbs_6|to_flows_6' in patterns


def test_unknown_kind_of_training_is_an_error():
  with pytest.raises(InputError, match="'mouth', expected one of all, super_resolution"):
    paper.optimizers(config(trainable='mouth'))


def test_lazy_adam_scales_its_rate():
  tx = paper.lazy_adam(1e-2, interval=4)
  params = jnp.ones(3)
  updates, _ = tx.update(jnp.array([1.0, -2.0, 3.0]), tx.init(params))
  np.testing.assert_allclose(updates, [-0.8e-2, 0.8e-2, -0.8e-2], rtol=1e-5)


def test_size_that_is_no_power_of_two_is_an_error():
  with pytest.raises(InputError, match='model.size is 48'):
    paper.build(ml_collections.ConfigDict({'size': 48}))
