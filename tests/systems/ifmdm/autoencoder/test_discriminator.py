import jax
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm.autoencoder.discriminator import Discriminator, minibatch_stddev


@pytest.mark.parametrize('batch', [1, 2, 4, 8])
def test_minibatch_stddev_agrees_with_the_original(batch):
  given, _, expected = testing.golden_unit('minibatch_stddev_value')
  spread = minibatch_stddev(given['x'][:batch])
  np.testing.assert_allclose(spread, expected[f'B{batch}'], atol=1e-5)


def test_batch_that_cannot_be_grouped_is_an_error():
  model = Discriminator(size=8, max_width=4)
  with pytest.raises(InputError, match='got 6 pictures, expected a multiple of 4'):
    jax.eval_shape(model.init, jax.random.key(0), np.zeros((6, 8, 8, 3), np.float32))
