"""What `ifmdm_jax.load` finds in a release."""

import json

import numpy as np
import pytest

import ifmdm_jax as ifm
from configs import autoencoder, distill, motion
from ifmdm_jax import release, testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.training import checkpoints


def test_the_bundled_weights_sample_with_the_student_unless_told_otherwise():
  quick = ifm.load()
  assert quick.defaults == dict(steps=4, guidance=1.0, stepper='ddim')
  assert quick.checked(steps=2)['steps'] == 'trailing2'
  for asked in (dict(steps=10), dict(guidance=2.0)):
    with pytest.raises(InputError, match=r'expected 1, 2, 4 steps and guidance 1 .* --teacher'):
      quick.checked(**asked)
  teacher = ifm.load(teacher=True)
  assert teacher.defaults['guidance'] > 1
  assert teacher.checked(steps=25, guidance=2.0)['guidance'] == 2.0


def test_a_student_is_released_beside_its_teacher_and_with_no_other(tmp_path, monkeypatch):
  units = testing.write_cache(tmp_path / 'cache') / 'motion' / 'statistics.npz'
  runs = {}
  for name, configs in dict(first=autoencoder, second=motion, student=distill).items():
    runs[name] = configs.get_config('tiny'), {'kernel': np.full(2, len(runs), np.float32)}
  runs['second'][0].model.units = runs['student'][0].model.units = str(units)
  monkeypatch.setattr(checkpoints, 'load', runs.get)
  release.save(tmp_path / 'release', 'first', 'second', 'student')
  told = json.loads((tmp_path / 'release' / 'config.json').read_text())
  assert told['student']['teacher'] == 'motion.safetensors'
  assert told['student']['units'] == told['motion']['units'] == 'statistics.npz'
  weights = checkpoints.read_weights(tmp_path / 'release' / 'student.safetensors')
  assert weights['kernel'].tolist() == [2, 2]

  other = tmp_path / 'other.npz'
  other.write_bytes(units.read_bytes() + b' ')
  runs['student'][0].model.units = str(other)
  with pytest.raises(InputError, match='expected a student in the units of its teacher'):
    release.save(tmp_path / 'wrong', 'first', 'second', 'student')
  assert not (tmp_path / 'wrong').exists()


def test_the_run_of_a_student_has_no_teacher_in_it(tmp_path, monkeypatch):
  (tmp_path / 'checkpoints').mkdir()
  config = distill.get_config('tiny')
  config.model.teacher = 'runs/elsewhere'
  monkeypatch.setattr(checkpoints, 'load', lambda folder: (config, {}))
  with pytest.raises(InputError, match='run of a student.*pass runs/elsewhere'):
    ifm.load(tmp_path, teacher=True)
