import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.nn import control
from ifmdm_jax.nn.temporal import TemporalConv
from ifmdm_jax.nn.unet import Layout, UNet
from tests.nn.reference import begun, drawn

RNG = np.random.default_rng(0)
LAYOUT = Layout(8, (1,), blocks=1, head_width=8, context=False)
CLIPS = dataclasses.replace(LAYOUT, temporal=TemporalConv)
X = jnp.asarray(RNG.normal(size=(2, 4, 4, 3)), jnp.float32)
CONTROLS = jnp.asarray(RNG.normal(size=(2, 4, 4, 5)), jnp.float32)
T = jnp.array([5, 5])


@pytest.fixture(scope='module')
def networks():
  base, copy = UNet(LAYOUT, 3), control.Control(CLIPS)
  base_params = drawn(base, X, T)['params']
  copy_params = begun(copy, X, T, CONTROLS, frames=2)['params']
  return base, base_params, copy, control.copy_of(base_params, copy_params)


def residuals(copy, params, controls=CONTROLS):
  run = jax.jit(lambda params, controls: copy.apply({'params': params}, X, T, controls, frames=2))
  return run(params, controls)


def test_before_training_the_frozen_network_gives_what_it_gave(networks):
  base, base_params, copy, copy_params = networks
  apply = lambda more: base.apply({'params': base_params}, X, T, residuals=more)  # bit by bit
  alone = apply(None)
  added = residuals(copy, copy_params)
  assert not any(leaf.any() for leaf in jax.tree.leaves(added))
  np.testing.assert_array_equal(apply(added), alone)


def test_the_copy_makes_the_maps_of_the_original(networks):
  base, base_params, copy, copy_params = networks
  params = dict(copy_params)
  for name in params:
    if name.startswith('zero_'):
      width = params[name]['conv']['bias'].shape[0]
      params[name] = {'conv': {'kernel': jnp.eye(width)[None, None], 'bias': jnp.zeros(width)}}
  shown = residuals(copy, params)
  _, found = base.apply({'params': base_params}, X, T, capture_intermediates=True)
  maps = found['intermediates']['down']['__call__'][0]
  for ours, theirs in zip(shown.down, maps, strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
  middle = found['intermediates']['middle']['__call__'][0]
  np.testing.assert_allclose(shown.middle, middle, rtol=1e-4, atol=1e-5)


def test_training_reaches_every_zero_layer_and_then_the_controls(networks):
  base, base_params, copy, copy_params = networks

  def loss(params):
    out = base.apply({'params': base_params}, X, T, residuals=residuals(copy, params))
    return ((out - 1) ** 2).mean()

  slopes = jax.jit(jax.grad(loss))(copy_params)
  for name in slopes:
    moved = any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(slopes[name]))
    assert moved == name.startswith('zero_'), name  # behind zeros nothing else moves yet
  params = jax.tree.map(lambda p, g: p - 0.1 * g, copy_params, slopes)
  slopes = jax.jit(jax.grad(loss))(params)
  assert np.abs(slopes['down']['conv_in']['kernel'][:, :, 3:]).max() > 0
  params = jax.tree.map(lambda p, g: p - 0.1 * g, params, slopes)
  one, other = residuals(copy, params), residuals(copy, params, CONTROLS + 1)
  assert np.abs(one.middle - other.middle).max() > 0


def test_a_copy_of_another_layout_is_reported(networks):
  _, base_params, _, copy_params = networks
  wide = control.Control(dataclasses.replace(LAYOUT, width=16))
  shapes = jax.eval_shape(wide.init, jax.random.key(0), X, T, CONTROLS)['params']
  with pytest.raises(InputError, match='build both with one layout'):
    control.copy_of(base_params, shapes)
  lacking = {**copy_params, 'middle': {}}
  with pytest.raises(InputError, match='the control copy has no middle/'):
    control.copy_of(base_params, lacking)
