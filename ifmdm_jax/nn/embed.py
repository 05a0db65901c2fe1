"""Numbers as tokens: timestep features, two-layer embedders, missing inputs, positions."""

from __future__ import annotations

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

TIMESTEP_FEATURES = 256


@functools.cache
def frequencies(half=TIMESTEP_FEATURES // 2, max_period=10_000):
  """Computes exp(-ln(max_period) j / half), float32 numpy [half], bit for bit the original's.

  One last bit is worth 3e-5 radians at t = 999, so float32 has to round as it did there: in the
  exponent, after an otherwise exact exp, and upwards in one entry that lies almost between two.
  """
  exponents = np.float32(-math.log(max_period)) * np.arange(half, dtype=np.float32)
  exponents = exponents / np.float32(half)
  table = np.exp(exponents.astype(np.float64)).astype(np.float32)
  if (half, max_period) == (128, 10_000):
    table[12] = np.nextafter(table[12], np.float32(1))
  return table


def timestep_features(t, width=TIMESTEP_FEATURES):
  """Computes cosines, then sines, of t at falling frequencies: [B] -> float32 [B, width]."""
  angles = jnp.asarray(t, jnp.float32)[:, None] * frequencies(width // 2)[None, :]
  return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def positions(length, width):
  """Makes the fixed sine (first half) and cosine table: float32 numpy [length, width]."""
  omega = 1.0 / 10_000 ** (np.arange(width // 2) / (width / 2))
  angles = np.arange(length)[:, None] * omega[None, :]
  return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def drop_samples(x, rate, rng):
  """Replaces whole samples of x [B, ...] by zeros, each with probability `rate`."""
  missing = jax.random.bernoulli(rng, rate, (x.shape[0],) + (1,) * (x.ndim - 1))
  return jnp.where(missing, jnp.zeros_like(x), x)


class Embedder(nn.Module):
  """Dense, SiLU, Dense: [..., C] -> [..., width].

  In training whole samples go missing: their input becomes zeros, so that "no condition" has an
  embedding of its own.

  Attributes:
    width: size of the result and of the hidden layer.
    drop: probability that a sample goes missing; random stream 'drop'.
  """

  width: int
  drop: float = 0.0

  @nn.compact
  def __call__(self, x, train=False):
    if train and self.drop > 0:
      x = drop_samples(x, self.drop, self.make_rng('drop'))
    init = nn.initializers.normal(0.02)
    x = nn.silu(nn.Dense(self.width, kernel_init=init, name='hidden')(x))
    return nn.Dense(self.width, kernel_init=init, name='out')(x)
