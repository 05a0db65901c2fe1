"""Classifier-free guidance (Ho & Salimans 2022): pushes predictions away from "no condition"."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def classifier_free(network, condition, null_condition, scale, channels=None):
  """Builds a guided denoiser that evaluates [condition | null_condition] as one batch.

  Args:
    network: (x_t [B, ..., C], t scalar or [B], condition) -> output [B, ..., K].
    condition, null_condition: equal trees of arrays [B, ...].
    scale: 1 is the conditional prediction, larger follows the condition more. A Python number
      equal to 1 spares the second half of the batch.
    channels: number of leading output channels to guide; the rest (a learned variance) is taken
      from the conditional half. All, if None.

  Returns:
    denoise(x_t, t) -> [B, ..., K].
  """
  if isinstance(scale, (int, float)) and scale == 1:
    return lambda x_t, t: network(x_t, t, condition)

  def stack(a, b):
    return jnp.concatenate([a, b], axis=0)

  both = jax.tree.map(stack, condition, null_condition)

  def denoise(x_t, t):
    t = stack(t, t) if jnp.ndim(t) else t
    with_, without = jnp.split(network(stack(x_t, x_t), t, both), 2, axis=0)
    guided = without + scale * (with_ - without)
    if channels is None:
      return guided
    return jnp.concatenate([guided[..., :channels], with_[..., channels:]], axis=-1)

  return denoise
