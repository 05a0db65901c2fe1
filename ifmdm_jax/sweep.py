"""Runs a sweep: one config, several values, one table and one plot.

  python -m ifmdm_jax.sweep --config sweeps/motion_statistics             lists
  python -m ifmdm_jax.sweep --config ... --index 2                                   runs one
  python -m ifmdm_jax.sweep --config ... --launch local --parallel 2                 runs all
  python -m ifmdm_jax.sweep --config ... --launch slurm --sbatch "--gpus=1 --time=8:00:00"
  python -m ifmdm_jax.sweep --config ... --collect                                   table, plot

A sweep is a config file with `get_config()` and `sweep(add)`, which calls add({'model.depth': 4})
once for each run; `run(config, workdir) -> {name: number}` may stand in place of training. A run
goes on where it was stopped, so the same command finishes what is left. Results are the last
validation of each run, in --output as results.csv, table.md and plot.png.

  other sizes of the config       --config sweeps/motion_statistics:tiny
  settings of all runs            --set train.steps=200 --set data.cache=runs/cache
"""

import pathlib
import sys

from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.errors import InputError
from ifmdm_jax.sweeps import definition, launch, table

_CONFIG = flags.DEFINE_string('config', None, 'Name or file, and :size.', **errors.SHARED)
_SET = flags.DEFINE_multi_string('set', [], 'name=value for all runs.', **errors.SHARED)
_INDEX = flags.DEFINE_integer('index', None, 'Run this one.', lower_bound=0, **errors.SHARED)
_LAUNCH = flags.DEFINE_enum(
  'launch', None, ['local', 'slurm'], 'Run all: here, or as an array job.', **errors.SHARED
)
_PARALLEL = flags.DEFINE_integer('parallel', 1, 'Runs at a time.', lower_bound=1, **errors.SHARED)
_SBATCH = flags.DEFINE_string('sbatch', '', 'More arguments of sbatch.', **errors.SHARED)
_COLLECT = flags.DEFINE_bool('collect', False, 'Write table and plot.', **errors.SHARED)
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Runs lie here; default runs/sweeps/NAME.', **errors.SHARED
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Results lie here; default experiments/sweeps/NAME.', **errors.SHARED
)


def main(_):
  if not _CONFIG.value:
    raise InputError('expected --config NAME[:SIZE]; --help shows examples')
  sweep = definition.Sweep(_CONFIG.value, _SET.value)
  workdir = pathlib.Path(_WORKDIR.value or f'runs/sweeps/{sweep.name}')
  output = pathlib.Path(_OUTPUT.value or f'experiments/sweeps/{sweep.name}')
  if _INDEX.value is not None:
    print(sweep.run(_INDEX.value, workdir / str(_INDEX.value)))
  elif _LAUNCH.value == 'slurm':
    print(launch.slurm(sweep, workdir, _SBATCH.value))
  elif _LAUNCH.value == 'local':
    failed = launch.local(sweep, workdir, _PARALLEL.value)
    print(table.collect(sweep, workdir, output))
    if failed:
      sys.exit(1)
  elif _COLLECT.value:
    print(table.collect(sweep, workdir, output))
  else:
    for index, change in enumerate(sweep.changes):
      done = 'done' if (workdir / str(index) / definition.RESULT).exists() else ''
      print(f'{index:3}  {", ".join(f"{k}={v}" for k, v in change.items())}  {done}')


if __name__ == '__main__':
  errors.run(main)
