"""How would either stage scale to many accelerators? Read from compiled programs, not measured.

  python experiments/scaling/run.py --output experiments/scaling

Each program is compiled in a process of its own by XLA's partitioner, for that many virtual CPU
devices; nothing is executed. Writes plans.json, collectives.csv and scaling.csv; programs that
plans.json has are not compiled again. See README.md for the assumptions.
"""

import argparse
import csv
import importlib
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
COUNTS = (1, 8, 64, 512)
HOST = 8  # accelerators in a host
ACCELERATORS = ('H100', 'TPU v5')
ROWS = {'autoencoder': 4, 'motion': 16}  # per device: pairs of frames, windows
# LLVM's own optimisations change neither the collectives nor what is allocated, and take minutes.
QUICK = '--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true'


class Case(NamedTuple):
  """A program: `size` is the side of stage 1's pictures in pixels, 0 for stage 2."""

  stage: str
  devices: int
  mesh: str = 'data'
  size: int = 0

  def __str__(self):
    side = f' {self.size} px' if self.size else ''
    return f'{self.stage}{side} {self.mesh}={self.devices}'


CASES = (
  *(Case('motion', count) for count in COUNTS),
  Case('motion', 8, 'fsdp'),
  *(Case('autoencoder', count, size=32) for count in (8, 64, 512)),
  Case('autoencoder', 8, size=512),
)


def config_of(stage, batch, size=0, **train):
  """`paper` of a stage."""
  sys.path.insert(0, str(ROOT))
  config = importlib.import_module(f'ifmdm_jax.configs.{stage}').get_config('paper')
  config.train.update(batch=batch, **train)
  if size:
    config.model.size = size
    if size < 64:  # VGG has no room
      config.model.perceptual = ''
  return config


def compiled(case):
  """The plan of a case as a dict; in a process of its own, as JAX counts its devices once."""
  config = config_of(case.stage, ROWS[case.stage] * case.devices, case.size, compute='bfloat16')
  config.mesh = {'data': 1, 'fsdp': 1, 'model': 1, case.mesh: -1}
  from ifmdm_jax.training import plan

  begin = time.process_time()
  found = plan.dry_run(config, plan.pretend(case.devices), compile_it=True)
  found = found._asdict()
  del found['live']  # traced; see memory.py
  return {**found, 'cpu_seconds': round(time.process_time() - begin, 1)}


def alone(script, *words, flags=QUICK):
  """What `script` with these words prints last, as JSON, from a process of its own."""
  env = {**os.environ, 'PYTHONPATH': str(ROOT), 'TF_CPP_MIN_LOG_LEVEL': '3', 'XLA_FLAGS': flags}
  command = [sys.executable, script, *map(str, words)]
  done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
  return json.loads(done.stdout.splitlines()[-1])


def write(path, rows):
  with path.open('w', newline='') as file:
    table = csv.DictWriter(file, rows[0])
    table.writeheader()
    table.writerows(rows)
  print(path.read_text())


def collectives(plans):
  """A row per compiled program: what travels beside what there is to travel."""
  from ifmdm_jax.training import plan

  megabytes = lambda size: round(size / 1e6, 1)
  for case in CASES:
    found = plans[str(case)]
    yield dict(
      program=str(case),
      gradient_mb=megabytes(4 * sum(found['params'].values())),  # float32
      **{f'{kind}_mb': megabytes(found['collectives'].get(kind, 0)) for kind in plan.COLLECTIVES},
      bytes_gb=round(found['bytes'] / 1e9, 2),
      temporary_gb=round(found['temporary'] / 1e9, 2),
      state_gb=round((found['state'] + found['optimiser'] + found['ema']) / 1e9, 3),
      compile_cpu_s=found['cpu_seconds'],
    )


def nearest(stage, count, plans):
  """The plan of a stage on so many devices, or on eight where that was not compiled."""
  size = 512 if stage == 'autoencoder' else 0
  case = next(c for c in (Case(stage, count, size=size), Case(stage, 8, size=size)) if c in CASES)
  return plans[str(case)]


def transfer_seconds(count, size, device):
  """A ring per host, and a ring of hosts."""
  ring = lambda parts, rate: 2 * (parts - 1) / parts * size / (1e9 * rate)
  if count <= HOST:
    return ring(count, device.link)
  # scatter inside the host, all-reduce a share between hosts, gather inside the host
  return ring(HOST, device.link) + ring(count // HOST, device.nic * HOST)


def scaling(plans):
  """A row per stage, accelerator and number of devices."""
  from ifmdm_jax.training import hardware, plan

  for stage, rows in ROWS.items():
    for name in ACCELERATORS:
      device = hardware.of(name)
      for count in COUNTS:
        found = nearest(stage, count, plans)
        flops = found['flops'] / found['devices']
        compute = flops / (plan.EFFICIENCY * 1e12 * device.tflops)
        size = found['collectives']['all-reduce'] if count > 1 else 0
        memory = found['bytes'] / (1e9 * device.memory_rate)
        transfer, slow = transfer_seconds(count, size, device), max(compute, memory)
        yield dict(
          stage=stage, accelerator=name, devices=count, batch=rows * count,
          tflop_per_device=round(flops / 1e12, 3),
          all_reduce_mb=round(size / 1e6, 1),
          compute_ms=round(1e3 * compute, 2),
          memory_ms=round(1e3 * memory, 2),
          transfer_ms=round(1e3 * transfer, 2),
          efficiency_low=round(compute / (compute + transfer), 2),
          efficiency_high=round(slow / max(slow, transfer), 2),
          samples_per_s_low=round(rows * count / (slow + transfer)),
          samples_per_s_high=round(rows * count / max(compute, transfer)),
        )  # fmt: skip


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--output', type=pathlib.Path)
  parser.add_argument('--case', nargs=4, help='compile one program and print its plan')
  args = parser.parse_args()
  if args.case:
    stage, devices, mesh, size = args.case
    print(json.dumps(compiled(Case(stage, int(devices), mesh, int(size)))))
    return
  sys.path.insert(0, str(ROOT))
  from tqdm import tqdm

  plans_file = args.output / 'plans.json'
  plans = json.loads(plans_file.read_text()) if plans_file.exists() else {}
  for case in tqdm(CASES, unit='program', disable=None):
    if str(case) not in plans:
      plans[str(case)] = alone(__file__, '--case', *case)
      plans_file.write_text(json.dumps(plans, indent=1) + '\n')
  write(args.output / 'collectives.csv', list(collectives(plans)))
  write(args.output / 'scaling.csv', list(scaling(plans)))


if __name__ == '__main__':
  main()
