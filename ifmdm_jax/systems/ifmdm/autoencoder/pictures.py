"""Flow as a picture that people can read."""

import numpy as np


def flow_colours(flow, most=0.25):
  """Flow [B, H, W, 2] -> colours [B, H, W, 3] in [-1, 1].

  Direction is hue, length is saturation: white is no flow, full colour is `most` or more.
  """
  angle = np.arctan2(flow[..., 1], flow[..., 0])
  length = np.minimum(np.hypot(flow[..., 0], flow[..., 1]) / most, 1)
  hues = np.stack([np.cos(angle - turn) for turn in 2 * np.pi * np.arange(3) / 3], axis=-1)
  return 1 - length[..., None] * (1 - hues)
