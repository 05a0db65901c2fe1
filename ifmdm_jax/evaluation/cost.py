"""What generating costs: speed, time to the first frame, memory; measured while videos are made."""

import pathlib
import sys
import time

import jax
import numpy as np

from ifmdm_jax.evaluation.types import Absent, Metric

try:
  import resource
except ImportError:  # Windows has none
  resource = None

METRICS = {
  'speed': Metric('up', 'frames/s', 'portrait and voice to frames, warm, without encoding', 1),
  'first_frame_s': Metric('down', 's', 'until the first block of frames, warm', 2),
  'memory': Metric('down', 'MB', 'peak while generating: of the accelerator, or of the process', 0),
}
UNKNOWN = Absent('this system does not tell how much memory a process used')


def measure(blocks):
  """Draws all blocks of frames.

  Args:
    blocks: iterator over uint8 [t, S, S, 3].

  Returns:
    (frames [T, S, S, 3], {name: value of METRICS}).
  """
  reset_peak()
  start, first, drawn = time.monotonic(), None, []
  for block in blocks:
    drawn.append(np.asarray(block))
    first = first or time.monotonic() - start
  seconds, frames = time.monotonic() - start, np.concatenate(drawn)
  memory = peak_memory()
  spent = {'speed': len(frames) / seconds, 'first_frame_s': first}
  return frames, spent | {'memory': UNKNOWN if memory is None else memory}


def reset_peak():
  """Forgets the highest memory of this process so far (Linux; elsewhere it stays)."""
  try:
    pathlib.Path('/proc/self/clear_refs').write_text('5')
  except OSError:
    pass


def peak_memory():
  """Returns the highest memory in MB, of the accelerator or else of this process; None: unknown."""
  stats = jax.local_devices()[0].memory_stats() or {}
  if 'peak_bytes_in_use' in stats:
    return stats['peak_bytes_in_use'] / 1e6
  try:
    lines = pathlib.Path('/proc/self/status').read_text().splitlines()
    return next(float(line.split()[1]) / 1e3 for line in lines if line.startswith('VmHWM'))
  except (OSError, StopIteration):
    if resource is None:
      return None
    unit = 1e6 if sys.platform == 'darwin' else 1e3  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
