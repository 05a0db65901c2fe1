"""How much memory does a step take? Traced, compiled, and measured where it is small enough to run.

  python experiments/scaling/memory.py --output experiments/scaling

Writes memory.csv, a row per program on one device; rows that it has are not made again.

  traced     plan.peak_bytes, what --dry_run prints: in the order of the program, nothing fused
  compiled   compiled.memory_analysis() of XLA for CPU: temporary buffers, without what is given
  measured   the process's peak less what it held before, while one step of the program runs
"""

import argparse
import csv
import json
import pathlib
import sys
from typing import NamedTuple

import run

ALL = 'all'  # parts of stage 1 that are made again


class Case(NamedTuple):
  """`size`: side of stage 1's pictures in pixels, 0: stage 2; `width`: most channels, 0: as
  published; `how`: trace, compile or execute."""

  stage: str
  size: int
  width: int
  batch: int
  compute: str
  remat: str
  how: str


CASES = (
  Case('motion', 0, 0, 16, 'float32', '', 'execute'),
  Case('autoencoder', 32, 64, 4, 'float32', '', 'execute'),
  Case('autoencoder', 512, 0, 4, 'bfloat16', ALL, 'trace'),
  Case('autoencoder', 512, 0, 4, 'bfloat16', '', 'trace'),
  Case('autoencoder', 512, 0, 4, 'float32', '', 'trace'),
)


def measure(case):
  """A row of memory.csv."""
  config = run.config_of(case.stage, case.batch, case.size, compute=case.compute)
  import jax
  import jax.numpy as jnp

  from ifmdm_jax.systems.ifmdm.autoencoder import model as stage_1
  from ifmdm_jax.training import plan, program, sharding

  if case.width:
    config.model.update(max_width=case.width, refine_width=case.width)
  if case.remat:
    config.model.remat = stage_1.PARTS
  built = program.build(config, plan.pretend(1))
  frozen, batch = plan.abstract_frozen(built, config), plan.abstract_batch(built, config)
  key = jax.eval_shape(lambda: jax.random.key(0))
  traced = built.update.trace(built.shapes, batch, key, frozen)
  shapes = {leaf.shape for leaf in jax.tree.leaves(built.shapes.params)}
  held = lambda tree, shardings: plan.per_device(tree, shardings) / 1e9
  row = dict(
    parameters_gb=held(built.shapes.params, built.shardings.params),
    optimiser_gb=held(built.shapes.opt_state, built.shardings.opt_state),
    average_gb=held(built.shapes.ema, built.shardings.ema),
    traced_gb=plan.peak_bytes(traced.jaxpr.jaxpr, case.batch, 1, shapes) / 1e9,
  )
  if case.how != 'trace':
    compiled = traced.lower().compile()
    row['compiled_gb'] = compiled.memory_analysis().temp_size_in_bytes / 1e9
  if case.how == 'execute':
    zeros = lambda tree: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), tree)
    state = jax.device_put(zeros(built.shapes), built.shardings)
    batch = sharding.put_batch(sharding.batch_sharding(built.mesh), zeros(batch))
    frozen = program.frozen(built, config)
    jax.block_until_ready((state, batch, frozen))
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # the peak is now
    before = resident('VmRSS')
    jax.block_until_ready(compiled(state, batch, jax.random.key(0), frozen))
    row['measured_gb'] = (resident('VmHWM') - before) / 1e6
  return {name: round(value, 3) for name, value in row.items()}


def resident(name):
  """A figure of this process in kB."""
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  return int(next(line for line in lines if line.startswith(name)).split()[1])


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--output', type=pathlib.Path)
  parser.add_argument('--case', type=int, help='make one row and print it')
  args = parser.parse_args()
  if args.case is not None:
    print(json.dumps(measure(CASES[args.case])))
    return
  sys.path.insert(0, str(run.ROOT))
  from tqdm import tqdm

  path = args.output / 'memory.csv'
  names = ('parameters_gb', 'optimiser_gb', 'average_gb', 'traced_gb', 'compiled_gb', 'measured_gb')
  rows = list(csv.DictReader(path.open(newline=''))) if path.exists() else []
  for index, case in enumerate(tqdm(CASES, unit='program', disable=None)):
    known = {name: str(value) for name, value in case._asdict().items()}
    if not any(known.items() <= row.items() for row in rows):
      found = run.alone(__file__, '--case', index)
      rows.append({**known, **{name: found.get(name, '') for name in names}})
      run.write(path, rows)


if __name__ == '__main__':
  main()
