"""How would either stage scale to many accelerators? Read from compiled programs, not measured.

  python experiments/scaling/run.py --output experiments/scaling

Each row is a process of its own with that many virtual CPU devices, for which the update is lowered
and compiled by XLA's partitioner; nothing is executed. See README.md for the assumptions.
"""

import argparse
import csv
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
COUNTS = (1, 8, 64, 512)
HOST = 8  # accelerators in a host
ACCELERATORS = ('H100', 'TPU v5')
# stage: config, rows per device, what is compiled (None: lowered alone, its collectives derived)
STAGES = {
  'motion': ('configs/motion.py', 'paper', 16, True),
  'autoencoder': ('configs/autoencoder.py', 'paper', 4, False),
}


def plan_of(stage, count, size=None):
  """In a process of its own: the plan of a stage on `count` devices as a dict."""
  sys.path.insert(0, str(ROOT))
  import importlib.util

  from ifmdm_jax.training import plan

  path, name, rows, compile_it = STAGES[stage]
  spec = importlib.util.spec_from_file_location('config', ROOT / path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config(name)
  config.train.update(batch=rows * count, compute='bfloat16')
  if size:  # the same networks on small pictures: their collectives do not depend on the pictures
    config.model.update(size=size, perceptual='')
    compile_it = True
  return plan.dry_run(config, plan.pretend(count), compile_it)._asdict()


def in_process(stage, count, size=None):
  words = [sys.executable, __file__, '--one', stage, '--count', str(count)]
  words += ['--size', str(size)] if size else []
  env = {**os.environ, 'PYTHONPATH': str(ROOT), 'TF_CPP_MIN_LOG_LEVEL': '3'}
  done = subprocess.run(words, env=env, stdout=subprocess.PIPE, text=True, check=True)
  return json.loads(done.stdout.splitlines()[-1])


def seconds_of(plan, gradient, device, efficiency):
  """(compute, transfer) seconds of a step; a ring per host, and a ring of hosts, of all-reduces."""
  compute = plan['flops'] / plan['devices'] / (efficiency * 1e12 * device.tflops)
  ring = lambda parts, rate: 2 * (parts - 1) / parts * gradient / (1e9 * rate)
  count = plan['devices']
  if count <= HOST:
    return compute, ring(count, device.link)
  # scatter inside the host, all-reduce a share between hosts, gather inside the host
  return compute, ring(HOST, device.link) + ring(count // HOST, device.nic * HOST)


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--output', type=pathlib.Path)
  parser.add_argument('--one', choices=STAGES)
  parser.add_argument('--count', type=int)
  parser.add_argument('--size', type=int)
  parser.add_argument('--counts', type=int, nargs='*', default=COUNTS)
  parser.add_argument('--stages', nargs='*', default=list(STAGES))
  args = parser.parse_args()
  if args.one:
    print(json.dumps(plan_of(args.one, args.count, args.size)))
    return
  sys.path.insert(0, str(ROOT))
  from tqdm import tqdm

  from ifmdm_jax.training import hardware, plan

  plans_file = args.output / 'plans.json'
  plans = json.loads(plans_file.read_text()) if plans_file.exists() else {}
  for stage in args.stages:
    for count in tqdm(args.counts, desc=stage, unit='mesh', disable=None):
      if f'{stage}/{count}' not in plans:  # a plan is made once; delete the file to start anew
        plans[f'{stage}/{count}'] = in_process(stage, count)
        plans_file.write_text(json.dumps(plans, indent=1))
  if 'autoencoder' in args.stages and 'autoencoder/8 at 32' not in plans:
    plans['autoencoder/8 at 32'] = in_process('autoencoder', 8, size=32)
    plans_file.write_text(json.dumps(plans, indent=1))

  rows = []
  for stage in args.stages:
    for name in ACCELERATORS:
      device, alone = hardware.of(name), None
      for count in args.counts:
        found = plans[f'{stage}/{count}']
        gradient = 4 * sum(found['params'].values())  # float32
        compute, transfer = seconds_of(found, gradient, device, plan.EFFICIENCY)
        alone = alone or compute
        rows.append(
          dict(
            stage=stage, accelerator=name, devices=count, batch=found['batch'],
            tflop_per_device=round(found['flops'] / count / 1e12, 3),
            all_reduce_mb=round(found['collectives'].get('all-reduce', 0) / 1e6, 1),
            gradient_mb=round(gradient / 1e6, 1),
            compute_ms=round(1e3 * compute, 2), transfer_ms=round(1e3 * transfer, 2),
            efficiency_hidden=round(alone / max(compute, transfer), 3),
            efficiency_exposed=round(alone / (compute + transfer), 3),
            samples_per_s=round(found['batch'] / (compute + transfer)),
          )
        )  # fmt: skip
  with (args.output / 'scaling.csv').open('w', newline='') as file:
    table = csv.DictWriter(file, rows[0])
    table.writeheader()
    table.writerows(rows)
  print((args.output / 'scaling.csv').read_text())


if __name__ == '__main__':
  main()
