import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.nn import attention2d
from tests.nn import reference
from tests.nn.reference import begun, drawn, redrawn

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(2, 3, 4, 16)), jnp.float32)
CONTEXT = jnp.asarray(RNG.normal(size=(2, 5, 7)), jnp.float32)


def test_sagan_attention_is_its_equations_and_begins_as_the_identity():
  module = attention2d.SelfAttention2d()
  variables = begun(module, X)
  np.testing.assert_array_equal(module.apply(variables, X), X)
  params = {**redrawn(variables['params']), 'gamma': jnp.array([0.7])}
  found = module.apply({**variables, 'params': params}, X)

  def conv(name):
    kernel = np.float64(params[name]['kernel'])[0, 0]
    u, v = (np.float64(variables['spectral'][name][side]) for side in 'uv')
    flat = np.float64(X).reshape(2, 12, 16)
    return flat @ (kernel / (u @ kernel.T @ v)) + np.float64(params[name]['bias'])

  query, key, value = map(conv, ('query', 'key', 'value'))
  assert query.shape[-1] == 2  # C / 8
  beta = reference.softmax(query @ key.transpose(0, 2, 1))
  expected = np.float64(X) + 0.7 * (beta @ value).reshape(X.shape)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_spatial_transformer_is_its_formula():
  module = attention2d.SpatialTransformer(head_width=8)
  variables = begun(module, X, CONTEXT)
  np.testing.assert_array_equal(module.apply(variables, X, CONTEXT), X)  # begins as the identity
  params = redrawn(variables['params'])
  found = module.apply({'params': params}, X, CONTEXT)

  p = jax.tree.map(np.float64, params)
  tokens = reference.group_norm(X, p['norm']['scale'], p['norm']['bias'], 4, 1e-6)
  tokens = reference.dense(tokens.reshape(2, 12, 16), p['proj_in'])
  block = p['block_0']
  norm = lambda x, name: reference.layer_norm(x, **block[name], epsilon=1e-5)

  def attend(x, context, layer):
    q, k, v = (
      reference.dense(y, layer[name])
      for y, name in ((x, 'query'), (context, 'key'), (context, 'value'))
    )
    return reference.dense(reference.attention(q, k, v, heads=2), layer['out'])

  y = norm(tokens, 'norm_self')
  tokens = tokens + attend(y, y, block['self_attention'])
  tokens = tokens + attend(norm(tokens, 'norm_cross'), CONTEXT, block['cross_attention'])
  value, gate = np.split(reference.dense(norm(tokens, 'norm_mlp'), block['mlp']['up']), 2, axis=-1)
  tokens = tokens + reference.dense(value * reference.gelu(gate), block['mlp']['down'])
  expected = np.float64(X) + reference.dense(tokens, p['proj_out']).reshape(X.shape)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_one_token_of_context_is_the_same_shift_at_every_pixel():
  module = attention2d.MultiHeadAttention(head_width=8)
  flat = X.reshape(2, 12, 16)
  variables = begun(module, flat, CONTEXT[:, :1])
  y = np.asarray(module.apply(variables, flat, CONTEXT[:, :1]))
  np.testing.assert_allclose(y, np.broadcast_to(y[:, :1], y.shape), rtol=1e-5, atol=1e-6)


def test_pixel_attention_is_its_formula():
  module = attention2d.PixelAttention(head_width=4)
  params = drawn(module, X)['params']
  p = jax.tree.map(np.float64, params)
  tokens = reference.group_norm(X, p['norm']['scale'], p['norm']['bias'], 4, 1e-5)
  q, k, v = np.split(reference.dense(tokens.reshape(2, 12, 16), p['qkv']), 3, axis=-1)
  read = reference.dense(reference.attention(q, k, v, heads=4), p['out']).reshape(X.shape)
  found = module.apply({'params': params}, X)
  np.testing.assert_allclose(found, np.float64(X) + read, rtol=1e-4, atol=1e-4)
