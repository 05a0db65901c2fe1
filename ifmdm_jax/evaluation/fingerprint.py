"""What a result depends on, as a hash: resumed work is only taken over while it stays the same.

Code counts by its imports: from the modules that are named, along every import statement in their
syntax trees (those inside functions too), to every file of this package that they reach. Nobody
keeps a list, so no file can be missing from it.
"""

import ast
import functools
import hashlib
import importlib.metadata
import pathlib
import sys

PACKAGE = pathlib.Path(__file__).resolve().parents[1]


def of_files(folder):
  """Hashes names, sizes and times of the files in a folder, at any depth, or of one file."""
  folder = pathlib.Path(folder)
  files = [folder] if folder.is_file() else sorted(p for p in folder.rglob('*') if p.is_file())
  facts = [(str(p.relative_to(folder)), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
  return _hash(repr(facts).encode())


def of_modules(*names, package=PACKAGE):
  """Hashes the sources of modules and of all of this package that they import, directly or not.

  Also the versions of the other packages that these import, and the weights that this package
  ships for measuring; weights of generators (folders with a config.json) are theirs.

  Args:
    names: dotted, as 'ifmdm_jax.evaluation.sync'.
    package: folder of the package; its own name is the first of `names`' dots.
  """
  files, others = closure(names, package)
  parts = [path.relative_to(package).as_posix().encode() + path.read_bytes() for path in files]
  parts.append(_versions(others).encode())
  parts += [path.name.encode() + path.read_bytes() for path in _weights(package)]
  return _hash(*parts)


def of_generator(generator, package=PACKAGE):
  """Hashes the code of a generator: its system's folder and what that imports of this package."""
  name = type(generator).__module__
  path = pathlib.Path(sys.modules[name].__file__)
  if path.resolve().is_relative_to(package):
    dotted = name.split('.')
    system = package.joinpath(*dotted[1:3])  # ifmdm_jax.systems.NAME
    inside = sorted(system.rglob('*.py')) if system.is_dir() else [path]
    names = ['.'.join([dotted[0], *_parts(each, package)]) for each in inside]
    return of_modules(*names, package=package)
  inside = sorted(path.parent.rglob('*.py')) if '.' in name else [path]
  used = set().union(*(imports(each) for each in inside))
  own = [word for word in used if word.split('.')[0] == package.name]
  return _hash(*(each.read_bytes() for each in inside), of_modules(*own, package=package).encode())


def closure(names, package=PACKAGE):
  """Files of a package that modules depend on, and the other packages that these import.

  The package's own __init__ is left out: it imports on demand only, and all of it.

  Returns:
    (sorted paths, set of the other packages' import names).
  """
  reached, others, waiting = set(), set(), set(names)
  while waiting:
    first, *rest = waiting.pop().split('.')
    if first != package.name:
      if first not in sys.stdlib_module_names:
        others.add(first)
      continue
    for path in _files(rest, package) - reached:
      reached.add(path)
      waiting |= imports(path)
  return sorted(reached), others


def imports(path):
  """Names that a file imports anywhere in it; of `from a import b` both a and a.b."""
  names = set()
  for node in ast.walk(ast.parse(pathlib.Path(path).read_text())):
    match node:
      case ast.Import(names=aliases):
        names |= {alias.name for alias in aliases}
      case ast.ImportFrom(module=str(module), names=aliases, level=0):
        names |= {module, *(f'{module}.{alias.name}' for alias in aliases)}
      case ast.Call(func=ast.Attribute(attr='import_module'), args=[ast.Constant(str(name)), *_]):
        names.add(name)
  return names


def _files(parts, package):
  """Finds a module's own file and the __init__ of every folder above it, of those that exist."""
  if not parts:
    return set()
  folders = [package.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
  places = [folder / '__init__.py' for folder in folders] + [folders[-1].with_suffix('.py')]
  return {place for place in places if place.is_file()}


def _parts(path, package):
  parts = path.resolve().relative_to(package).with_suffix('').parts
  return parts[:-1] if parts[-1] == '__init__' else parts


def _weights(package):
  files = sorted((package / 'weights').rglob('*'))
  return [
    path for path in files
    if path.is_file() and path.suffix != '.md' and not (path.parent / 'config.json').exists()
  ]  # fmt: skip


_distributions = functools.cache(importlib.metadata.packages_distributions)  # reads all of them


def _versions(names):
  known = _distributions()
  distributions = sorted({each for name in names for each in known.get(name, [])})
  return repr([(each, importlib.metadata.version(each)) for each in distributions])


def _hash(*parts):
  digest = hashlib.sha256()
  for part in parts:
    digest.update(hashlib.sha256(part).digest())
  return digest.hexdigest()
