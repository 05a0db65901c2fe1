"""The folder of compiled programs: where it is, who may write into it, how large it grows.

Programs are run, so the folder has to be the user's own: it is made with mode 0700, and one that
belongs to somebody else, or that others may write into, is not used. Each version of the package
on each kind of processor has a folder of its own in there, with two kinds of entries:

  *-cache   JAX's: seconds of compiling (4 bytes) and XLA's executable, deflated. No pickle; its
            checksum is that of zlib. JAX leaves a damaged entry there for ever: `keep` removes it.
  *.trace   `streaming.programs`': see `write`. A line of JSON and StableHLO. No pickle either.
"""

import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import platform
import stat
import sys
import zlib

import jax

from ifmdm_jax import files
from ifmdm_jax.errors import InputError

LIMIT = 512 * 2**20  # bytes; one version of one system takes about 10 MiB
MAGIC = 'ifmdm_jax trace 1'
PREFIX = 'programs-'  # of the folder of a version
ENTRIES = ('*-cache', '*.trace', '.*.tmp.trace')  # nothing else is ever removed

_kept = None  # the folder of this version; None: nothing is kept


def folder():
  """Returns the folder that holds this process' programs, or None."""
  return _kept


def default_folder():
  """Returns where this operating system wants an application's cache."""
  return files.user_folder(('LOCALAPPDATA', 'Local'), 'Caches', ('XDG_CACHE_HOME', '.cache'))


def keep(where=None, limit=LIMIT):
  """Keeps every compiled program, so that the next process starts without compiling.

  To be called before anything is compiled.

  Args:
    where: a folder; 'none': nothing is kept; None: `default_folder()`, unless JAX was given a
      cache by JAX_COMPILATION_CACHE_DIR.
    limit: bytes; what was not used for longest goes first.

  Returns:
    The folder, or None where it cannot be used, which is said in a note and is no error.

  Raises:
    InputError: `where` is named and cannot be made.
  """
  global _kept
  if where == 'none' or (where is None and os.environ.get('JAX_COMPILATION_CACHE_DIR')):
    return None
  base = pathlib.Path(where).expanduser().absolute() if where else default_folder()
  try:
    _make(base)
  except OSError as error:
    reason = f'cannot make {base} ({error.strerror})'
    if where:
      raise InputError(
        f'expected a folder for compiled programs, {reason}: choose another --compile_cache'
      ) from error
    return _refuse(reason)
  distrust = untrusted(base)
  if distrust:
    return _refuse(distrust)
  kept = base / _version()
  try:
    _make(kept)
    os.utime(kept)  # used now
    _mend(kept)
    _prune(base, kept, limit)
  except OSError as error:
    return _refuse(f'cannot write into {base} ({error.strerror})')
  jax.config.update('jax_compilation_cache_dir', str(kept))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)
  _kept = kept
  return kept


def untrusted(path):
  """Says why programs of a folder must not be run, or returns ''."""
  if not hasattr(os, 'geteuid'):  # Windows: the folder is in the user's profile
    return ''
  found = path.stat()
  if found.st_uid != os.geteuid():
    return f'{path} belongs to another user'
  if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
    return f'others may write into {path}: chmod go-w it'
  if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
    return f'{path} cannot be written'
  return ''


def read(path):
  """Reads an entry of `write`; None if it is not there or was damaged, by one bit or by half."""
  try:
    head, _, body = path.read_bytes().partition(b'\n')
    about = json.loads(head)
    if about['format'] != MAGIC or about['digest'] != _digest(about['header'], body):
      return None
    return about['header'], body
  except (OSError, ValueError, KeyError, TypeError):
    return None


def write(path, header, body):
  """Writes bytes under a line of JSON; whole or not at all, and without an error if there is
  no room: the next process makes it again."""
  head = json.dumps(dict(format=MAGIC, header=header, digest=_digest(header, body)))
  try:
    with files.atomic(path) as half:
      half.write_bytes(head.encode() + b'\n' + body)
  except (OSError, InputError):
    pass


@functools.cache
def source():
  """Returns a digest of this package: a program is of the source that it was made from."""
  files = sorted(pathlib.Path(__file__).parent.rglob('*.py'))
  return hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()


def _digest(header, body):
  return hashlib.sha256(json.dumps(header).encode() + b'\n' + body).hexdigest()


def _version():
  """A name for everything that programs depend on and that their keys do not tell."""
  processor = platform.machine() + platform.processor()
  described = pathlib.Path('/proc/cpuinfo')  # Linux: the same home may serve several processors
  if described.exists():
    lines = described.read_text(errors='replace').splitlines()
    processor += next((line for line in lines if line.startswith(('flags', 'Features'))), '')
  about = (source(), jax.__version__, sys.version_info[:2], processor)
  return PREFIX + hashlib.sha256(repr(about).encode()).hexdigest()[:16]


def _make(path):
  if not path.is_dir():
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def _mend(kept):
  """Removes what a killed process or a disk left damaged."""

  def check(path):
    try:
      found, data = path.stat(), path.read_bytes()
      os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))  # looking is no use of it
      if data[:4] != b'\x28\xb5\x2f\xfd':  # zstandard, where that is installed, checks itself
        zlib.decompress(data)
    except (zlib.error, EOFError):
      path.unlink(missing_ok=True)
    except FileNotFoundError:  # another process was faster
      pass

  with concurrent.futures.ThreadPoolExecutor() as pool:
    list(pool.map(check, kept.glob('*-cache')))


def _prune(base, kept, limit):
  """Removes other versions, and then entries, until `limit` bytes are left."""
  entries = [path for pattern in ENTRIES for path in base.glob(f'{PREFIX}*/{pattern}')]
  total = sum(_used(path)[1] for path in entries)

  def age(path):  # a version goes as a whole, by when it was last kept; this one last of all
    return path.parent == kept, path.parent.stat().st_mtime, _used(path)[0]

  for path in sorted(entries, key=age) if total > limit else ():
    if total > limit:
      total -= _used(path)[1]
      path.unlink(missing_ok=True)
  for path in base.glob(f'{PREFIX}*'):
    if path != kept and not any(path.iterdir()):
      path.rmdir()


def _used(path):
  """(when it was last read or written, bytes)."""
  try:
    found = path.stat()
  except FileNotFoundError:  # another process was faster
    return 0.0, 0
  return max(found.st_atime, found.st_mtime), found.st_size


def _refuse(reason):
  print(f'note: compiled programs are not kept: {reason}', file=sys.stderr)
