import numpy as np

from ifmdm_jax import testing
from ifmdm_jax.systems.ifmdm.autoencoder.directions import Directions


def test_directions_agree_with_the_original_signs_included():
  given, _, expected = testing.golden_unit('direction')
  directions = Directions(512, 20)
  bound = directions.bind({'params': {'kernel': given['w']}})
  np.testing.assert_allclose(bound.basis(), expected['Q'], atol=2e-6)
  np.testing.assert_allclose(bound(given['h']), expected['delta'], atol=1e-5)
