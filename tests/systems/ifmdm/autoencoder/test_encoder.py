import jax
import numpy as np

from ifmdm_jax import testing
from ifmdm_jax.systems.ifmdm.autoencoder.encoder import MotionHead

W_A = np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)


def codes(shift=0.0, **options):
  head = MotionHead(3, **options)
  params = testing.random_params(jax.eval_shape(head.init, jax.random.key(0), W_A)['params'])
  if 'bias' in params['fc_4']:
    params['fc_4']['bias'] = np.full(3, shift, np.float32)
  return np.asarray(head.apply({'params': params}, W_A))


def test_motion_codes_are_bounded_and_their_last_bias_is_not_there():
  assert np.abs(codes()).max() < 1
  head = MotionHead(3)
  assert 'bias' not in jax.eval_shape(head.init, jax.random.key(0), W_A)['params']['fc_4']


def test_the_last_bias_counts_in_clean_mode():
  shifted, plain = codes(0.5, use_bias=True), codes(use_bias=True)
  np.testing.assert_allclose(np.arctanh(shifted) - np.arctanh(plain), 0.5, atol=1e-3)


def test_codes_of_lia_are_not_squashed():
  lia = codes(20.0, use_bias=True, squash=False)
  np.testing.assert_allclose(lia - codes(use_bias=True, squash=False), 20.0, atol=1e-4)
