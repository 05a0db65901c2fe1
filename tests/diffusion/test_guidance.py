"""Guidance mixes two evaluations of one batch."""

import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.diffusion.guidance import classifier_free


def network(x, t, condition):
  return jnp.concatenate([x + condition['a'], x * condition['a']], -1)


def conditions():
  x = jnp.asarray([[1.0, 2.0], [3.0, 4.0]])
  return x, {'a': jnp.full((2, 2), 10.0), 'b': None}, {'a': jnp.zeros((2, 2)), 'b': None}


@pytest.mark.parametrize('one', [1, 1.0, jnp.asarray(1.0)])
def test_guidance_one_is_the_conditional_pass(one):
  x, condition, null_condition = conditions()
  got = classifier_free(network, condition, null_condition, one)(x, 0)
  np.testing.assert_allclose(got, network(x, 0, condition), rtol=1e-6)


def test_only_the_named_channels_are_guided():
  x, condition, null_condition = conditions()
  got = classifier_free(network, condition, null_condition, 3.0, channels=2)(x, 0)
  np.testing.assert_allclose(got, jnp.concatenate([x + 30, x * 10], -1))


def test_both_halves_are_one_batch():
  x, condition, null_condition = conditions()
  batches = []

  def counted(x, t, condition):
    batches.append(x.shape[0])
    return network(x, t, condition)

  classifier_free(counted, condition, null_condition, 2.0)(x, 0)
  classifier_free(counted, condition, null_condition, 1)(x, 0)
  assert batches == [4, 2]
