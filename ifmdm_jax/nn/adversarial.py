"""Losses between a generator and a discriminator whose scores are high for real pictures.

Sources: Lim & Ye 2017, "Geometric GAN" (hinge); Wang et al. 2018, "pix2pixHD", equation 4 (feature
matching); Esser et al. 2021, "Taming Transformers", equation 7 (adaptive weight).
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax


def hinge_discriminator(real, fake):
  """Computes mean relu(1 - real) + mean relu(1 + fake)."""
  return nn.relu(1 - real).mean() + nn.relu(1 + fake).mean()


def hinge_generator(fake):
  """Computes -mean fake."""
  return -fake.mean()


def feature_matching(real, fake, *, mean=False):
  """Sums the L1 between a discriminator's features of real and fake pictures over its layers.

  The real ones get no gradient. `mean` takes the mean over layers in place of their sum.
  """
  distance = lambda a, b: jnp.abs(lax.stop_gradient(a) - b).mean(dtype=jnp.float32)
  total = sum(distance(a, b) for a, b in zip(real, fake, strict=True))
  return total / len(real) if mean else total


def adaptive_weight(reconstruction_gradient, adversarial_gradient, most=1e4):
  """Weighs the adversarial term so that both pull equally at the decoder's last layer.

  Args:
    reconstruction_gradient, adversarial_gradient: gradients of the two terms with respect to the
      kernel of that layer.
    most: bound of the weight.

  Returns:
    |reconstruction| / (|adversarial| + 1e-4), from 0 to `most`; no gradient passes.
  """
  length = lambda tree: jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(tree)))
  ratio = length(reconstruction_gradient) / (length(adversarial_gradient) + 1e-4)
  return lax.stop_gradient(jnp.clip(ratio, 0.0, most))
