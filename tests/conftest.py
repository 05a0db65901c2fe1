"""Strict types, four virtual CPU devices, quick compiling, and each program compiled once."""

import os
import pathlib

# Before JAX is imported: it reads these once.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
flag = '--xla_force_host_platform_device_count'
if flag not in os.environ.get('XLA_FLAGS', ''):
  os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} {flag}=4'.strip()
cache = pathlib.Path(__file__).resolve().parents[1] / '.cache' / 'jax'
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(cache))  # inherited by subprocesses

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update('jax_numpy_dtype_promotion', 'strict')
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_compilation_cache_dir', os.environ['JAX_COMPILATION_CACHE_DIR'])
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)

# Rooms whose tests compare with a formula, a reference or a golden file, within a tolerance: there
# most of the time is LLVM's, and code that it has not optimised says the same. Not the rooms that
# promise bits (a stream as the whole, many devices as one): they promise them of what users run.
TOLERANT = ('audio', 'diffusion', 'evaluation', 'face', 'importers', 'nn', 'perception', 'pipeline',
            'systems/ifmdm/autoencoder', 'systems/ifmdm/motion',
            'systems/ifmdm/test_fresh.py')  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
  path = item.path.relative_to(pathlib.Path(__file__).parent)
  plain = any(path.is_relative_to(room) for room in TOLERANT)
  jax.config.update('jax_disable_most_optimizations', plain)


pytest_plugins = ['tests.small_sampler', 'tests.sets']  # fixtures for the whole tree
