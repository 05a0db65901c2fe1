"""Distances between sets of pictures or clips: FID, KID, FVD, and FID and KID on VGG-16.

FID (Heusel et al., 2017) and FVD (Unterthiner et al., 2018) compare Gaussians fitted to features:

  d = |m_1 - m_2|^2 + Tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2))

Fewer samples than features make it larger, so compare at equal counts only. KID (Binkowski et al.,
2018) is a kernel distance without that bias, and may come out below zero. Inception and I3D
weights are nobody's to ship; without them VGG-16 stands in, and its name stands in the metric.
"""

import jax
import numpy as np

from ifmdm_jax.evaluation.networks import PairedFeatures, available, in_batches
from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.perception import i3d, inception, vgg

STRIDE = 10  # frames
VGG_SIDE = 128  # pixels
CLIPS = 4  # of 16 frames, per video
SUBSETS, SUBSET = 100, 1000  # of KID

_EVERY = f'whole frames, every {STRIDE}th'
METRICS = {
  'fid': Metric('down', about=f'Inception-v3 of 2015, 2048 numbers, {_EVERY}', digits=1),
  'kid': Metric('down', about=f'the same features, cubic kernel, {_EVERY}', digits=4),
  'fid_vgg16': Metric(
    'down', about=f'VGG-16 relu5_3, mean of the picture at {VGG_SIDE} px, {_EVERY}', digits=1
  ),
  'kid_vgg16': Metric('down', about=f'the same features, cubic kernel, {_EVERY}', digits=4),
  'fvd': Metric(
    'down',
    about=f'I3D logits, up to {CLIPS} clips of 16 frames per video, the first from its start',
    digits=1,
  ),
}


def distance(x, y):
  """Measures the Fréchet distance of features [N, D] and [M, D], in float64; N and M at least 2.

  The trace of (C_1 C_2)^(1/2) is the sum of the singular values of A_1 A_2^T for any A with
  A^T A = C. No matrix root is taken, so that nothing goes wrong where N < D.
  """
  x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
  if min(len(x), len(y)) < 2:
    raise ValueError(f'expected at least 2 samples of each, got {len(x)} and {len(y)}')
  a, b = (_factor(v) for v in (x, y))
  root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
  mean = np.square(x.mean(0) - y.mean(0)).sum()
  return float(max(0.0, mean + (a**2).sum() + (b**2).sum() - 2 * root))


def _factor(x):
  """Returns A, with A^T A the unbiased covariance, of as few rows as possible."""
  a = (x - x.mean(0)) / np.sqrt(len(x) - 1)
  return np.linalg.qr(a, mode='r') if a.shape[0] > a.shape[1] else a


def kernel_distance(x, y, seed=0):
  """Measures KID: squared maximum mean discrepancy under (x y / D + 1)^3, without bias.

  Mean over 100 random subsets of 1000; sets that are no larger are used whole, once.
  """
  x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
  size = min(len(x), len(y))
  if size < 2:
    raise ValueError(f'expected at least 2 samples of each, got {len(x)} and {len(y)}')
  if max(len(x), len(y)) <= SUBSET:
    return _kernel_distance(x, y)
  rng, size = np.random.default_rng(seed), min(size, SUBSET)
  draw = lambda v: v[rng.choice(len(v), size, replace=False)]
  return float(np.mean([_kernel_distance(draw(x), draw(y)) for _ in range(SUBSETS)]))


def _kernel_distance(x, y):
  kernel = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3
  others = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))  # not with itself
  return float(others(kernel(x, x)) + others(kernel(y, y)) - 2 * kernel(x, y).mean())


class Scorer:
  """Set family of `evaluation.types`; which of its networks exist was decided by `load`."""

  draws = 100

  def __init__(self, networks, absent):
    self.networks, self.absent = networks, absent  # {name: frames -> features}, {name: Absent}
    self._paired = PairedFeatures(self._features)

  def describe(self, pair):
    return self._paired(pair)

  def _features(self, frames, landmarks):
    return {name: network(frames) for name, network in self.networks.items()}

  def score(self, clips):
    values = {}
    for metric, network, measure in (
      ('fid', 'inception', distance),
      ('kid', 'inception', kernel_distance),
      ('fid_vgg16', 'vgg16', distance),
      ('kid_vgg16', 'vgg16', kernel_distance),
      ('fvd', 'i3d', distance),
    ):
      if network in self.absent:
        values[metric] = self.absent[network]
        continue
      x, y = (
        np.concatenate([clip[f'{network}{which}'] for clip in clips])
        for which in ('', '_reference')
      )
      few = min(len(x), len(y)) < 2
      values[metric] = Absent('fewer than two samples of a set') if few else measure(x, y)
    return values


def load(weights=None):
  """Loads the scorer with every network that can be had; see `networks.available`."""
  makers = {'inception': _inception, 'vgg16': _vgg16, 'i3d': _i3d}
  return Scorer(*available(makers, weights))


def _inception(weights):
  return _pictures(inception.features, inception.load(weights), size=inception.SIDE)


def _vgg16(_):
  def features(params, x):
    return vgg.features(params, x / 127.5 - 1)['relu5_3'].mean((1, 2))

  return _pictures(features, vgg.load(), size=VGG_SIDE)


def _pictures(features, params, size, batch=8):
  """Makes frames [T, H, W, 3] -> features of every STRIDE-th, in batches of one shape."""

  @jax.jit
  def run(params, x):
    x = jax.image.resize(x.astype(np.float32), (batch, size, size, 3), 'linear', antialias=True)
    return features(params, x)

  def describe(frames):
    return in_batches(lambda x: run(params, x), frames[::STRIDE], batch)

  return describe


def _i3d(weights):
  params = i3d.load(weights)
  run = jax.jit(i3d.features)

  def describe(frames):
    count = min(CLIPS, len(frames) // i3d.FRAMES)
    if not count:
      return np.zeros((0, i3d.CLASSES), np.float32)
    starts = np.linspace(0, len(frames) - i3d.FRAMES, count).astype(int)
    clips = [run(params, frames[s : s + i3d.FRAMES][None])[0] for s in starts]
    return np.stack([np.asarray(clip) for clip in clips])

  return describe
