import cv2
import numpy as np


def test_detector_finds_the_portrait_and_nothing_in_noise(portrait, detector):
  assert len(detector(portrait)) == 1
  noise = np.random.default_rng(0).integers(0, 256, portrait.shape, np.uint8)
  assert detector(noise) == []


def test_the_largest_face_comes_first(portrait, detector):
  small = cv2.resize(portrait, None, fx=0.5, fy=0.5)
  both = np.zeros((512, 1024, 3), np.uint8)
  both[:256, :256], both[:, 512:] = small, portrait
  found = detector(both)
  assert len(found) == 2
  assert found[0].box[0] > 512 > found[1].box[0]


def test_a_face_is_found_at_any_size(portrait, detector):
  for scale in (0.4, 1, 6):
    box = detector(cv2.resize(portrait, None, fx=scale, fy=scale))[0].box / scale
    np.testing.assert_allclose(box, detector(portrait)[0].box, atol=12)
