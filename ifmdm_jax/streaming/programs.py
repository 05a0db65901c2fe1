"""Programs that outlive the process, as traced and as compiled."""

import functools
import hashlib
import os
import pathlib
import pickle
import threading

import jax
import numpy as np
from jax import export

from ifmdm_jax.errors import InputError

_kept = None  # the folder


def keep(folder):
  """Keeps every compiled program in `folder`, so that the next process starts without compiling.

  To be called before anything is compiled. Programs belong to a version of JAX and a processor;
  others are compiled beside them. What is in the folder is run: it has to be your own.
  """
  global _kept
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
  _kept = folder


class Jitted:
  """`jax.jit` of a function; where programs are kept, its trace is kept as well.

  Tracing a network takes Python longer than fetching its compiled program takes.
  """

  def __init__(self, function, about, compiler_options=None, **options):
    """`about`: a pytree of what the function holds besides this package's source: configs, arrays.
    Arguments by name are static."""
    self._function, self._compile = function, dict(compiler_options=compiler_options)
    self._jitted = jax.jit(function, **self._compile, **options)
    self._about = [
      np.asarray(x).tobytes() if np.ndim(x) else str(x) for x in jax.tree.leaves(about)
    ]
    self.lower = self._jitted.lower
    self._ready, self._lock = {}, threading.Lock()

  def __call__(self, *args, **static):
    if _kept is None:
      return self._jitted(*args, **static)
    leaves, structure = jax.tree.flatten(args)
    shapes = tuple((np.shape(x), str(x.dtype)) for x in leaves)
    key = (structure, shapes, tuple(static.items()))
    with self._lock:  # one thread of several traces
      if key not in self._ready:
        self._ready[key] = self._restored(structure, shapes, static)
    run, out = self._ready[key]
    return jax.tree.unflatten(out, run(*leaves))

  def _restored(self, structure, shapes, static):
    """(function of leaves, structure of its result), from the folder or put there."""
    about = (_source(), jax.__version__, jax.default_backend(), self._about, str(structure), shapes,
             sorted(static.items()), self._compile)  # fmt: skip
    path = _kept / f'trace-{hashlib.sha256(repr(about).encode()).hexdigest()}'
    try:
      out, traced = pickle.loads(path.read_bytes())
      exported = export.deserialize(bytearray(traced))
    except (OSError, ValueError, EOFError, pickle.UnpicklingError):  # not there, or half of it

      def flat(*leaves):
        nonlocal out
        made, out = jax.tree.flatten(
          self._function(*jax.tree.unflatten(structure, leaves), **static)
        )
        return made

      out = None
      exported = export.export(jax.jit(flat))(*(jax.ShapeDtypeStruct(*shape) for shape in shapes))
      temporary = path.with_name(f'.{path.name}.{os.getpid()}')
      temporary.write_bytes(pickle.dumps((out, bytes(exported.serialize()))))
      os.replace(temporary, path)
    return jax.jit(exported.call, **self._compile), out


@functools.cache
def _source():
  """A digest of this package: a trace is of the source that it was made from."""
  files = sorted(pathlib.Path(__file__).parents[1].rglob('*.py'))
  return hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()
