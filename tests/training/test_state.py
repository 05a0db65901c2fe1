import jax.numpy as jnp
import numpy as np

from ifmdm_jax.training import state as states


def test_average_is_exponential_after_its_ramp():
  ema, new = {'w': jnp.array([1.0, 2.0])}, {'w': jnp.array([3.0, 4.0])}
  late = states.update_ema(ema, new, jnp.array(10**6), 0.9)
  np.testing.assert_allclose(late['w'], [1.2, 2.2], rtol=1e-6)
  first = states.update_ema(ema, new, jnp.array(0), 0.9)  # decay 1/10
  np.testing.assert_allclose(first['w'], [2.8, 3.8], rtol=1e-6)


def test_average_copies_what_cannot_be_averaged_and_may_be_absent():
  count = states.update_ema({'n': jnp.array(1)}, {'n': jnp.array(5)}, jnp.array(3), 0.9)
  assert int(count['n']) == 5
  assert states.update_ema(None, {'n': jnp.array(5)}, jnp.array(3), 0.9) is None


def test_a_leaf_has_one_name():
  assert list(states.by_path({'a': {'b': 1, 'c': (2, 3)}})) == ['a/b', 'a/c/0', 'a/c/1']


def test_without_a_ramp_the_first_average_is_as_slow_as_any():
  ema, new = {'a': jnp.zeros(2)}, {'a': jnp.ones(2)}
  first = states.update_ema(ema, new, jnp.array(0), 0.9, ramp=False)
  np.testing.assert_allclose(first['a'], 0.1, rtol=1e-6)
