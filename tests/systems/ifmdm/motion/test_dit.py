"""Blocks against the original (importers/test_check.py compares the whole), and promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.importers import engine
from ifmdm_jax.importers.motion import IGNORED, RULES
from ifmdm_jax.nn import transformer
from ifmdm_jax.systems.ifmdm.motion import dit
from ifmdm_jax.training import program


def compare(got, want, limit):
  assert got.shape == want.shape
  error = np.abs(np.asarray(got) - want).max()
  assert error < limit, f'{error:.1e}'


@pytest.mark.parametrize('unit', ['dit_block', 'dit_final'])
def test_unit_equals_the_original(unit):
  golden = testing.golden('units')
  if unit == 'dit_block':
    module, scope, theirs = transformer.ModulatedBlock(heads=4), 'block_0', 'blocks.0'
  else:
    module, scope, theirs = transformer.ModulatedOutput(channels=6), 'final', 'final_layer'
  x, c = (jnp.asarray(golden[f'{unit}/in/{name}']) for name in 'xc')
  prefix = f'{unit}/in/w'
  state = {
    k.replace(prefix + '/', theirs + '.'): v for k, v in golden.items() if k.startswith(prefix)
  }
  target = {scope: jax.eval_shape(module.init, jax.random.key(0), x, c)['params']}
  params = engine.convert(state, RULES, IGNORED, target)[scope]
  compare(module.apply({'params': params}, x, c), golden[f'{unit}/out/y'], 1e-5)


def small(**kw):
  """A tiny transformer whose zero-initialised layers are random, and inputs for it."""
  module = dit.MotionDiT(width=16, depth=2, heads=2, channels=3, frames=6, **kw)
  draw = np.random.default_rng(0).standard_normal
  inputs = dict(x_t=(2, 6, 3), y=(2, 12, 5), hint=(2, 1, 3), mean=(2, 1, 3), std=(2, 1, 3))
  inputs = {name: jnp.asarray(draw(shape), jnp.float32) for name, shape in inputs.items()}
  inputs['t'] = jnp.asarray([3, 800])
  params = jax.jit(module.init)(program.fresh_key(0), **inputs)
  params = jax.tree.map(lambda p: p + 0.2 * jnp.asarray(draw(p.shape), jnp.float32), params)
  return module, params, inputs


def test_fresh_network_says_zero():
  module, params, inputs = small()
  fresh = jax.jit(module.init)(program.fresh_key(0), **inputs)
  apply = jax.jit(module.apply)
  np.testing.assert_array_equal(apply(fresh, **inputs), 0)
  assert np.abs(apply(params, **inputs)).max() > 0


def test_masked_frames_are_seen_by_no_other():
  module, params, inputs = small()
  mask = jnp.asarray([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
  apply = jax.jit(module.apply)
  before = apply(params, **inputs, mask=mask)
  changed = dict(inputs, x_t=inputs['x_t'].at[0, 4:].add(5.0), y=inputs['y'].at[0, 8:].add(5.0))
  after = apply(params, **changed, mask=mask)
  np.testing.assert_array_equal(after[0, :4], before[0, :4])
  np.testing.assert_array_equal(after[1], before[1])
  assert np.abs(apply(params, **changed)[0, :4] - apply(params, **inputs)[0, :4]).max() > 1e-4


def test_short_window_equals_a_long_one_with_its_end_masked():
  module, params, inputs = small()
  mask = jnp.asarray([[1, 1, 1, 1, 0, 0]] * 2)
  whole = module.apply(params, **inputs, mask=mask)[:, :4]
  short = dict(inputs, x_t=inputs['x_t'][:, :4], y=inputs['y'][:, :8])
  np.testing.assert_allclose(module.apply(params, **short), whole, atol=1e-5)


def test_dropping_the_sound_in_training():
  # clean: exactly the pass that guidance takes; the paper's way loses the noised motion as well
  for clean in (True, False):
    module, params, inputs = small(drop_audio=1.0, drop_hint=0.0, drop_stats=0.0, clean_drop=clean)
    dropped = module.apply(params, **inputs, train=True, rngs={'drop': jax.random.key(0)})
    silent = module.apply(params, **dict(inputs, y=0 * inputs['y']))
    difference = np.abs(dropped - silent).max()
    assert (difference == 0) if clean else (difference > 1e-3)


def test_training_without_drops_is_evaluation():
  module, params, inputs = small(drop_audio=0.0, drop_hint=0.0, drop_stats=0.0)
  trained = module.apply(params, **inputs, train=True)
  np.testing.assert_array_equal(trained, module.apply(params, **inputs))
