import csv
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.configs import difftalk_autoencoder
from ifmdm_jax.systems.difftalk import autoencoder, losses, vq
from ifmdm_jax.training import loop


@pytest.fixture(scope='module')
def config(drawn_set):
  config = difftalk_autoencoder.get_config('tiny')
  config.data.cache = str(drawn_set)
  return config


@pytest.fixture(scope='module')
def params(config):
  return testing.fresh_params(autoencoder, config.model)


def batch(config, seed=0):
  side = config.model.image
  shape = (2, side, side, 3)
  return {'target': np.random.default_rng(seed).integers(0, 255, shape, np.uint8)}


def test_the_loss_falls_and_a_run_goes_on_as_if_it_had_not_stopped(config, tmp_path):
  config, one = config.copy_and_resolve_references(), jax.devices()[:1]
  config.train.update(steps=16, log_every=4, ema=0.0)
  config.model.crop = 0  # whole pictures: crops of a few steps are not alike
  whole = loop.train(config, tmp_path / 'whole', devices=one)
  rows = csv.DictReader((tmp_path / 'whole' / 'log.csv').open())
  l1 = [float(row['value']) for row in rows if row['name'] == 'train/l1']
  assert l1[-1] < 0.7 * l1[0]
  config.train.steps = 8
  loop.train(config, tmp_path / 'parts', devices=one)
  config.train.steps = 16
  parts = loop.train(config, tmp_path / 'parts', devices=one)
  jax.tree.map(np.testing.assert_array_equal, parts.params, whole.params)


def total(gen, params, config, active):
  """What `gen_loss` minimises, differentiated by JAX without any help, its weight as given."""
  target = autoencoder.as_float(jnp.asarray(batch(config)['target']))
  drawn, quantized = vq.network(config.model).apply({'params': gen}, target)
  recon, _ = losses.reconstruction(drawn, target, None, 1.0)
  scores, _ = autoencoder.score(params['dis'], {}, drawn, config.model)
  return recon + active * -scores.mean() + quantized.loss


def test_the_adversary_pulls_as_hard_as_the_reconstruction_at_the_last_layer(config, params):
  config = config.copy_and_resolve_references()
  config.model.dis.norm = 'none'
  config.model.gan_weight = 1.0
  params = testing.fresh_params(autoencoder, config.model)
  rest = dict(dis=params['dis'], statistics={}, config=config.model, frozen=None)
  loss = functools.partial(autoencoder.gen_loss, **rest)
  gradient = jax.grad(lambda gen, on: loss(gen, batch(config), None, active=on), has_aux=True)
  without, _ = gradient(params['gen'], 0.0)
  both, (metrics, *_) = gradient(params['gen'], 1.0)
  last = lambda tree: np.asarray(functools.reduce(lambda t, k: t[k], vq.LAST, tree))
  adversary = np.linalg.norm(last(both) - last(without))
  np.testing.assert_allclose(adversary, np.linalg.norm(last(without)), rtol=0.05)

  # All other layers get the gradient that JAX finds with that weight as a constant.
  expected = jax.grad(total)(params['gen'], params, config, metrics['gan_weight'])
  close = functools.partial(np.testing.assert_allclose, rtol=2e-3, atol=2e-5)
  jax.tree.map(close, both, expected)


def test_before_its_start_the_discriminator_neither_learns_nor_counts(config, tmp_path):
  config, one = config.copy_and_resolve_references(), jax.devices()[:1]
  config.model.gan_start = 3
  config.train.update(steps=3, log_every=1, ema=0.0)
  early = loop.train(config, tmp_path / 'run', devices=one)
  fresh = testing.fresh_params(autoencoder, config.model)['dis']
  jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), early.params['dis'], fresh)
  config.train.steps = 4
  late = loop.train(config, tmp_path / 'run', devices=one)
  moved = jax.tree.map(lambda a, b: bool((abs(a - b) > 1e-5).any()), late.params['dis'], fresh)
  assert any(jax.tree.leaves(moved))


def test_entries_that_nothing_chooses_move_to_where_latents_are():
  codebook, z = jnp.zeros((4, 3)), jnp.ones((1, 2, 2, 3))
  usage = jnp.array([5.0, 0.01, 0.5, 0.0])
  moved, after = autoencoder.restarted(codebook, usage, z, jax.random.key(0), 0.03)
  np.testing.assert_array_equal(moved[:, 0], [0, 1, 0, 1])
  np.testing.assert_allclose(after, [5.0, 0.06, 0.5, 0.06], rtol=1e-6)


def test_a_strip_of_reconstructions_is_drawn(config, params):
  strip = autoencoder.pictures(params, batch(config), config.model, extra=None)['reconstruction']
  side = config.model.image
  assert strip.shape == (2 * side, 2 * side, 3) and strip.dtype == np.uint8


def test_crops_are_parts_of_their_pictures_at_places_of_their_own():
  pictures = jnp.arange(4 * 8 * 8, dtype=jnp.uint8).reshape(1, 16, 16, 1).repeat(3, -1)
  pictures = jnp.broadcast_to(pictures, (4, 16, 16, 3))
  cut = np.asarray(autoencoder.cropped(pictures, jax.random.key(0), 8))
  assert cut.shape == (4, 8, 8, 3) and len({int(each[0, 0, 0]) for each in cut}) > 1
  assert (np.diff(cut[..., 0].astype(int), axis=2) == 1).all()
