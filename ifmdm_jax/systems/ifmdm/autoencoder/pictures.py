"""What stage 1 does, as pictures that people can read."""

import numpy as np

from ifmdm_jax.nn.warp import base_grid
from ifmdm_jax.systems.ifmdm.autoencoder.encoder import num_halvings
from ifmdm_jax.systems.ifmdm.autoencoder.model import build
from ifmdm_jax.systems.ifmdm.autoencoder.step import pair


def flow_colours(flow, most=0.25):
  """Colours flow [B, H, W, 2]: [B, H, W, 3] in [-1, 1].

  Direction is hue, length is saturation: white is no flow, full colour is `most` or more.
  """
  angle = np.arctan2(flow[..., 1], flow[..., 0])
  length = np.minimum(np.hypot(flow[..., 0], flow[..., 1]) / most, 1)
  hues = np.stack([np.cos(angle - turn) for turn in 2 * np.pi * np.arange(3) / 3], axis=-1)
  return 1 - length[..., None] * (1 - hues)


def pictures(params, batch, config):
  """Draws a row for each of four samples at most: source | target | picture | flow | mask.

  The flow is the finest level's: hue is where a pixel is read from, white is nowhere else; the mask
  is black where features are generated instead.
  """
  gen, _ = build(config)
  source, target = (x[:4] for x in pair(batch, config.size))
  drawn, sown = gen.apply({'params': params['gen']}, source, target, mutable=['intermediates'])
  finest = sown['intermediates']['synthesis'][f'to_flows_{num_halvings(config.size) - 1}']
  grid, mask = (np.asarray(finest[name][0]) for name in ('grid', 'mask'))
  still = base_grid(*grid.shape[1:3], centred=gen.clean)
  columns = (source, target, drawn, flow_colours(grid - still), 2 * mask.repeat(3, -1) - 1)
  rows = np.concatenate([np.asarray(x) for x in columns], axis=2)  # [B, S, 5S, 3]
  rows = np.clip((rows + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8)
  return {'source_target_made_flow_mask': rows.reshape(-1, *rows.shape[2:])}
