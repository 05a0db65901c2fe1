import numpy as np
import pytest

from ifmdm_jax.evaluation import images


def test_psnr_of_a_known_error():
  a = np.full((2, 8, 8, 3), 100, np.uint8)
  np.testing.assert_allclose(images.psnr(a, a + np.uint8(10)), 10 * np.log10(255**2 / 100))


def test_psnr_of_equal_pictures_is_capped():
  a = np.zeros((8, 8, 3), np.uint8)
  assert images.psnr(a, a) == 100


def test_mouth_box_holds_the_lips_and_stays_in_the_picture():
  points = np.full((468, 2), 0.5)
  points[61], points[291] = (0.4, 0.95), (0.6, 0.99)
  rows, columns = images.mouth_box(points, 100)
  assert columns.start == pytest.approx(25, abs=3) and columns.stop == pytest.approx(75, abs=3)
  assert rows.stop == 100
