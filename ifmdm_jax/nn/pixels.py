"""Brings pictures from bytes to what networks read, and back."""

import jax.numpy as jnp


def as_float(pictures):
  """Brings uint8 [...] to float32 in [-1, 1]."""
  return jnp.asarray(pictures).astype(jnp.float32) / 127.5 - 1


def as_bytes(pictures):
  """Brings [...] in [-1, 1], clipped to it, to uint8."""
  return jnp.round((jnp.clip(pictures, -1, 1) + 1) * 127.5).astype(jnp.uint8)
