import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.nn import fir

USES = {
  'blur_pad2_2': lambda x: fir.blur(x, (2, 2)),
  'blur_pad1_1': lambda x: fir.blur(x, (1, 1)),
  'blur_pad1_1_gain4': lambda x: fir.blur(x, (1, 1), gain=4.0),
  'upsample2': fir.upsample,
  'downsample2': lambda x: fir.blur(x, (1, 1), down=2),
}


@pytest.mark.parametrize('use', USES)
def test_filter_agrees_with_the_original(use):
  given, _, expected = testing.golden_unit('fir')
  np.testing.assert_allclose(USES[use](given['x']), expected[use], atol=1e-5)


def test_gaussian_agrees_with_the_original():
  given, _, expected = testing.golden_unit('background_gaussian_21')
  y = fir.gaussian_blur(jnp.asarray(given['x']), 21, 3.5, mode='reflect')
  np.testing.assert_allclose(y, expected['y'], atol=1e-5)


def test_upsampling_keeps_a_flat_colour_inside():
  y = fir.upsample(jnp.full((1, 6, 6, 3), 0.7))
  assert y.shape == (1, 12, 12, 3)
  np.testing.assert_allclose(y[:, 2:-2, 2:-2], 0.7, rtol=1e-6)
