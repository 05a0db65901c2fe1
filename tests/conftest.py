"""Strict types, four virtual CPU devices, quick compiling, and each program compiled once."""

import atexit
import gc
import os
import pathlib
import shutil
import tempfile

# Before JAX is imported: it reads these once.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
flag = '--xla_force_host_platform_device_count'
if flag not in os.environ.get('XLA_FLAGS', ''):
  os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} {flag}=4'.strip()
cache = pathlib.Path(__file__).resolve().parents[1] / '.cache' / 'jax'
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(cache))  # inherited by subprocesses
settings = tempfile.mkdtemp()  # where videos of tests get the certificate that signs them
atexit.register(shutil.rmtree, settings, ignore_errors=True)
os.environ.update(XDG_CONFIG_HOME=settings, APPDATA=settings)

import jax  # noqa: E402
import pytest  # noqa: E402
from jax._src import compiler  # noqa: E402

jax.config.update('jax_numpy_dtype_promotion', 'strict')
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_compilation_cache_dir', os.environ['JAX_COMPILATION_CACHE_DIR'])
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)

# Rooms whose tests compare with a formula, a reference or a golden file, within a tolerance: there
# most of the time is LLVM's, and code that it has not optimised says the same. Not the rooms that
# promise bits (a stream as the whole, many devices as one): they promise them of what users run.
# And there each fused loop is LLVM's at once, not by way of MLIR: half of the time that was left.
# JAX has no setting for it but an argument of every `jit`, hence the function of its own.
TOLERANT = ('audio', 'diffusion', 'evaluation', 'face', 'importers', 'nn', 'perception', 'pipeline',
            'systems/difftalk', 'systems/fewshot', 'systems/ifmdm/autoencoder',
            'systems/ifmdm/motion', 'systems/ifmdm/test_fresh.py', 'systems/vlogger',
            'test_import_weights.py', 'training/test_gradient.py',
            'training/test_optim.py')  # fmt: skip
BUT_NOT = ('face/test_raster.py',)  # compares weights near 0 to the fifth digit


options_of_jax = compiler.get_compile_options


def options(*args, env_options_overrides=None, **rest):
  asked = dict(env_options_overrides or {})
  if jax.config.read('jax_disable_most_optimizations'):
    asked.setdefault('xla_cpu_use_fusion_emitters', False)
  return options_of_jax(*args, env_options_overrides=asked, **rest)


compiler.get_compile_options = options


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
  path = item.path.relative_to(pathlib.Path(__file__).parent)
  within = lambda rooms: any(path.is_relative_to(room) for room in rooms)
  plain = within(TOLERANT) and not within(BUT_NOT)
  jax.config.update('jax_disable_most_optimizations', plain)


def pytest_collection_finish():
  gc.freeze()  # what was imported stays: the collector need not look at it again and again


pytest_plugins = ['tests.small_sampler', 'tests.sets']  # fixtures for the whole tree


def pytest_terminal_summary(terminalreporter):
  """Prints what tests have measured for the reader of the log: `record_property('took', line)`."""
  for report in terminalreporter.getreports('passed'):
    for name, line in report.user_properties:
      if name == 'took':
        terminalreporter.write_line(line)
