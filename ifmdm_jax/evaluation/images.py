"""Paired picture metrics without networks, on uint8 frames: PSNR, SSIM, L1."""

import cv2
import numpy as np

from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.face import crop

EVERY = 5  # frames, for SSIM
METRICS = {
  'psnr': Metric('up', 'dB', 'whole frame, every frame but the first', 2),
  'psnr_face': Metric('up', 'dB', "box of the reference's face x1.3", 2),
  'psnr_mouth': Metric('up', 'dB', "box of the reference's lips x1.6", 2),
  'ssim': Metric('up', '', f'Gaussian 11 x 11, mean of R, G, B, every {EVERY}th frame'),
  'ssim_y': Metric('up', '', f'the same on luma (BT.601), every {EVERY}th frame'),
  'l1': Metric('down', '', 'mean |a - b|, pictures in [0, 1], every frame but the first', 4),
}
WINDOW, SIGMA = 11, 1.5
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def psnr(a, b):
  """Measures peak signal-to-noise ratios of uint8 [..., H, W, 3]: dB [...], at most 100."""
  error = np.square(a.astype(np.float32) - b.astype(np.float32)).mean((-3, -2, -1), np.float64)
  with np.errstate(divide='ignore'):
    return np.minimum(100.0, 10 * np.log10(255.0**2 / error))


def l1(a, b):
  """Averages the absolute difference of two uint8 pictures, as if they were in [0, 1]."""
  return cv2.norm(a, b, cv2.NORM_L1) / (255 * a.size)


def ssim(a, b):
  """Measures structural similarity (Wang et al. 2004), mean over pixels and channels.

  Gaussian window 11 x 11 of deviation 1.5, only where it lies inside the picture; K1 = 0.01,
  K2 = 0.03, range 255; population covariance.

  Args:
    a, b: [H, W] or [H, W, C], 0 to 255, sides of 11 or more.
  """
  # Shifted by half the range: float32 then keeps the small variances.
  a, b = a.astype(np.float32) - 128, b.astype(np.float32) - 128
  kernel = cv2.getGaussianKernel(WINDOW, SIGMA, cv2.CV_32F)
  edge = WINDOW // 2

  def blur(x):
    return cv2.sepFilter2D(x, cv2.CV_32F, kernel, kernel)[edge:-edge, edge:-edge]

  mean_a, mean_b = blur(a), blur(b)
  var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
  cov = blur(a * b) - mean_a * mean_b
  mean_a, mean_b = mean_a + 128, mean_b + 128
  c_1, c_2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
  structure = (2 * mean_a * mean_b + c_1) * (2 * cov + c_2)
  return float((structure / ((mean_a**2 + mean_b**2 + c_1) * (var_a + var_b + c_2))).mean())


def load(weights=None):
  return Scorer()


class Scorer:
  """See METRICS; the first frame, which a generator was shown, is not counted."""

  def score(self, pair):
    predicted, real = pair.predicted[1:], pair.reference[1:]
    if not len(predicted):
      return dict.fromkeys(METRICS, Absent('one frame only'))
    has_face, side = pair.reference_has_face[1:], real.shape[1]
    points = pair.reference_landmarks[1:]
    parts = {}
    for name, cut in (('psnr_face', crop.face_box), ('psnr_mouth', crop.mouth_box)):
      boxes = {t: cut(points[t], side) for t in np.flatnonzero(has_face)}
      values = [psnr(predicted[t][box], real[t][box]) for t, box in boxes.items()]
      parts[name] = float(np.mean(values)) if values else Absent('no face in the reference')
    similar = list(zip(predicted[::EVERY], real[::EVERY]))
    return {
      'psnr': float(np.mean([psnr(a, b) for a, b in zip(predicted, real)])),
      **parts,
      'ssim': float(np.mean([ssim(a, b) for a, b in similar])),
      'ssim_y': float(np.mean([ssim(a @ LUMA, b @ LUMA) for a, b in similar])),
      'l1': float(np.mean([l1(a, b) for a, b in zip(predicted, real)])),
    }
