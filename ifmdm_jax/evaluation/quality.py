"""Quality without a reference: CPBD (sharp edges) and NIQE (natural statistics), on luma.

Narvekar & Karam 2011, "A no-reference image blur metric based on the cumulative probability of blur
detection"; Mittal, Soundararajan & Bovik 2013, "Making a completely blind image quality analyzer".
"""

import functools
import pathlib

import cv2
import numpy as np
import scipy.ndimage
import scipy.special

from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation.types import Absent, Metric

EVERY = 25  # frames
METRICS = {
  'cpbd': Metric('up', '', f'share of sharp edges, every {EVERY}th frame; ringing inflates it'),
  'niqe_own': Metric(
    'down', '', f'NIQE with statistics of training frames of this project, every {EVERY}th frame', 2
  ),
}
PRISTINE = pathlib.Path(__file__).parents[1] / 'weights' / 'niqe_own.npz'
BLOCK, PATCH = 64, 96
GAMMAS = np.arange(0.2, 10, 0.001)
RATIOS = scipy.special.gamma(2 / GAMMAS) ** 2 / (
  scipy.special.gamma(1 / GAMMAS) * scipy.special.gamma(3 / GAMMAS)
)


def load(weights=None):
  with np.load(PRISTINE) as file:
    return Scorer(file['mean'].astype(np.float64), file['covariance'].astype(np.float64))


class Scorer:
  """See METRICS; the first frame, which a generator was shown, is not counted."""

  def __init__(self, mean, covariance):
    self.pristine = mean, covariance

  def score(self, pair):
    chosen = pair.predicted[1::EVERY]
    if not len(chosen):
      return dict.fromkeys(METRICS, Absent('one frame only'))
    if min(chosen.shape[1:3]) < 2 * PATCH:
      natural = Absent(f'expected {2 * PATCH} pixels or more, got {min(chosen.shape[1:3])}')
    else:
      natural = float(np.mean([niqe(luma(frame), *self.pristine) for frame in chosen]))
    return {'cpbd': float(np.mean([cpbd(luma(frame)) for frame in chosen])), 'niqe_own': natural}


def luma(frame):
  """Turns uint8 RGB [H, W, 3] to grey: float64 [H, W], whole numbers 0 to 255."""
  return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float64)


# -- CPBD


def cpbd(image):
  """Measures the share of edges whose blur is not noticed, of a grey picture [H, W], 0 to 255.

  An edge is as wide as the way to the nearest extremum on either side (Marziliano). It is noticed
  as blurred with probability 1 - exp(-(w / w_jnb)^3.6), w_jnb = 5 px in blocks of contrast up to
  50 and 3 px above; edges with at most 0.63 count as sharp. Blocks of 64 x 64 count if more than
  0.2 % of their pixels are edges of Canny's detector.
  """
  edges, widths = canny(image), edge_widths(image)
  sharp = total = 0
  for i in range(image.shape[0] // BLOCK):
    for j in range(image.shape[1] // BLOCK):
      here = (slice(i * BLOCK, (i + 1) * BLOCK), slice(j * BLOCK, (j + 1) * BLOCK))
      if edges[here].sum() <= 0.002 * BLOCK**2:
        continue
      width = widths[here][widths[here] > 0]
      noticeable = 5 if int(np.ptp(image[here])) <= 50 else 3
      blur = 1 - np.exp(-((width / noticeable) ** 3.6))
      sharp, total = sharp + (np.round(100 * blur) <= 63).sum(), total + len(width)
  return float(sharp / total) if total else 0.0


def edge_widths(image):
  """Widths in pixels at the vertical edges of [H, W], 0 elsewhere."""
  strength = scipy.ndimage.convolve(image, np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]]) / 8) ** 2
  strength[strength <= 2 * np.sqrt(strength.mean())] = 0
  around = np.pad(strength, 1)
  thin = (strength > around[1:-1, :-2]) & (strength > around[1:-1, 2:])
  thin |= (strength > around[:-2, 1:-1]) & (strength > around[2:, 1:-1])
  thin[[0, -1]] = thin[:, [0, -1]] = False
  down, across = np.gradient(image)
  # Where nothing changes across, their angle stays 0, as in the published program.
  angle = np.where(across == 0, 0.0, np.degrees(np.arctan2(down, across)))
  angle = 45 * np.round(angle / 45)
  widths = np.zeros(image.shape, int)
  for sign, here in ((1, thin & (angle == 0)), (-1, thin & (np.abs(angle) == 180))):
    rows, columns = np.nonzero(here)
    left = _steps(sign * image[:, ::-1], rows, image.shape[1] - 1 - columns, falls=True)
    right = _steps(sign * image, rows, columns, falls=False)
    widths[rows, columns] = left + right
  return widths


def _steps(image, rows, columns, falls, longest=101):
  """Pixels from each place to the right until the picture stops falling or rising; 1 or more."""
  change = np.diff(image, axis=1)
  going = np.pad(change < 0 if falls else change > 0, ((0, 0), (0, longest + 1)))
  ahead = going[rows[:, None], columns[:, None] + 1 + np.arange(longest)]
  ahead[:, -1] = False
  return np.argmin(ahead, axis=1) + 1


def canny(image, low=0.1, high=0.2):
  """Canny's edges (deviation 1, magnitudes between two thresholds) of [H, W], bool.

  The thresholds are the published program's: for a picture from 0 to 255 they let nearly all
  local maxima of the gradient through.
  """
  blurred = scipy.ndimage.gaussian_filter(image, 1.0, mode='constant')
  inside = scipy.ndimage.gaussian_filter(np.ones_like(image), 1.0, mode='constant')
  blurred = blurred / (inside + np.finfo(float).eps)
  down, across = scipy.ndimage.sobel(blurred, 0), scipy.ndimage.sobel(blurred, 1)
  size = np.hypot(down, across)
  # Magnitudes at one pixel before and after along the gradient, between the two nearest pixels.
  padded = np.pad(size, 1)
  at = lambda i, j: padded[1 + i : padded.shape[0] - 1 + i, 1 + j : padded.shape[1] - 1 + j]
  steep = np.abs(down) > np.abs(across)
  share = np.minimum(np.abs(down), np.abs(across)) / np.maximum(
    np.maximum(np.abs(down), np.abs(across)), 1e-12
  )
  same = down * across >= 0
  largest = np.ones(size.shape, bool)
  for sign in (1, -1):
    diagonal = np.where(same, at(sign, sign), np.where(steep, at(sign, -sign), at(-sign, sign)))
    straight = np.where(steep, at(sign, 0), at(0, sign))
    largest &= size >= share * diagonal + (1 - share) * straight
  largest[[0, -1]] = largest[:, [0, -1]] = False
  weak = largest & (size >= low)
  labels, count = scipy.ndimage.label(weak, np.ones((3, 3)))
  kept = np.zeros(count + 1, bool)
  kept[labels[weak & (size >= high)]] = True
  kept[0] = False
  return kept[labels]


# -- NIQE


def niqe(image, mean, covariance):
  """Measures the distance of a picture's statistics from pristine ones.

  Args:
    image: grey [H, W], 0 to 255, sides of 192 or more.
    mean, covariance: [36], [36, 36] of pristine patches.
  """
  values = patch_features(image)[0]
  difference = values.mean(0) - mean
  pooled = (covariance + np.cov(values.T)) / 2
  return float(np.sqrt(difference @ np.linalg.pinv(pooled) @ difference))


def patch_features(image):
  """Returns (features [P, 36], sharpness [P]) of the 96 x 96 patches of a grey picture [H, W]."""
  height, width = (side // PATCH * PATCH for side in image.shape)
  image = image[:height, :width].astype(np.float32)
  features = []
  for scale in (1, 2):
    if scale == 2:
      image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    normal, spread = mscn(image)
    side = PATCH // scale
    tiles = _tiles(normal, side)
    features.append(np.stack([_features(tile) for tile in tiles]))
    if scale == 1:
      sharpness = _tiles(spread, side).mean((1, 2))
  return np.concatenate(features, axis=1), sharpness


def _tiles(image, side):
  rows, columns = image.shape[0] // side, image.shape[1] // side
  tiles = image.reshape(rows, side, columns, side).swapaxes(1, 2)
  return tiles.reshape(-1, side, side)


def mscn(image):
  """Mean-subtracted, contrast-normalised coefficients and the local deviation, [H, W] each."""
  blur = functools.partial(
    cv2.GaussianBlur, ksize=(7, 7), sigmaX=7 / 6, borderType=cv2.BORDER_REPLICATE
  )
  image = image - np.float32(128)  # keeps float32 exact enough; the coefficients do not change
  mean = blur(image)
  spread = np.sqrt(np.abs(blur(image * image) - mean * mean))
  return (image - mean) / (spread + 1), spread


def _features(tile):
  """Measures 18 numbers: shape and size of coefficients and of products with 4 neighbours."""
  shape, left, right = asymmetric_gaussian(tile)
  result = [shape, (left + right) / 2]
  for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
    shape, left, right = asymmetric_gaussian(tile * np.roll(tile, shift, (0, 1)))
    mean = (right - left) * scipy.special.gamma(2 / shape) / scipy.special.gamma(1 / shape)
    result += [shape, mean, left, right]
  return np.array(result)


def asymmetric_gaussian(x):
  """Shape, left and right scale of an asymmetric generalised Gaussian, by moments.

  The shape is looked up on a grid from 0.2 to 10 in steps of 0.001.
  """
  x = x.ravel().astype(np.float64)
  left = np.sqrt(np.mean(x[x < 0] ** 2)) if (x < 0).any() else 0.0
  right = np.sqrt(np.mean(x[x > 0] ** 2)) if (x > 0).any() else 0.0
  square = np.mean(x**2)
  if not (left and right and square):  # a flat patch
    return GAMMAS[-1], 0.0, 0.0
  skew = left / right
  ratio = np.mean(np.abs(x)) ** 2 / square * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
  shape = GAMMAS[np.argmin((RATIOS - ratio) ** 2)]
  scale = np.sqrt(scipy.special.gamma(1 / shape) / scipy.special.gamma(3 / shape))
  return shape, scale * left, scale * right


def fit(frames, sharpest=0.75):
  """Pristine statistics (mean [36], covariance [36, 36]) of uint8 frames.

  Only patches whose sharpness is above `sharpest` times the frame's sharpest one count.
  """
  chosen = []
  for frame in frames:
    features, sharpness = patch_features(luma(frame))
    chosen.append(features[sharpness > sharpest * sharpness.max()])
  chosen = np.concatenate(chosen)
  if len(chosen) < 2 * chosen.shape[1]:
    raise InputError(f'expected 72 sharp patches or more, found {len(chosen)}: give more frames')
  return chosen.mean(0), np.cov(chosen.T)
