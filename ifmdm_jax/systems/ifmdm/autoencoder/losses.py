"""What stage 1 minimises: reconstruction, multi-scale perceptual and adversarial losses."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.nn.fir import gaussian_blur

SCALES = (1, 2, 4, 8)


def l1(reconstruction, target):
  """Averages the absolute difference."""
  return jnp.abs(reconstruction - target).mean(dtype=jnp.float32)


def gan_generator(fake_logits):
  """Rewards what looks real, non-saturating: -log D(fake), D = sigmoid(logits)."""
  return nn.softplus(-fake_logits).mean()


def gan_discriminator(real_logits, fake_logits):
  """Tells real from generated: -log D(real) - log(1 - D(fake))."""
  return nn.softplus(-real_logits).mean() + nn.softplus(fake_logits).mean()


def shrink(image, factor):
  """Shrinks [B, H, W, C] to [B, H/factor, W/factor, C]: gaussian low-pass, zeros outside."""
  if factor == 1:
    return image
  sigma = (factor - 1) / 2
  return gaussian_blur(image, 2 * round(4 * sigma) + 1, sigma, stride=factor)


def perceptual(features, reconstruction, target, scales=SCALES):
  """Sums mean absolute differences of features over layers and over an image pyramid.

  Args:
    features: pictures [B, H, W, 3] in [-1, 1] -> list or dict of feature maps, e.g. relu1_1 to
      relu5_1 of VGG-19.
    reconstruction, target: [B, H, W, 3] in [-1, 1]; the target gets no gradient.
    scales: by how much each level of the pyramid is shrunk.
  """
  total = jnp.zeros((), jnp.float32)
  for factor in scales:
    drawn = features(shrink(reconstruction, factor))
    wanted = jax.lax.stop_gradient(features(shrink(target, factor)))
    total += sum(jax.tree.leaves(jax.tree.map(l1, drawn, wanted)))
  return total
