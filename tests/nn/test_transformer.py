import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.nn import transformer
from ifmdm_jax.nn.transformer import Attention, Block, ModulatedBlock, empty_cache
from tests.nn import reference
from tests.nn.reference import begun, drawn, redrawn

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(2, 12, 8)), jnp.float32)
COND = jnp.asarray(RNG.normal(size=(2, 12, 8)), jnp.float32)


def by_hand(x, p, mask):
  q, k, v = np.split(reference.dense(x, p['qkv']), 3, axis=-1)
  return reference.dense(reference.attention(q, k, v, heads=2, mask=mask), p['out'])


def steps(k):
  return np.arange(k)[:, None], np.arange(k)[None, :]


@pytest.mark.parametrize('window', [None, 4])
def test_causal_attention_sees_earlier_tokens_alone_and_none_that_is_not_valid(window):
  attention = Attention(2, causal=True, window=window)
  variables = drawn(attention, X)
  valid = np.ones((2, 12), bool)
  valid[1, 3:6] = False
  query, key = steps(12)
  mask = (key <= query) & valid[:, None]
  mask = mask if window is None else mask & (key > query - window)
  found = jax.jit(attention.apply)(variables, X, jnp.asarray(valid))
  seeing = mask.any(-1)  # a token without any key is nobody's business
  expected = by_hand(X, variables['params'], mask | ~seeing[..., None])
  np.testing.assert_allclose(found[seeing], expected[seeing], rtol=1e-4, atol=1e-5)


def test_full_attention_is_its_formula_with_a_key_mask():
  attention = Attention(2)
  variables = drawn(attention, X)
  valid = np.arange(12)[None] < np.array([[12], [7]])
  found = jax.jit(attention.apply)(variables, X, jnp.asarray(valid))
  expected = by_hand(X, variables['params'], valid[:, None])
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('chunks', [[1] * 12, [5, 4, 3], [12]])
@pytest.mark.parametrize(('window', 'places'), [(None, 12), (4, 4), (4, 6)])
def test_token_by_token_with_a_cache_equals_the_whole_sequence(window, places, chunks):
  block = ModulatedBlock(2, causal=True, window=window)
  variables = drawn(block, X, COND)
  valid = jnp.asarray(np.arange(12)[None] != np.array([[99], [2]]))
  whole = jax.jit(block.apply)(variables, X, COND, valid)
  apply = jax.jit(block.apply)
  cache, found, start = empty_cache(2, places, 2, 4), [], 0
  for count in chunks:
    part = slice(start, start + count)
    y, cache = apply(variables, X[:, part], COND[:, part], valid[:, part], cache)
    found.append(y)
    start += count
  assert int(cache.length) == 12
  found = jnp.concatenate(found, axis=1)
  seen = np.asarray(valid)  # a token that is not valid and alone has nothing to see
  np.testing.assert_allclose(found[seen], whole[seen], rtol=1e-4, atol=1e-5)


def test_what_comes_later_changes_nothing_before_it():
  block = Block(2, causal=True)
  variables = drawn(block, X)
  apply = jax.jit(block.apply)
  one, other = apply(variables, X), apply(variables, X.at[:, 7:].add(1.0))
  np.testing.assert_array_equal(one[:, :7], other[:, :7])
  assert (one[:, 7:] != other[:, 7:]).any(-1).all()


def test_a_block_is_its_formula():
  block = Block(2)
  variables = drawn(block, X)
  p = jax.tree.map(np.float64, variables['params'])
  tanh_gelu = lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
  x = np.float64(X)
  x = x + by_hand(
    reference.layer_norm(x, **p['norm_attention'], epsilon=1e-6), p['attention'], True
  )
  y = reference.layer_norm(x, **p['norm_mlp'], epsilon=1e-6)
  x = x + reference.dense(tanh_gelu(reference.dense(y, p['mlp']['up'])), p['mlp']['down'])
  np.testing.assert_allclose(jax.jit(block.apply)(variables, X), x, rtol=1e-4, atol=1e-4)


def test_a_modulated_block_is_its_formula_and_begins_as_the_identity():
  block = ModulatedBlock(2)
  variables = begun(block, X, COND)
  np.testing.assert_array_equal(jax.jit(block.apply)(variables, X, COND), X)
  variables = redrawn(variables)
  p = jax.tree.map(np.float64, variables['params'])
  tanh_gelu = lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
  parts = reference.dense(reference.silu(np.float64(COND)), p['modulation'])
  shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = np.split(parts, 6, axis=-1)
  norm = lambda x: reference.layer_norm(x, 1.0, 0.0, 1e-6)
  x = np.float64(X)
  x = x + gate_a * by_hand(norm(x) * (1 + scale_a) + shift_a, p['attention'], True)
  y = norm(x) * (1 + scale_m) + shift_m
  x = x + gate_m * reference.dense(tanh_gelu(reference.dense(y, p['mlp']['up'])), p['mlp']['down'])
  np.testing.assert_allclose(jax.jit(block.apply)(variables, X, COND), x, rtol=1e-4, atol=1e-4)


def test_the_output_is_zero_at_first_and_its_formula_then():
  output = transformer.ModulatedOutput(3)
  variables = begun(output, X, COND)
  assert not jax.jit(output.apply)(variables, X, COND).any()
  variables = redrawn(variables)
  p = jax.tree.map(np.float64, variables['params'])
  shift, scale = np.split(
    reference.dense(reference.silu(np.float64(COND)), p['modulation']), 2, axis=-1
  )
  y = reference.layer_norm(X, 1.0, 0.0, 1e-6) * (1 + scale) + shift
  found = jax.jit(output.apply)(variables, X, COND)
  np.testing.assert_allclose(found, reference.dense(y, p['linear']), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(('causal', 'window'), [(False, None), (True, 5)])
def test_a_cache_that_cannot_be_is_reported(causal, window):
  attention = Attention(2, causal, window)
  variables = begun(attention, X)
  with pytest.raises(InputError, match='a cache of 4 places'):
    jax.jit(attention.apply)(variables, X, None, empty_cache(2, 4, 2, 4))
