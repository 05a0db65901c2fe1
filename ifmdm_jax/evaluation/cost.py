"""What generating costs; measured by `generators.Weights` while it makes the videos."""

from ifmdm_jax.evaluation.types import Metric

METRICS = {
  'speed': Metric('up', 'frames/s', 'portrait and voice to frames, warm, without encoding', 1),
  'first_frame_s': Metric('down', 's', 'until the first block of frames, warm', 2),
  'memory': Metric('down', 'MB', 'peak while generating: of the accelerator, or of the process', 0),
}
