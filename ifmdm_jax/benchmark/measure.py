"""Times of calls, and what the machine could do at best."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.streaming.programs import Jitted


def spread(times):
  """Sums seconds up as milliseconds: median, p10, p90."""
  low, middle, high = np.percentile(1000 * np.asarray(times), (10, 50, 90))
  return dict(ms=float(middle), p10=float(low), p90=float(high))


class Clock:
  """Reads wall and CPU time since it began, seconds."""

  def __init__(self):
    self._wall, self._cpu = time.perf_counter(), time.process_time()

  def read(self):
    return time.perf_counter() - self._wall, time.process_time() - self._cpu


def clock(run, repeats):
  """Times `run()`, which returns arrays; the first call, which may compile, is not counted.

  Returns:
    {'ms', 'p10', 'p90', 'cpu_ms'}.
  """
  jax.block_until_ready(run())
  wall, cpu = [], []
  for _ in range(repeats):
    began = Clock()
    jax.block_until_ready(run())
    for times, seconds in zip((wall, cpu), began.read()):
      times.append(seconds)
  return dict(spread(wall), cpu_ms=float(1000 * np.median(cpu)))


def roofline():
  """Measures float32 and bfloat16 matrix products, TFLOP/s, and a copy, GB/s read and written."""
  accelerated = jax.default_backend() != 'cpu'
  side, count = (8192, 2**29) if accelerated else (1536, 2**25)
  speeds = {}
  product = jax.jit(jnp.matmul)
  for dtype in ('float32', 'bfloat16'):
    x = jnp.ones((side, side), dtype)
    took = clock(lambda x=x: product(x, x), 10)['ms']
    speeds[f'{dtype}_tflops'] = 2 * side**3 / took / 1e9
  x = jnp.ones(count, jnp.float32)
  copy = jax.jit(lambda x: x + 1)
  speeds['copy_gb_per_s'] = 8 * count / clock(lambda: copy(x), 10)['ms'] / 1e6
  return speeds


def compiled_cost(function, arguments, constants):
  """Counts GFLOP, GB and MB of temporary memory of a jitted function, as its compiler does."""
  if isinstance(function, Jitted):  # it has the program already
    compiled = function.compiled(*arguments, **constants)
  else:
    compiled = function.lower(*arguments, **constants).compile()
  cost = compiled.cost_analysis()
  cost = cost[0] if isinstance(cost, list) else cost
  memory = compiled.memory_analysis()
  return dict(
    gflop=cost.get('flops', 0.0) / 1e9,
    gb=cost.get('bytes accessed', 0.0) / 1e9,
    temp_mb=getattr(memory, 'temp_size_in_bytes', 0) / 1e6,
  )


def with_roofline(row, roof, dtype='float32'):
  """Adds the share of the roofline; on a CPU, whose caches serve most bytes, of arithmetic."""
  fastest = row['gflop'] / roof[f'{dtype}_tflops']  # ms
  if jax.default_backend() != 'cpu':
    fastest = max(fastest, 1000 * row['gb'] / roof['copy_gb_per_s'])
  return dict(row, roofline=fastest / row['ms'])
