"""The house: who may import whom, rooms of a readable size, Python that runs on any system."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / 'ifmdm_jax'
FILES = sorted(PACKAGE.rglob('*.py'))

# What a room may import besides itself and the ground. A room that is not named here is a command
# or an app: it imports what it wants, and nobody imports it.
GROUND = {'errors', 'extras', 'files', 'media', 'processes', 'rates', '__version__'}
NETWORKS = {'nn', 'diffusion'}
SIGNALS = {'nn', 'face', 'audio', 'video'}
CONTRACTS = {*SIGNALS, 'perception', 'training', 'clip', 'shot', 'track', 'read', 'bundle',
             'generator'}  # fmt: skip
SPINE = {*CONTRACTS, *NETWORKS, 'pipeline', 'streaming', 'compile_cache', 'testing'}
MAY_IMPORT = {
  'errors': set(),
  'extras': set(),
  'files': set(),
  'media': set(),
  'processes': set(),
  'rates': set(),
  'nn': set(),
  'diffusion': set(),
  'compile_cache': set(),
  'face': {'nn'},
  'audio': {'nn'},
  'video': {'nn', 'audio', 'trust'},  # films have sound, and say what they are
  'perception': SIGNALS,
  'training': {'nn', 'video', 'compile_cache'},  # its logs hold videos
  'clip': CONTRACTS,
  'shot': set(),
  'track': {'face'},
  'read': CONTRACTS,
  'bundle': CONTRACTS,
  'generator': CONTRACTS,
  'pipeline': {*CONTRACTS, *NETWORKS},
  'streaming': {*CONTRACTS, *NETWORKS, 'compile_cache', 'trust'},  # live frames carry the mark
  'adaptation': {*CONTRACTS, *NETWORKS},  # pictures in, weights out; it asks their system
  'dubbing': {*CONTRACTS, *NETWORKS, 'trust'},  # films in, films out; it is handed generators
  'systems': SPINE,
  'importers': {*SPINE, 'systems'},
  'evaluation': SPINE,  # and no system: it is handed generators
  'trust': {'audio', 'video'},
  'testing': {*CONTRACTS, *NETWORKS, 'pipeline'},
}

KNOW_NO_SYSTEM = ('adapt', 'adaptation', 'bench', 'preview', 'evaluate', 'export', 'training',
                  'pipeline', 'streaming', 'dubbing', 'shot', 'evaluation', 'face', 'nn',
                  'diffusion')  # fmt: skip
SYSTEMS = re.compile(r'if-?mdm(?!_jax|_weights|_goldens)|difftalk|few_?shot|vlogger', re.IGNORECASE)

# Of one operating system alone; allowed where the same function asks whether they are there.
FOREIGN = re.compile(
  r'\bos\.(sched_|getloadavg|fork|geteuid|getuid|getpgid|killpg|setsid|mkfifo|O_(?!RDONLY|WRONLY'
  r'|RDWR|CREAT|EXCL|TRUNC|APPEND)\w+)|\bsignal\.(SIGHUP|SIGKILL|SIGALRM|SIGUSR\d|alarm|pause)'
  r'|\bimport (resource|fcntl|pwd|termios)\b|\bfcntl\.|\bresource\.getrusage|[\'"]/(tmp|proc|dev)\b'
)
GUARD = re.compile(
  r'hasattr\(|getattr\(|\.exists\(\)|except \(?(ImportError|OSError)|sys\.platform'
)

LONGEST = 400  # lines of a file


def room(path):
  return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def name(path):
  return '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


NAMES = {name(path): path for path in FILES}


def imported(node):
  """Full names of modules of this package, or of names in them, that an import statement names."""
  if isinstance(node, ast.Import):
    names = [alias.name for alias in node.names]
  elif isinstance(node, ast.ImportFrom):
    assert node.level == 0, 'imports are absolute'
    names = [f'{node.module}.{alias.name}' for alias in node.names]
  else:
    return []
  return [each for each in names if each.split('.')[0] == 'ifmdm_jax']


def imports(path):
  return [(node, each) for node in ast.walk(ast.parse(path.read_text())) for each in imported(node)]


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_lies_below_it(path):
  own = room(path)
  if own in ('__init__', '__main__') or own not in MAY_IMPORT:
    return
  allowed = MAY_IMPORT[own] | GROUND | {own}
  wrong = {each for _, each in imports(path) if each.split('.')[1:2] and
           each.split('.')[1] not in allowed}  # fmt: skip
  wrong |= {each for _, each in imports(path) if each == 'ifmdm_jax'}  # the public face
  assert not wrong, f'{own} may import {sorted(allowed)}'


def test_no_system_imports_another():
  for path in FILES:
    if room(path) == 'systems' and len(path.relative_to(PACKAGE).parts) > 2:
      own = path.relative_to(PACKAGE).parts[1]
      others = {each.split('.')[2] for _, each in imports(path) if each.startswith(
        'ifmdm_jax.systems.')} - {own}  # fmt: skip
      assert not others, f'{path.name} of {own} imports {others}'


def test_commands_are_imported_by_nobody():
  commands = {room(path) for path in FILES if path.parent == PACKAGE} - set(MAY_IMPORT)
  commands -= {'__init__'}
  commands |= {'configs'}  # they name their models, models do not name them
  for path in FILES:
    if room(path) in MAY_IMPORT:
      assert not {each.split('.')[1] for _, each in imports(path) if '.' in each} & commands, path


def test_the_package_imports_neither_experiments_nor_tests():
  for path in FILES:
    for node in ast.walk(ast.parse(path.read_text())):
      names = [node.module or ''] if isinstance(node, ast.ImportFrom) else []
      names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
      assert not {each.split('.')[0] for each in names} & {'experiments', 'tests'}, path


def test_no_circle():
  """Of modules, wherever in the file the import stands."""

  def module(each):
    while each not in NAMES:
      each = each.rpartition('.')[0]
    return each

  graph = {own: {module(each) for _, each in imports(path)} - {own} for own, path in NAMES.items()}
  for own in graph:  # a package's docstring file is imported with each of its modules
    graph[own] -= {parent for parent in graph if own.startswith(f'{parent}.')}
  graph['ifmdm_jax'] = set()  # lazy
  done, path = set(), []

  def visit(own):
    assert own not in path, ' -> '.join([*path[path.index(own) :], own])
    if own not in done:
      path.append(own)
      for each in sorted(graph[own]):
        visit(each)
      done.add(path.pop())

  for own in graph:
    visit(own)


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_an_import_inside_a_function_says_why(path):
  lines = path.read_text().splitlines()
  for outer in ast.walk(ast.parse(path.read_text())):
    if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
      for node in ast.walk(outer):
        if isinstance(node, ast.Import | ast.ImportFrom):
          near = lines[max(0, node.lineno - 3) : node.end_lineno]
          assert any('# ' in line for line in near), f'line {node.lineno}: to the top, or why here'


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_is_read_in_one_sitting(path):
  assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize(
  'path',
  [path for path in FILES if room(path) in KNOW_NO_SYSTEM],
  ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_a_room_of_the_spine_names_no_system(path):
  lines = path.read_text().splitlines()
  assert not [line.strip() for line in lines if SYSTEMS.search(line)]


def foreign(text):
  """Lines of code that one operating system alone has, in functions that do not ask for it."""
  found = []
  for node in ast.parse(text).body:
    source = ast.get_source_segment(text, node)
    lines = source.splitlines()
    if not GUARD.search(source):
      found += [line.strip() for line in lines if FOREIGN.search(line)]
  return found


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_call_is_of_one_operating_system_alone(path):
  assert not foreign(path.read_text())


def test_a_call_of_one_operating_system_would_be_found():
  assert foreign('def cores():\n  return len(os.sched_getaffinity(0))\n')
  assert foreign('import resource\n') and foreign("PLACE = '/tmp/x'\n")
  assert not foreign(
    "def cores():\n  return os.sched_getaffinity(0) if hasattr(os, 'sched_getaffinity') else 1\n"
  )
