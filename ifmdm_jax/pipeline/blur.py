"""Blurs the background of training pictures, as the paper's section 5.4 does."""

import cv2
import numpy as np

SIDE = 512  # pixels of the pictures that the two numbers are of
TAPS, SIGMA = 21, 3.5  # of the Gaussian, pixels


def blur_background(picture, matte):
  """Blurs what is no person by a Gaussian of 21 taps and sigma 3.5 at 512 pixels.

  The edge of the picture is mirrored; the border of the person is hard.

  Args:
    picture: uint8 [R, R, 3]; taps and sigma shrink and grow with R.
    matte: uint8 [S, S] of any S, over 127 where a person is.

  Returns:
    uint8 [R, R, 3].
  """
  side = picture.shape[0]
  taps, sigma = 2 * round((TAPS // 2) * side / SIDE) + 1, SIGMA * side / SIDE
  blurred = cv2.GaussianBlur(picture, (taps, taps), sigma, borderType=cv2.BORDER_REFLECT_101)
  person = cv2.resize(matte, (side, side), interpolation=cv2.INTER_NEAREST) > 127
  return np.where(person[..., None], picture, blurred)
