"""What is read as weights, and what is refused: a folder from a stranger runs nothing."""

import dataclasses
import json
import pathlib
import pickle
import shutil

import numpy as np
import pytest
from absl import flags

import ifmdm_jax as ifm
from ifmdm_jax import bundle, files, generator, testing
from ifmdm_jax.configs import autoencoder, distill, motion
from ifmdm_jax.diffusion.schedule import Trailing
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm import generate
from ifmdm_jax.systems.ifmdm.motion.sample import Solver
from ifmdm_jax.systems.ifmdm.motion_stream import Options
from ifmdm_jax.training import checkpoints


@pytest.fixture
def config():
  return json.loads((bundle.BUNDLED / 'config.json').read_text())


@pytest.fixture
def folder(tmp_path):
  """(config) -> a copy of the bundled folder with that config.json."""

  def write(config):
    for path in bundle.BUNDLED.glob('*.safetensors'):
      (tmp_path / path.name).exists() or (tmp_path / path.name).symlink_to(path)
    (tmp_path / 'config.json').write_text(json.dumps(config))
    return tmp_path

  return write


def former(config, prefix='ifmdm_jax.'):
  """The config.json of the release before bundles had a format."""
  settings = {name: dict(part['settings']) for name, part in config['parts'].items()}
  modules = dict(
    autoencoder='autoencoder.lite.model', motion='motion.model', student='motion.distill'
  )
  old = {'sampler': {name: settings['motion'].pop(name) for name in ('steps', 'guidance')}}
  for name, module in modules.items():
    settings[name].pop('kind')
    if 'unconditioned_dims' in settings[name]:
      settings[name]['untold'] = settings[name].pop('unconditioned_dims')
    old[name] = {**settings[name], 'module': prefix + module, 'units': 'statistics.npz'}
  del old['autoencoder']['units']
  return old


def test_the_bundled_weights_sample_with_the_student_unless_the_teacher_is_asked_for():
  quick = ifm.load()
  assert quick.defaults == Options(Solver(4, 1.0, 'ddim'))
  assert quick.options(steps=2).solver.steps == Trailing(2)
  for options in (dict(steps=10), dict(guidance=2.0)):
    with pytest.raises(InputError, match=r'expected 1, 2, 4 steps and guidance 1 .* --teacher'):
      quick.options(**options)
  teacher = ifm.load(teacher=True)
  assert teacher.defaults.solver.guidance > 1
  assert teacher.options(steps=25, guidance=2.0).solver.guidance == 2.0


def test_releases_from_before_bundles_had_a_format_still_load(config, folder):
  path = folder(former(config))
  statistics = files.read_arrays(path / 'statistics.safetensors')
  np.savez(path / 'statistics.npz', **statistics)
  (path / 'statistics.safetensors').unlink()
  old, new = ifm.load(path), ifm.load()
  assert old.defaults == new.defaults and old.size == new.size
  for one, other in zip(old.stages[:2], new.stages[:2]):
    assert one.module is other.module
  np.testing.assert_array_equal(old.stages[2].statistics['code_std'], statistics['code_std'])


def test_saved_and_read_again_is_the_same(tmp_path):
  params = {'a': {'kernel': np.float16([1, 2])}, 'n': np.int32([3])}
  given = bundle.Bundle(
    'ifmdm', {'motion': bundle.Part({'kind': 'x'}, params)}, '1', 'free', 'none'
  )
  bundle.save(tmp_path / 'new', given)
  found = bundle.read(tmp_path / 'new')
  assert dataclasses.replace(found, parts={}) == dataclasses.replace(given, parts={}, name='new')
  assert found.parts['motion'].settings == {'kind': 'x'}
  assert found.parts['motion'].params['a']['kernel'].dtype == np.float32
  np.testing.assert_array_equal(found.parts['motion'].params['n'], [3])
  assert 'motion' in bundle.describe(tmp_path / 'new') and 'free' in bundle.describe(
    tmp_path / 'new'
  )


def changed(path, value):
  """A function that puts a value at a path of a config, or takes it away (None)."""

  def change(config):
    *parents, last = path.split('/')
    place = config
    for name in parents:
      place = place[name]
    if value is None:
      del place[last]
    else:
      place[last] = value

  return change


WRONG = {  # what is wrong                                                  what the line says
  'an unknown key': (changed('module', 'os'), 'unknown module'),
  'a module in a part': (changed('parts/motion/module', 'os'), 'unknown module'),
  'a module in settings': (changed('parts/motion/settings/module', 'os'), 'unknown module'),
  'another format': (changed('format', 2), 'update ifmdm_jax'),
  'a format that is no number': (changed('format', '1'), 'to be int'),
  'a truth value for a number': (changed('format', True), 'to be int'),
  'no parts': (changed('parts', {}), 'names none'),
  'parts that are a list': (changed('parts', []), 'to be dict'),
  'a part without a file': (changed('parts/motion/file', None), 'no file'),
  'a system that is a module': (changed('system', 'os'), "got 'os'"),
  'a system that is a path': (changed('system', '../evil'), "got '../evil'"),
  'a file above': (changed('parts/motion/file', '../motion.safetensors'), 'same folder'),
  'an absolute file': (changed('parts/motion/file', '/etc/passwd'), 'same folder'),
  'a file of a folder': (changed('parts/motion/file', 'sub/motion.safetensors'), 'same folder'),
  'a pickle': (changed('parts/motion/file', 'motion.pkl'), 'same folder'),
  'a file that is not there': (changed('parts/motion/file', 'none.safetensors'), 'is not a file'),
  'a missing setting': (changed('parts/motion/settings/width', None), 'no width'),
  'a setting of another type': (changed('parts/motion/settings/width', '160'), 'to be int'),
  'an endless setting': (changed('parts/motion/settings/guidance', float('inf')), 'to be float'),
  'nested words': (changed('parts/motion/settings/unconditioned_dims', [[1]]), 'to be tuple'),
  'an unknown size': (changed('parts/autoencoder/settings/sizes/depth', 3), 'unknown depth'),
  'a kind of another part': (changed('parts/motion/settings/kind', 'lite'), 'of kind motion'),
  'no stage 1': (changed('parts/autoencoder', None), 'a bundle with autoencoder'),
  'speech from a folder': (changed('parts/student/settings/audio', '../x'), 'speech encoder'),
}


@pytest.mark.parametrize('what', WRONG)
def test_a_bundle_that_is_not_as_it_should_be_is_one_clear_line(config, folder, what):
  change, said = WRONG[what]
  change(config)
  with pytest.raises(InputError, match=said) as caught:
    ifm.load(folder(config))
  assert '\n' not in str(caught.value) and 'expected' in str(caught.value)


class Bomb:
  """A pickle that would say so if it were opened."""

  def __reduce__(self):
    return (pathlib.Path('opened').write_text, ('',))


@pytest.mark.parametrize('name', ['motion.safetensors', 'statistics.npz'])
def test_a_pickle_by_another_name_is_not_opened(config, folder, name, monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  part = 'student' if name.startswith('motion') else 'statistics'
  config['parts'][part]['file'] = name
  path = folder(config)
  (path / name).unlink(missing_ok=True)
  (path / name).write_bytes(pickle.dumps(Bomb()))
  with pytest.raises(InputError, match='cannot read it'):
    ifm.load(path)
  np.savez(path / 'objects.npz', a=np.array([Bomb()], dtype=object))
  shutil.move(path / 'objects.npz', path / name)
  with pytest.raises(InputError, match='cannot read it'):
    ifm.load(path)
  assert not pathlib.Path('opened').exists()


@pytest.fixture
def evil(tmp_path, monkeypatch):
  """A module that Python would find, and that says so if it is run."""
  (tmp_path / 'evil.py').write_text('open("opened", "w").write("")\n')
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.chdir(tmp_path)
  return tmp_path / 'opened'


@pytest.mark.parametrize('part', ['autoencoder', 'motion', 'student'])
@pytest.mark.parametrize('module', ['evil', 'os', 'ifmdm_jax.train', ['evil'], None])
def test_an_older_release_names_no_python_to_import(config, folder, evil, part, module):
  old = former(config)
  old[part]['module'] = module
  with pytest.raises(InputError, match='expected a module of'):
    ifm.load(folder(old))
  assert not evil.exists()


def test_a_training_run_names_no_python_to_import(evil, tmp_path, monkeypatch):
  (tmp_path / 'run' / 'checkpoints').mkdir(parents=True)
  second = motion.get_config('tiny')
  second.model.module = 'evil'
  monkeypatch.setattr(checkpoints, 'load', lambda folder: (second, {}))
  for call in (ifm.load, bundle.trained):
    with pytest.raises(InputError, match="config.model.module is 'evil'"):
      call(tmp_path / 'run')
  second.model.module = 'ifmdm_jax.systems.ifmdm.motion.model'
  first = autoencoder.get_config('tiny')
  first.model.module = 'evil'
  runs = {'run': second, 'runs/autoencoder': first}
  monkeypatch.setattr(checkpoints, 'load', lambda folder: (runs[str(pathlib.Path(folder))], {}))
  monkeypatch.chdir(tmp_path)
  with pytest.raises(InputError, match="config.model.module is 'evil'"):
    ifm.load('run')
  assert not evil.exists()


def test_runs_from_before_the_systems_had_folders_are_known():
  system, module = generator.trainable('ifmdm_jax.motion.distill')
  assert system is generate.SYSTEM and module.__name__ == 'ifmdm_jax.systems.ifmdm.motion.distill'


def test_a_folder_without_weights_says_what_it_should_be(tmp_path):
  with pytest.raises(InputError, match=r'no config.json and no checkpoints'):
    ifm.load(tmp_path)
  (tmp_path / 'config.json').write_text('{"a": 1')
  with pytest.raises(InputError, match=r'cannot read config.json'):
    ifm.load(tmp_path)
  (tmp_path / 'config.json').write_text('{"a": 1}')
  with pytest.raises(InputError, match=r'with a format'):
    ifm.load(tmp_path)


def test_a_student_is_bundled_beside_its_teacher_and_with_no_other(tmp_path, monkeypatch):
  measured = testing.write_cache(tmp_path / 'cache') / 'motion' / 'statistics.npz'
  runs = {}
  for name, configs in dict(first=autoencoder, second=motion, student=distill).items():
    runs[name] = configs.get_config('tiny'), {'kernel': np.full(2, len(runs), np.float32)}
  runs['second'][0].model.normalizer = runs['student'][0].model.normalizer = str(measured)
  monkeypatch.setattr(checkpoints, 'load', runs.get)
  named = dict(autoencoder='first', motion='second', student='student')
  bundle.save(tmp_path / 'bundle', generate.pack(named))
  found = bundle.read(tmp_path / 'bundle')
  assert set(found.parts) == {'autoencoder', 'motion', 'student', 'statistics'}
  assert found.parts['student'].params['kernel'].tolist() == [2, 2]
  assert (tmp_path / 'bundle' / 'student.safetensors').stat().st_size < 200  # half precision
  with np.load(measured) as file:
    np.testing.assert_array_equal(found.parts['statistics'].params['code_std'], file['code_std'])

  other = tmp_path / 'other.npz'
  other.write_bytes(measured.read_bytes() + b' ')
  runs['student'][0].model.normalizer = str(other)
  with pytest.raises(InputError, match='expected a student with the statistics of its teacher'):
    generate.pack(named)
  with pytest.raises(InputError, match='expected a run of motion, first is one of'):
    generate.pack(dict(autoencoder='first', motion='first'))
  runs['second'][0].model.audio = 'weights/of_mine'  # a bundle with it could not be loaded
  with pytest.raises(InputError, match='speech encoder of .* has weights/of_mine: put the folder'):
    generate.pack(dict(autoencoder='first', motion='second'))


def test_the_run_of_a_student_has_no_teacher_in_it(tmp_path, monkeypatch):
  (tmp_path / 'checkpoints').mkdir()
  config = distill.get_config('tiny')
  config.model.teacher = 'runs/elsewhere'
  monkeypatch.setattr(checkpoints, 'load', lambda folder: (config, {}))
  with pytest.raises(InputError, match='run of a student.*pass runs/elsewhere'):
    ifm.load(tmp_path, teacher=True)


TOY = """
import numpy as np
from ifmdm_jax import generator

class Still:
  name, needs, size, fps = 'still', frozenset({'image', 'voice'}), 8, 25
  def __init__(self, bundle):
    self.shade = np.uint8(bundle.parts['shade'].params['value'])
  def generate(self, clip, *, seed=0):
    for _ in range(clip.num_frames):
      yield clip.image[None] // 2 + self.shade

SYSTEM = generator.System(load=Still)
"""


def test_a_system_of_another_package_is_loaded_by_its_entry_point(tmp_path, monkeypatch):
  (tmp_path / 'toy.py').write_text(TOY)
  (tmp_path / 'toy-1.0.dist-info').mkdir()
  (tmp_path / 'toy-1.0.dist-info' / 'entry_points.txt').write_text(
    '[ifmdm_jax.systems]\nstill = toy:SYSTEM\n'
  )
  (tmp_path / 'toy-1.0.dist-info' / 'METADATA').write_text('Name: toy\nVersion: 1.0\n')
  weights = bundle.Bundle('still', {'shade': bundle.Part({}, {'value': np.float32(7)})})
  bundle.save(tmp_path / 'weights', weights)
  with pytest.raises(InputError, match="ifmdm, vlogger, got 'still'"):
    ifm.load(tmp_path / 'weights')
  monkeypatch.syspath_prepend(tmp_path)
  clip = ifm.clip.Clip(image=np.zeros((8, 8, 3), np.uint8), waveform=np.zeros(16_000, np.float32))
  frames = np.concatenate(list(ifm.load(tmp_path / 'weights').generate(clip)))
  assert frames.shape == (25, 8, 8, 3) and (frames == 7).all()


def test_loading_weights_leaves_the_flags_of_a_script_alone():
  assert 'describe' not in flags.FLAGS  # this module imports what `load` imports


@pytest.mark.parametrize(
  'change', [dict(width=0), dict(frames=10**9), dict(depth=-1), dict(heads=2**20)]
)
def test_sizes_that_no_network_has_are_refused(config, folder, change):
  config['parts']['student']['settings'].update(change)
  with pytest.raises(InputError, match='of part student'):
    ifm.load(folder(config))


def test_weights_that_do_not_fit_their_settings_are_one_line(config, folder):
  config['parts']['student']['settings']['width'] = 128
  with pytest.raises(InputError, match='fit each other') as caught:
    ifm.load(folder(config)).compile_ahead()
  assert '\n' not in str(caught.value)
