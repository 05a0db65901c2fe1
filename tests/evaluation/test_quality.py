import cv2
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import quality
from ifmdm_jax.evaluation.types import Absent
from tests.evaluation import synthetic


@pytest.fixture(scope='module')
def blurred():
  """The portrait in grey, then more and more blurred."""
  picture = quality.luma(synthetic.portrait())
  return [picture, *(np.round(cv2.GaussianBlur(picture, (0, 0), s)) for s in (0.7, 1.5, 3))]


def test_blur_lowers_cpbd_and_raises_niqe(blurred):
  sharp = [quality.cpbd(picture) for picture in blurred]
  assert sharp == sorted(sharp, reverse=True) and sharp[0] > sharp[-1] + 0.1
  scorer = quality.load()
  distance = [quality.niqe(picture, *scorer.pristine) for picture in blurred]
  assert distance[1:] == sorted(distance[1:]) and distance[-1] > distance[0] + 1


def test_cpbd_is_the_published_program_s(blurred):
  # cpbd 1.0.7 with scikit-image 0.26, on the portrait.
  assert quality.cpbd(blurred[0]) == pytest.approx(0.392504, abs=1e-3)


def test_a_picture_without_edges_is_not_sharp():
  assert quality.cpbd(np.full((128, 128), 90.0)) == 0


def test_the_fit_finds_the_gaussian_in_gaussian_noise():
  x = np.random.default_rng(0).normal(0, 2, 400_000)
  shape, left, right = quality.asymmetric_gaussian(x)
  assert shape == pytest.approx(2, abs=0.02)  # exp(-(x / scale)^2), scale^2 = 2 sigma^2
  assert left == pytest.approx(2 * 2**0.5, rel=0.02) and right == pytest.approx(left, rel=0.02)


def test_niqe_of_pictures_like_the_pristine_ones_is_low(blurred):
  frames = [
    synthetic.portrait()[i : i + 384, j : j + 384] for i in (0, 50, 99) for j in (0, 50, 99)
  ]
  mean, covariance = quality.fit(frames, sharpest=0.0)
  assert quality.niqe(blurred[0], mean, covariance) < 1
  assert quality.niqe(blurred[3], mean, covariance) > 3


def test_statistics_need_enough_patches():
  with pytest.raises(InputError, match='72 sharp patches'):
    quality.fit([synthetic.portrait()])


def test_small_frames_have_no_niqe():
  scores = quality.load().score(synthetic.pair(5))
  assert isinstance(scores['niqe_own'], Absent) and '192' in scores['niqe_own'].reason
