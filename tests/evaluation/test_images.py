import cv2
import numpy as np
import pytest

from ifmdm_jax.evaluation import images
from ifmdm_jax.evaluation.types import Absent
from tests.evaluation import synthetic


@pytest.fixture(scope='module')
def picture():
  return cv2.resize(synthetic.portrait(), (128, 128), interpolation=cv2.INTER_AREA)


def test_psnr_of_a_known_error():
  a = np.full((2, 8, 8, 3), 100, np.uint8)
  np.testing.assert_allclose(images.psnr(a, a + np.uint8(10)), 10 * np.log10(255**2 / 100))


def test_psnr_of_equal_pictures_is_capped():
  a = np.zeros((8, 8, 3), np.uint8)
  assert images.psnr(a, a) == 100


def test_equal_pictures_are_best_and_blur_is_worse_the_more_of_it(picture):
  blurred = [cv2.GaussianBlur(picture, (0, 0), s) for s in (0.5, 1, 2, 4)]
  assert images.ssim(picture, picture) == pytest.approx(1, abs=1e-6)
  assert images.l1(picture, picture) == 0
  for better, worse in zip([picture, *blurred], blurred):
    assert images.psnr(picture, better) > images.psnr(picture, worse)
    assert images.ssim(picture, better) > images.ssim(picture, worse)
    assert images.l1(picture, better) < images.l1(picture, worse)


def test_ssim_is_the_published_one(picture):
  metrics = pytest.importorskip('skimage.metrics')
  other = cv2.GaussianBlur(picture, (0, 0), 1.5)
  options = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
  theirs = metrics.structural_similarity(picture, other, channel_axis=-1, **options)
  assert images.ssim(picture, other) == pytest.approx(theirs, abs=1e-3)


def test_ssim_of_stored_pictures():
  # skimage 0.26, Gaussian mode, population covariance, of the same two pictures.
  x = np.arange(32 * 40 * 3).reshape(32, 40, 3)
  a, b = (x * 7 % 256).astype(np.uint8), (x * 7 % 256 * 0.8 + (x * 13 % 31)).astype(np.uint8)
  assert images.ssim(a, b) == pytest.approx(0.963253, abs=1e-3)


def test_the_first_frame_is_not_counted():
  pair = synthetic.pair(frames=12)
  first = pair.predicted.copy()
  first[0] = 0
  scores = images.load().score(synthetic.replace(pair, predicted=first))
  assert scores['psnr'] == 100 and scores['l1'] == 0


def test_without_a_face_only_the_boxes_are_absent():
  pair = synthetic.pair(frames=12)
  nowhere = np.full_like(pair.landmarks, np.nan)
  scores = images.load().score(synthetic.replace(pair, reference_landmarks=nowhere))
  assert isinstance(scores['psnr_face'], Absent) and isinstance(scores['psnr_mouth'], Absent)
  assert scores['psnr'] == 100
