"""The flow head of one resolution: where to read the source's features, and where to trust them."""

import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.nn.equalized import ZEROS, per_channel
from ifmdm_jax.nn.fir import upsample
from ifmdm_jax.nn.modulated import ModulatedConv
from ifmdm_jax.nn.warp import base_grid, grid_sample


class FlowHead(nn.Module):
  """One level of flow. The flow is bounded: tanh moves a pixel by less than half the picture.

  Attributes:
    last: of the finest level, which has no next one to generate for.
    generate: fill up with generated features; LIA hands on x itself.
    clean: zero flow is the identity, see `nn.warp`.

  Args of the call:
    x: [B, r, r, C], what the synthesis has made so far.
    latent: [B, D].
    feature: [B, r, r, C] of the source.
    coarser: [B, r/2, r/2, 3], `raw` of the level before, or None.

  Returns:
    warp: [B, r, r, C], the source's features, moved and masked; the picture is made of these alone.
    out: [B, r, r, C], warp filled up from x, for the next level; None if `last`.
    raw: float32 [B, r, r, 3], flow x, flow y and mask, before tanh and sigmoid.
  """

  last: bool = False
  generate: bool = True
  clean: bool = False

  @nn.compact
  def __call__(self, x, latent, feature, coarser=None):
    raw = ModulatedConv(3, 1, demodulate=False, name='conv')(x, latent)
    raw = raw + per_channel(self.param('bias', ZEROS, (3,)), raw)
    raw = raw.astype(jnp.float32)  # bfloat16 cannot name each pixel of 512
    if coarser is not None:
      raw = raw + upsample(coarser)

    grid = jnp.tanh(raw[..., :2]) + base_grid(*raw.shape[1:3], centred=self.clean)
    mask = nn.sigmoid(raw[..., 2:]).astype(feature.dtype)
    self.sow('intermediates', 'grid', grid)
    self.sow('intermediates', 'mask', mask)
    warp = grid_sample(feature, grid) * mask
    if self.last:
      return warp, None, raw
    if self.generate:
      x = ModulatedConv(x.shape[-1], 1, demodulate=False, name='conv_gen')(x, latent)
    return warp, warp + x * (1 - mask), raw
