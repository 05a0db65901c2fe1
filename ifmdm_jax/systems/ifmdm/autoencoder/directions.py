"""Motion as a step along a few orthogonal directions among appearance codes (LIA, eq. 2)."""

import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.nn.equalized import NORMAL


class Directions(nn.Module):
  """Motion code h [B, M] -> delta(h) = Q h, [B, D]."""

  style_dim: int
  motion_dim: int

  def setup(self):
    self.kernel = self.param('kernel', NORMAL, (self.style_dim, self.motion_dim))

  def basis(self):
    """Q [D, M], orthonormal columns: the Q of a QR, with the signs that Householder gives.

    Training differentiates through it. float32: QR has no bfloat16.
    """
    return jnp.linalg.qr(self.kernel.astype(jnp.float32) + 1e-8)[0]

  def __call__(self, h):
    return h @ self.basis().astype(h.dtype).T
