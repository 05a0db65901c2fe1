import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.audio import whisper
from ifmdm_jax.training import program


def tiny(layers=(2,)):
  return whisper.WhisperEncoder(layers, width=16, heads=2)


def mel(features=20, seed=0):
  return np.random.default_rng(seed).standard_normal((1, 2 * features, 80)).astype(np.float32)


def test_only_the_blocks_asked_for_are_built():
  params = jax.eval_shape(tiny((1,)).init, jax.random.key(0), mel())['params']
  assert set(params) == {'conv1', 'conv2', 'block_1'}


def test_layers_are_concatenated_in_the_order_asked():
  variables = jax.jit(tiny((3,)).init)(program.fresh_key(0), mel())
  both = tiny((3, 1)).apply(variables, mel())
  assert both.shape == (1, 20, 32)
  np.testing.assert_allclose(both[..., :16], tiny((3,)).apply(variables, mel()), atol=1e-6)
  np.testing.assert_allclose(both[..., 16:], tiny((1,)).apply(variables, mel()), atol=1e-6)


def test_padding_does_not_change_the_sound_before_it():
  variables = jax.jit(tiny().init)(program.fresh_key(0), mel())
  short = np.pad(mel(), ((0, 0), (0, 2), (0, 0)))
  longer = np.pad(mel(), ((0, 0), (0, 30), (0, 0)))
  valid = jnp.array([20])
  ours = [jax.jit(tiny().apply)(variables, x, valid)[:, :20] for x in (short, longer)]
  np.testing.assert_allclose(*ours, atol=1e-5)


def test_bundled_weights_are_small_float32_when_loaded_and_finite():
  assert whisper.WEIGHTS.stat().st_size < 12.5e6
  module, params = whisper.load(layers=(2,))
  assert (module.width, module.heads) == (384, 6) and 'block_3' not in params
  expected = jax.eval_shape(module.init, jax.random.key(0), mel())['params']
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, expected)
  assert all(x.dtype == np.float32 and np.isfinite(x).all() for x in jax.tree.leaves(params))


def test_a_block_that_is_not_in_the_file_is_named():
  with pytest.raises(ValueError, match='blocks 1 to 3'):
    whisper.load(layers=(4,))


def test_the_multilingual_weights_are_two_blocks_of_base():
  assert whisper.MULTILINGUAL.stat().st_size < 15e6
  module, params = whisper.load(whisper.MULTILINGUAL, layers=(2,))
  assert (module.width, module.heads) == (512, 8)
  expected = jax.eval_shape(module.init, jax.random.key(0), mel())['params']
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, expected)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(params))
