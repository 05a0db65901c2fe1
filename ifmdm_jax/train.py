"""Trains what a config names.

  python -m ifmdm_jax.train --config configs/autoencoder.py:lite --workdir runs/ae
  python -m ifmdm_jax.train --config configs/motion.py:lite --workdir runs/motion --max_minutes 9

The same command goes on where the last one stopped. Single settings change on the command line:
--config.train.batch=8 --config.optim.peak_lr=3e-4. Exit status: 0 done, or stopped with a
checkpoint (SIGTERM, Ctrl-C, --max_minutes); 1 the loss is not finite; 2 bad input.
"""

import os
import pathlib
import sys

import jax
import ml_collections
from absl import flags
from ml_collections import config_flags

from ifmdm_jax import errors
from ifmdm_jax.training import loop

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'File, or file:size.', lock_config=True, **errors.SHARED
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


def main(_):
  if not _CONFIG.value or not _WORKDIR.value:
    raise errors.InputError(
      'expected --config FILE[:SIZE] and --workdir DIR; --help lists them all'
    )
  if not isinstance(_CONFIG.value, ml_collections.ConfigDict):  # so a missing file is passed on
    name = config_flags.get_config_filename(flags.FLAGS['config'])
    raise errors.InputError(f'--config: expected a Python file, {name} cannot be read')
  print(_CONFIG.value)
  keep_compiled(pathlib.Path(_WORKDIR.value).absolute() / '.cache')
  try:
    loop.train(
      _CONFIG.value, _WORKDIR.value, init_from=_INIT_FROM.value, max_minutes=_MAX_MINUTES.value
    )
  except loop.NotFinite as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(1)


def keep_compiled(folder):
  """What was compiled once is read back by the next start, unless a cache is set already."""
  if not os.environ.get('JAX_COMPILATION_CACHE_DIR'):
    jax.config.update('jax_compilation_cache_dir', str(folder))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)


def run():
  """Reading the config is part of reading the flags: what fails there is bad input too."""
  try:
    errors.run(main)
  except Exception as error:
    if flags.FLAGS.is_parsed():
      raise
    raise errors.InputError(f'--config cannot be read: {type(error).__name__}: {error}') from error


if __name__ == '__main__':
  with errors.fail_cleanly():
    run()
