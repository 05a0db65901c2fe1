import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.nn import temporal
from ifmdm_jax.nn.embed import positions
from tests.nn import reference
from tests.nn.reference import begun, drawn, redrawn

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(6, 2, 2, 8)), jnp.float32)  # two clips of three frames


@pytest.mark.parametrize('layer', [temporal.TemporalConv(), temporal.TemporalAttention(4)])
def test_layers_along_time_begin_as_the_identity_and_never_mix_clips(layer):
  variables = begun(layer, X, frames=3)
  np.testing.assert_array_equal(layer.apply(variables, X, 3), X)
  variables = redrawn(variables)
  changed = X.at[4].add(1.0)
  moved = layer.apply(variables, changed, 3) != layer.apply(variables, X, 3)
  assert moved[3:].any((1, 2, 3)).all() and not moved[:3].any()


def test_a_temporal_convolution_is_a_sum_over_neighbouring_frames():
  layer = temporal.TemporalConv()
  variables = drawn(layer, X, frames=3)
  conv = jax.tree.map(np.float64, variables['params']['conv'])
  clips = np.pad(np.float64(X).reshape(2, 3, 2, 2, 8), ((0, 0), (1, 1)) + ((0, 0),) * 3)
  total = sum(clips[:, i : i + 3] @ conv['kernel'][i, 0, 0] for i in range(3)) + conv['bias']
  expected = np.float64(X) + total.reshape(X.shape)
  np.testing.assert_allclose(layer.apply(variables, X, 3), expected, rtol=1e-4, atol=1e-5)


def test_temporal_attention_is_its_formula_at_every_pixel():
  layer = temporal.TemporalAttention(head_width=4)
  variables = drawn(layer, X, frames=3)
  p = jax.tree.map(np.float64, variables['params'])
  expected = np.float64(X).reshape(2, 3, 2, 2, 8)
  for clip, row, column in np.ndindex(2, 2, 2):
    tokens = expected[clip, :, row, column][None].copy()
    y = reference.layer_norm(tokens, **p['norm'], epsilon=1e-5) + positions(3, 8)
    q, k, v = np.split(reference.dense(y, p['qkv']), 3, axis=-1)
    read = reference.dense(reference.attention(q, k, v, heads=2), p['out'])
    expected[clip, :, row, column] += read[0]
  found = layer.apply(variables, X, 3)
  np.testing.assert_allclose(found, expected.reshape(X.shape), rtol=1e-4, atol=1e-4)
