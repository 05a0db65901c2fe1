"""Programs that compile side by side, and outlive the process, as traced and as compiled."""

import concurrent.futures
import contextlib
import ctypes
import hashlib
import sys
import threading
import time
from typing import NamedTuple

import flax
import jax
import numpy as np
from jax import export
from tqdm import tqdm

from ifmdm_jax import compile_cache
from ifmdm_jax.errors import InputError

COMPILERS = 4  # programs compiled at once, at most: each is one core's work
PATIENCE = 5.0  # seconds until a log is told what the time goes to

_pool = concurrent.futures.ThreadPoolExecutor(COMPILERS, 'compile')


class Job(NamedTuple):
  """What is being compiled, in words, and when it is done."""

  name: str
  done: concurrent.futures.Future


def begin(name, function, *args):
  """Runs a function of any kind, which compiles something, beside the caller: a `Job`."""
  return Job(name, _pool.submit(function, *args))


def wait(jobs):
  """Waits for all of them, under a bar that says what is being compiled; raises what they raise."""
  began, told = time.monotonic(), sys.stderr.isatty()
  form = '{desc} |{bar:20}| {elapsed}'
  with tqdm(total=len(jobs), bar_format=form, delay=0.5, disable=None) as bar:
    while pending := [job for job in jobs if not job.done.done()]:
      bar.n = len(jobs) - len(pending)
      bar.set_description_str(f'compiling {pending[0].name}, {bar.n + 1} of {len(jobs)}')
      concurrent.futures.wait([job.done for job in pending], 0.2, 'FIRST_COMPLETED')
      if not told and time.monotonic() - began > PATIENCE:
        told = True
        kept = compile_cache.folder()
        later = f', once: kept in {kept.parent}' if kept else ''
        print(f'note: compiling {len(jobs)} programs for this processor{later}', file=sys.stderr)
  for job in jobs:
    job.done.result()


class Jitted:
  """`jax.jit` of a function that can begin to compile before its arguments are there.

  Where programs are kept, its trace is kept as well: tracing a network takes Python longer than
  fetching its compiled program takes.
  """

  def __init__(self, function, about, compiler_options=None):
    """`about`: a pytree of what the function holds besides this package's source: configs, arrays.
    Arguments by name are static."""
    self._function, self._compile = function, dict(compiler_options=compiler_options)
    self._about = [
      np.asarray(x).tobytes() if np.ndim(x) else str(x) for x in jax.tree.leaves(about)
    ]
    self._programs, self._lock = {}, threading.Lock()

  def __call__(self, *args, **static):
    leaves, structure = jax.tree.flatten(args)
    compiled, _, out = self._program(leaves, structure, static)
    return jax.tree.unflatten(out, compiled.result()(*leaves))

  def compiled(self, *args, **static):
    """Returns the program that a call with these arguments runs; the compiler knows its cost."""
    leaves, structure = jax.tree.flatten(args)
    return self._program(leaves, structure, static)[0].result()

  def begin(self, name, *args, **static):
    """Traces, and compiles beside the caller.

    Args:
      name: in words.
      args: as of the call, or `jax.ShapeDtypeStruct`s.

    Returns:
      (a `Job`, the shapes of the function's result).
    """
    leaves, structure = jax.tree.flatten(args)
    compiled, shapes, out = self._program(leaves, structure, static)
    return Job(name, compiled), jax.tree.unflatten(out, shapes)

  def _program(self, leaves, structure, static):
    """(future of a function of leaves, shapes of its result, and their structure)."""
    shapes = tuple((x.shape, x.dtype) for x in leaves)
    key = (structure, shapes, tuple(static.items()))
    with self._lock:  # one thread of several traces
      if key not in self._programs:
        folder = compile_cache.folder()
        make = self._fresh if folder is None else self._restored
        given = [jax.ShapeDtypeStruct(*shape) for shape in shapes]
        try:
          self._programs[key] = make(structure, given, static)
        except (TypeError, ValueError, ZeroDivisionError, flax.errors.FlaxError) as error:
          if isinstance(error, InputError):
            raise
          said = (str(error).splitlines() or [''])[0]
          raise InputError(
            f'expected weights and inputs that fit each other, got others ({said}): download the '
            'weights again, or correct their config.json'
          ) from error
    return self._programs[key]

  def _fresh(self, structure, given, static):
    flat, out = self._flat(structure, static)
    traced = jax.jit(flat, **self._compile).trace(*given)
    return _pool.submit(_compiled, traced.lower), traced.out_info, out[0]

  def _restored(self, structure, given, static):
    """The same from the folder, or put there."""
    shapes = [(x.shape, str(x.dtype)) for x in given]
    about = (compile_cache.source(), jax.default_backend(), self._about, str(structure), shapes,
             sorted(static.items()), self._compile)  # fmt: skip
    path = compile_cache.folder() / f'{hashlib.sha256(repr(about).encode()).hexdigest()}.trace'
    header, body = compile_cache.read(path) or (None, None)
    out = decode(header)
    if out is not None:
      exported = export.deserialize(bytearray(body))
    else:
      flat, found = self._flat(structure, static)
      exported = export.export(jax.jit(flat))(*given)
      out = found[0]
      encoded = encode(out)
      if encoded is not None:
        compile_cache.write(path, encoded, bytes(exported.serialize()))
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in exported.out_avals]
    program = jax.jit(exported.call, **self._compile)
    return _pool.submit(_compiled, program.lower, *given), shapes, out

  def _flat(self, structure, static):
    """The function of leaves, and a list that gets its result's structure from a trace."""
    found = []

    def flat(*leaves):
      made, out = jax.tree.flatten(self._function(*jax.tree.unflatten(structure, leaves), **static))
      found[:] = [out]
      return made

    return flat, found


def _compiled(lower, *args):
  program = lower(*args).compile()
  give_back()
  return program


def give_back():
  """Returns to the system what compiling took and the C library keeps, where that is glibc."""
  with contextlib.suppress(AttributeError, OSError, TypeError):  # other libraries, Windows
    ctypes.CDLL(None).malloc_trim(0)


def encode(structure):
  """A tree's structure as JSON; None if it has a node of another kind than `decode` knows."""
  if jax.tree.structure(0) == structure:
    return 'leaf'
  data, children = structure.node_data(), [encode(child) for child in structure.children()]
  kind, meta = data if data else (type(None), None)
  if None in children:
    return None
  if kind in (tuple, list, dict, type(None)):
    return [kind.__name__, meta, children]
  if issubclass(kind, tuple) and hasattr(kind, '_fields'):
    return [f'{kind.__module__}:{kind.__qualname__}', list(kind._fields), children]
  return None


def decode(encoded):
  """`encode` undone; None if this cannot be a structure.

  A named tuple is looked up among the modules that are there. Nothing is imported for a file.
  """
  try:
    return jax.tree.structure(_decoded(encoded))
  except (AttributeError, KeyError, TypeError, ValueError):
    return None


def _decoded(encoded):
  if encoded == 'leaf':
    return 0
  name, meta, children = encoded
  children = [_decoded(child) for child in children]
  match name:
    case 'tuple':
      return tuple(children)
    case 'list':
      return children
    case 'dict':
      return dict(zip(meta, children, strict=True))
    case 'NoneType':
      return None
  module, name = name.split(':')
  kind = getattr(sys.modules[module], name)
  if not issubclass(kind, tuple) or list(kind._fields) != meta:
    raise ValueError(f'expected a named tuple of {meta}, {name} is none')
  return kind(*children)
