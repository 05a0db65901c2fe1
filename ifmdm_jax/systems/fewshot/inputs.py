"""What the networks are shown, in training and in use alike: frames in [-1, 1] beside drawings."""

import jax.numpy as jnp

from ifmdm_jax.systems.fewshot import drawings


def drawing(points, config):
  """Draws landmarks [..., N, 2], fractions of the side, as `config.model` says: [..., S, S, 3]."""
  return drawings.draw(points, config.image, inner_lips=config.inner_lips)


def beside(frames, drawn):
  """Joins frames and their drawings, [..., S, S, 3] each, to [..., S, S, 6]."""
  return jnp.concatenate([frames, drawn.astype(frames.dtype)], axis=-1)
