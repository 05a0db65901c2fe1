import numpy as np

from ifmdm_jax.pipeline import blur


def test_blur_is_the_published_one_at_512_pixels():
  dot = np.zeros((512, 512, 3), np.uint8)
  dot[200:203, 300:303] = 255
  got = blur.blur_background(dot, np.zeros((256, 256), np.uint8)).astype(float)
  taps = np.exp(-0.5 * (np.arange(-10, 11) / 3.5) ** 2)
  line = np.convolve(np.repeat([0.0, 1.0, 0.0], [20, 3, 20]), taps / taps.sum(), 'same')
  wanted = 255 * np.outer(line, line)
  np.testing.assert_allclose(got[180:223, 280:323, 0], wanted, atol=1.0)  # whole grey levels
