import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import errors
from ifmdm_jax.training.gradient import value_and_grad


class Net(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(3)(nn.tanh(nn.Dense(8)(x)))


BATCH = jax.random.normal(jax.random.key(0), (8, 4))
PARAMS = Net().init(jax.random.key(1), BATCH)['params']


def loss(params, batch, rng):
  del rng
  made = Net().apply({'params': params}, batch)
  return jnp.mean(made**2), {'size': jnp.abs(made).mean(), 'made': made}


def results(**settings):
  return jax.jit(value_and_grad(loss, **settings))(PARAMS, BATCH, jax.random.key(2))


@pytest.mark.parametrize('settings', [dict(pieces=4), dict(remat='products')])
def test_pieces_and_remat_change_nothing_but_rounding(settings):
  jax.tree.map(
    lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7),
    results(),
    results(**settings),
  )


def test_half_precision_computes_in_half_and_keeps_float32_gradients():
  (value, aux), grads = results(compute='bfloat16')
  assert {leaf.dtype for leaf in jax.tree.leaves((value, aux, grads))} == {jnp.dtype('float32')}
  (exact, _), exact_grads = results()
  assert value != exact  # it is in half
  # bfloat16 has 8 bits: 0.4 % per product, averaged over many.
  np.testing.assert_allclose(value, exact, rtol=2e-2)
  norm = lambda tree: np.sqrt(sum(np.square(leaf).sum() for leaf in jax.tree.leaves(tree)))
  assert norm(jax.tree.map(np.subtract, grads, exact_grads)) < 2e-2 * norm(exact_grads)
  text = jax.jit(value_and_grad(loss, compute='bfloat16')).lower(PARAMS, BATCH, None).as_text()
  products = [line for line in text.splitlines() if 'dot_general' in line]
  assert products and all('bf16' in line for line in products)


@pytest.mark.parametrize('settings', [dict(compute='float16'), dict(remat='all')])
def test_unknown_settings_are_reported(settings):
  with pytest.raises(errors.InputError, match='expected'):
    value_and_grad(loss, **settings)
