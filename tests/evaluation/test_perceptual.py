import cv2
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import perceptual
from tests.evaluation import synthetic


@pytest.fixture(scope='module')
def scorer():
  try:
    return perceptual.load()
  except InputError as error:
    pytest.skip(str(error))


@pytest.mark.parametrize('net', ['alex', 'vgg'])
def test_equal_pictures_are_at_no_distance_and_blur_is_further_the_more_of_it(
  scorer, net, monkeypatch
):
  monkeypatch.setattr(perceptual, 'SIDE', 64)  # a sixteenth of the work
  picture = cv2.resize(synthetic.portrait(), (64, 64), interpolation=cv2.INTER_AREA)
  blurred = [picture, *(cv2.GaussianBlur(picture, (0, 0), s) for s in (1, 3))]
  same, slight, strong = scorer.distance(net, np.stack([picture] * 3), np.stack(blurred))
  assert same == pytest.approx(0, abs=1e-6)
  assert 0.01 < slight < strong
