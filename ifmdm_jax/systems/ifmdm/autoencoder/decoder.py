"""The synthesis network: a latent decides where the source's features go, level by level."""

import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.nn.equalized import NORMAL
from ifmdm_jax.nn.stylegan import StyledConv, ToRGB, channels
from ifmdm_jax.systems.ifmdm.autoencoder.flow import FlowHead


class Synthesis(nn.Module):
  """latent [B, D], features 8x8 ... SxS (coarse first) -> picture [B, S, S, 3], about [-1, 1].

  Nothing clamps the picture. Each level's tensors are sown as `intermediates`: `in`, `flow_raw`,
  `warp`, `out`, `rgb` (tuples, coarse first) here, `grid` and `mask` in `to_flows_*`.
  """

  max_width: int = 512
  generate: bool = True  # see `FlowHead`
  clean: bool = False
  multiplier: float = 1.0

  @nn.compact
  def __call__(self, latent, features):
    width = channels(4, self.max_width, self.multiplier)
    x = self.param('input', NORMAL, (4, 4, width))
    x = jnp.broadcast_to(x[None], (latent.shape[0], *x.shape)).astype(features[0].dtype)
    x = StyledConv(width, name='conv1')(x, latent)
    raw = rgb = None
    for level, feature in enumerate(features):
      width = feature.shape[-1]
      x = StyledConv(width, up=True, name=f'convs_{2 * level}')(x, latent)
      x = StyledConv(width, name=f'convs_{2 * level + 1}')(x, latent)
      self.sow('intermediates', 'in', x)
      last = level == len(features) - 1
      head = FlowHead(last, self.generate, self.clean, name=f'to_flows_{level}')
      warp, x, raw = head(x, latent, feature, raw)
      rgb = ToRGB(name=f'to_rgbs_{level}')(warp, rgb)
      for name, value in {'flow_raw': raw, 'warp': warp, 'out': x, 'rgb': rgb}.items():
        self.sow('intermediates', name, value)
    return rgb
