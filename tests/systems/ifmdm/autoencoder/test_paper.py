"""What the calls of the autoencoder promise; importers/test_check.py compares with the original."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax import testing
from ifmdm_jax.systems.ifmdm.autoencoder.model import Autoencoder


@functools.cache
def tiny():
  """All calls of a tiny model in one compiled function."""
  model = Autoencoder(size=8, motion_dim=5, style_dim=12, max_width=8, refine_width=4)
  images = jax.random.uniform(jax.random.key(0), (2, 2, 8, 8, 3), minval=-1.0)

  variables = testing.random_params(jax.eval_shape(model.init, jax.random.key(1), *images))

  @jax.jit
  def run(variables, source, drive):
    call = functools.partial(model.apply, variables)
    w_a, features = call(source, method='appearance')
    h = call(drive, method='encode')
    start = call(source, method='encode')
    return types.SimpleNamespace(
      w_a=w_a,
      h=h,
      features=features,
      plain=call(source),
      driven=call(source, drive),
      decoded=call(w_a, features, h, method='decode'),
      relative=call(source, drive, start),
      zero=call(w_a, features, jnp.zeros_like(h), method='decode'),
      bare=call(w_a, features, h, refine=False, method='decode'),
      unrefined=model.clone(refine=False).apply(variables, source, drive),
      tiled=model.clone(refine_tile=3).apply(variables, source, drive),
    ).__dict__

  return model, types.SimpleNamespace(**run(variables, *images))


def assert_same(found, wanted):
  """To float32's roundings: fresh random weights draw numbers of some hundred."""
  np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


def test_shapes_of_codes_features_and_picture():
  _, run = tiny()
  assert run.w_a.shape == (2, 12) and run.h.shape == (2, 5)
  assert [x.shape for x in run.features] == [(2, 8, 8, 8)]
  assert run.plain.shape == run.driven.shape == (2, 8, 8, 3)


def test_whole_call_is_encode_then_decode():
  _, run = tiny()
  assert_same(run.decoded, run.driven)
  assert np.abs(run.driven - run.plain).max() > 1e-3


def test_relative_motion_that_starts_at_the_source_is_absolute_motion():
  _, run = tiny()
  assert_same(run.relative, run.driven)


def test_no_motion_is_the_zero_code():
  _, run = tiny()
  assert_same(run.zero, run.plain)


def test_tiled_refinement_changes_nothing():
  _, run = tiny()
  assert_same(run.tiled, run.driven)


def test_refinement_can_be_left_out():
  model, run = tiny()
  assert_same(run.bare, run.unrefined)
  assert np.abs(run.bare - run.driven).max() > 1e-4
  image = jnp.zeros((1, 8, 8, 3))
  shapes = jax.eval_shape(model.clone(refine=False).init, jax.random.key(0), image, image)
  assert 'refine_block' not in shapes['params']
