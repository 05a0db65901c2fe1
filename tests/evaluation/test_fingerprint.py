"""What results depend on: by imports, wherever they stand; nothing else."""

import shutil
import sys
import types

import pytest

from ifmdm_jax.evaluation import fingerprint, scoring


@pytest.fixture(scope='module')
def package(tmp_path_factory):
  """The sources of this package, to change."""
  copy = tmp_path_factory.mktemp('copy') / 'ifmdm_jax'
  ignored = shutil.ignore_patterns('*.safetensors', '*.onnx', '*.tflite', '__pycache__')
  shutil.copytree(fingerprint.PACKAGE, copy, ignore=ignored)
  return copy


def changes(package, path):
  """Whether one more line in a file changes the definitions of the metrics."""
  mark = lambda: fingerprint.of_modules(scoring.__name__, package=package)
  before, file = mark(), package / path
  text = file.read_bytes()
  file.write_bytes(text + b'\n# another line\n')
  try:
    return mark() != before
  finally:
    file.write_bytes(text)


@pytest.mark.parametrize(
  'path',
  [
    'evaluation/geometry.py',
    'evaluation/protocol.py',
    'face/points.py',
    'perception/lpips.py',
    'perception/arcface.py',
    'face/crop.py',
    'video/read.py',
    'weights/niqe_own.npz',
  ],
)
def test_a_change_below_a_metric_is_noticed(package, path):
  assert changes(package, path)


@pytest.mark.parametrize(
  'path', ['bench.py', 'evaluation/page.py', 'training/loop.py', 'weights/lite/config.json']
)
def test_what_no_figure_depends_on_may_change(package, path):
  assert not changes(package, path)


def test_imports_count_wherever_they_stand(tmp_path):
  package = tmp_path / 'thing'
  (package / 'deep').mkdir(parents=True)
  (package / '__init__.py').write_text('import thing.unrelated\n')
  (package / 'unrelated.py').write_text('')
  (package / 'start.py').write_text('def later():\n  from thing import middle\n  import numpy\n')
  (package / 'middle.py').write_text('importlib.import_module("thing.deep.end")\n')
  (package / 'deep' / '__init__.py').write_text('import os\n')
  (package / 'deep' / 'end.py').write_text('from thing.start import later\n')  # a circle ends
  files, others = fingerprint.closure(['thing.start'], package)
  names = [str(path.relative_to(package)) for path in files]
  assert names == ['deep/__init__.py', 'deep/end.py', 'middle.py', 'start.py']
  assert others == {'numpy'}


def test_a_generators_code_counts_with_its_whole_folder(tmp_path, monkeypatch):
  folder = tmp_path / 'stranger'
  folder.mkdir()
  (folder / 'generate.py').write_text('class Generator: pass\n')
  (folder / 'network.py').write_text('from . import layers\n')
  module = types.ModuleType('stranger.generate')
  module.__file__ = str(folder / 'generate.py')
  module.Generator = type('Generator', (), {'__module__': module.__name__})
  monkeypatch.setitem(sys.modules, module.__name__, module)
  before = fingerprint.of_generator(module.Generator())
  (folder / 'network.py').write_text('from . import layers, more\n')
  assert fingerprint.of_generator(module.Generator()) != before


def test_a_bundled_generators_code_counts_with_what_it_imports(package, monkeypatch):
  name = 'ifmdm_jax.systems.ifmdm.sampler'
  module = types.ModuleType(name)
  module.__file__ = str(package / 'systems' / 'ifmdm' / 'sampler.py')
  module.Sampler = type('Sampler', (), {'__module__': name})
  monkeypatch.setitem(sys.modules, name, module)
  mark = lambda: fingerprint.of_generator(module.Sampler(), package)
  (package / 'evaluate.py').write_text('')
  marks = [mark()]
  for path in ('systems/ifmdm/autoencoder/lite/model.py', 'nn/warp.py'):
    (package / path).write_text('# another line\n' + (package / path).read_text())
    marks.append(mark())
  assert len(set(marks)) == 3
  (package / 'evaluate.py').write_text('# another line')
  assert mark() == marks[-1]
