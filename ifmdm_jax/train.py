"""Trains what a config names, on one device or many hosts.

  python -m ifmdm_jax.train --config autoencoder:lite --workdir runs/ae
  python -m ifmdm_jax.train --config motion:lite --workdir runs/motion --max_minutes 9
  python -m ifmdm_jax.train --config autoencoder:paper --dry_run --devices 8

The same command goes on where the last one stopped, on another mesh or number of hosts too. Single
settings change on the command line: --config.train.batch=8 --config.mesh.fsdp=4.

  many hosts     the same command on each; SLURM, GKE and TPU pods are recognised, see --distributed
  fine-tuning    --init_from RUN, with --config.train.take and --config.optim.trainable as patterns
  weights alone  --workdir runs/ae --export out/ae.safetensors    (the average; --best: the best)

Exit status: 0 done, or stopped with a checkpoint (SIGTERM, SIGHUP, Ctrl-C, --max_minutes); 1 the
loss is not finite, or the last checkpoint could not be written; 2 bad input.
"""

import pathlib
import sys

import ml_collections
from absl import flags
from ml_collections import config_flags

from ifmdm_jax import compile_cache, configs, errors
from ifmdm_jax.training import checkpoints, hosts, loop, plan, weights

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Name or file, and :size.', lock_config=True, **errors.SHARED
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder for checkpoints and logs.', **errors.SHARED)
_INIT_FROM = flags.DEFINE_string(
  'init_from',
  None,
  'Workdir, or *.safetensors of a release, that a new run starts from.',
  **errors.SHARED,
)
_MAX_MINUTES = flags.DEFINE_float(
  'max_minutes',
  None,
  'Stop with a checkpoint after so many minutes.',
  lower_bound=0,
  **errors.SHARED,
)
_DRY_RUN = flags.DEFINE_bool(
  'dry_run',
  False,
  'Print parameters, FLOPs, memory and expected speed, and exit; needs neither data nor device.',
  **errors.SHARED,
)
_DEVICES = flags.DEFINE_integer(
  'devices', None, 'With --dry_run: plan for so many devices.', lower_bound=1, **errors.SHARED
)
_COMPILE = flags.DEFINE_bool(
  'compile',
  False,
  'With --dry_run: compile as well, for memory and transfers as XLA plans them; takes minutes.',
  **errors.SHARED,
)
_ACCELERATOR = flags.DEFINE_string(
  'accelerator', 'H100', 'With --dry_run: which, see training/hardware.py.', **errors.SHARED
)
_EXPORT = flags.DEFINE_string(
  'export', None, 'Write the weights of --workdir as *.safetensors and exit.', **errors.SHARED
)
_BEST = flags.DEFINE_bool('best', False, 'With --export: the best checkpoint.', **errors.SHARED)
_DISTRIBUTED = flags.DEFINE_enum(
  'distributed',
  'auto',
  hosts.MODES,
  'auto: join the other processes of a SLURM step, GKE job or TPU pod; on: as JAX finds them; off:'
  ' train alone.',
  **errors.SHARED,
)
_COORDINATOR = flags.DEFINE_string(
  'coordinator', None, 'HOST:PORT of process 0, to join by hand.', **errors.SHARED
)
_PROCESSES = flags.DEFINE_integer(
  'processes', None, 'With --coordinator: how many.', lower_bound=1, **errors.SHARED
)
_PROCESS_INDEX = flags.DEFINE_integer(
  'process_index', None, 'With --coordinator: which one, from 0.', lower_bound=0, **errors.SHARED
)


def main(_):
  if _EXPORT.value:
    return export(_WORKDIR.value, _EXPORT.value, _BEST.value)
  if not _CONFIG.value or not (_WORKDIR.value or _DRY_RUN.value):
    raise errors.InputError(
      'expected --config NAME[:SIZE] and --workdir DIR; --help lists them all'
    )
  if not isinstance(_CONFIG.value, ml_collections.ConfigDict):  # so a missing file is passed on
    name = config_flags.get_config_filename(flags.FLAGS['config'])
    known = ', '.join(name for name in configs.names() if '/' not in name)
    raise errors.InputError(f'--config: expected a Python file or {known}; {name} cannot be read')
  if _DRY_RUN.value:
    devices = plan.pretend(_DEVICES.value)
    found = plan.dry_run(_CONFIG.value, devices, _COMPILE.value)
    print(plan.describe(found, _ACCELERATOR.value))
    return
  hosts.connect(_DISTRIBUTED.value, _COORDINATOR.value, _PROCESSES.value, _PROCESS_INDEX.value)
  hosts.say(_CONFIG.value)
  compile_cache.keep()  # the user's own: a run may come from somebody else, and programs are run
  try:
    loop.train(
      _CONFIG.value, _WORKDIR.value, init_from=_INIT_FROM.value, max_minutes=_MAX_MINUTES.value
    )
  except loop.NotFinite as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(1)


def export(workdir, path, best):
  """The averaged parameters of a run as one file; checkpoints hold the optimiser too."""
  if not workdir or not path.endswith('.safetensors'):
    raise errors.InputError(
      f'expected --workdir DIR and --export FILE.safetensors, got {workdir} and {path}'
    )
  _, params = checkpoints.load(workdir, best)
  weights.write(path, params)
  print(f'{path}: {pathlib.Path(path).stat().st_size / 1e6:.1f} MB')


def run():
  """Reading the config is part of reading the flags: what fails there is bad input too."""
  try:
    errors.run(main, rewrite=configs.found)
  except Exception as error:
    if flags.FLAGS.is_parsed():
      raise
    raise errors.InputError(f'--config cannot be read: {type(error).__name__}: {error}') from error


if __name__ == '__main__':
  with errors.fail_cleanly():
    run()
