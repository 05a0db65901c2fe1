"""Compiled programs that outlive the process."""

import pathlib

import jax

from ifmdm_jax.errors import InputError


def keep(folder):
  """Keeps every compiled program in `folder`, so that the next process starts without compiling.

  To be called before anything is compiled. Programs belong to a version of JAX and a processor;
  others are compiled beside them.
  """
  folder = pathlib.Path(folder).expanduser().absolute()
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(
      f'expected a folder for compiled programs, cannot make {folder} ({error.strerror}): '
      'choose another --compile_cache'
    ) from error
  jax.config.update('jax_compilation_cache_dir', str(folder))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)
