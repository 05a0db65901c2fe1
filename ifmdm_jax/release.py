"""From training runs to weights that ship, and from either to a sampler.

  python -m ifmdm_jax.release --autoencoder runs/autoencoder --motion runs/motion \
      --student runs/student --output DIR

A release is a folder: config.json, autoencoder.safetensors and motion.safetensors in half
precision, statistics.npz, and the model card beside them. With a student of stage 2
(configs/distill.py) student.safetensors, too, which is then what is sampled with.
"""

import importlib
import json
import pathlib
import shutil

import ml_collections
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.errors import InputError

_AUTOENCODER = flags.DEFINE_string('autoencoder', None, 'Workdir of stage 1.', **errors.SHARED)
_MOTION = flags.DEFINE_string('motion', None, 'Workdir of stage 2.', **errors.SHARED)
_STUDENT = flags.DEFINE_string('student', None, 'Workdir of its student.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder to write.', **errors.SHARED)

BUNDLED = pathlib.Path(__file__).parent / 'weights' / 'lite'


def trained(workdir):
  """(module, config.model, params) of a workdir of `ifmdm_jax.train`."""
  from ifmdm_jax.training import checkpoints

  config, params = checkpoints.load(workdir)
  return importlib.import_module(config.model.module), config.model, params


def save(folder, autoencoder_run, motion_run, student_run=None):
  """Writes a release from two or three workdirs.

  Raises:
    InputError: the student sees codes and features in other units than stage 2.
  """
  from ifmdm_jax.training import checkpoints

  folder = pathlib.Path(folder)
  workdirs = dict(autoencoder=autoencoder_run, motion=motion_run, student=student_run)
  runs = {name: checkpoints.load(workdir) for name, workdir in workdirs.items() if workdir}
  if 'student' in runs:
    ours, theirs = (pathlib.Path(runs[name][0].model.units) for name in ('student', 'motion'))
    if ours.read_bytes() != theirs.read_bytes():
      raise InputError(
        f'expected a student in the units of its teacher, {theirs}, got {ours}: '
        'pass the stage 2 that it was distilled from'
      )
  folder.mkdir(parents=True, exist_ok=True)
  configs = {}
  for name, (config, params) in runs.items():
    checkpoints.write_weights(folder / f'{name}.safetensors', params)
    configs[name] = json.loads(config.model.to_json())
    if name == 'motion':
      configs['sampler'] = json.loads(config.sampler.to_json())
      shutil.copyfile(config.model.units, folder / 'statistics.npz')
    if name != 'autoencoder':
      configs[name]['units'] = 'statistics.npz'  # beside the config
    if name == 'student':
      configs[name]['teacher'] = 'motion.safetensors'
  (folder / 'config.json').write_text(json.dumps(configs, indent=1) + '\n')


def load(path=None, *, teacher=False):
  """A `Sampler` from the bundled weights, a release folder, or a workdir of stage 2.

  Args:
    path: folder; None for the bundled weights.
    teacher: of a release, take the stage 2 that its student learned from: several times slower, and
      any number of steps and any guidance may be asked of it.

  Raises:
    InputError: nothing of the kind is there.
  """
  from ifmdm_jax.audio import features
  from ifmdm_jax.systems.ifmdm import sampler
  from ifmdm_jax.systems.ifmdm.motion import distill
  from ifmdm_jax.systems.ifmdm.motion import model as motion_model
  from ifmdm_jax.training import checkpoints

  folder = pathlib.Path(path) if path else BUNDLED
  if (folder / 'config.json').exists():
    found = json.loads((folder / 'config.json').read_text())
    configs = ml_collections.ConfigDict(checkpoints.as_tuples(found))
    second = 'student' if 'student' in configs and not teacher else 'motion'
    autoencoder, motion = (
      sampler.Stage(
        importlib.import_module(configs[name].module),
        configs[name],
        checkpoints.read_weights(folder / f'{name}.safetensors'),
      )
      for name in ('autoencoder', second)
    )
    motion.config.units = str(folder / motion.config.units)
    advice = distill.advice(motion.config) if second == 'student' else configs.sampler
  elif (folder / 'checkpoints').is_dir():
    config, _ = checkpoints.load(folder)
    if 'autoencoder' not in config.get('data', {}):
      raise InputError(
        f'{folder} names no stage 1 to draw with: expected a run of stage 2, one imported with '
        '--autoencoder, or a release; make one with python -m ifmdm_jax.release'
      )
    if teacher and 'teacher' in config.model:
      raise InputError(
        f'{folder} is the run of a student: expected a release, or the run of '
        f'its teacher; pass {config.model.teacher}, or leave --teacher out'
      )
    autoencoder = sampler.Stage(*trained(config.data.autoencoder))
    motion = sampler.Stage(*trained(folder))
    advice = config.sampler
  else:
    raise InputError(
      f'{folder} should be a release or a run of stage 2, found no config.json and '
      'no checkpoints in it: check the path, or leave it out for the bundled weights'
    )
  return sampler.Sampler(
    autoencoder,
    motion,
    motion_model.frozen(motion.config),  # a student's module freezes its teacher besides
    features.load(motion.config.audio),
    name=folder.resolve().name,
    size=autoencoder.config.get('size', 512),
    steps=advice.steps,
    guidance=advice.guidance,
    stepper=advice.get('stepper', 'ddim'),
  )


def main(_):
  for flag in (_AUTOENCODER, _MOTION, _OUTPUT):
    if not flag.value:
      raise InputError(f'expected --autoencoder, --motion and --output, got no --{flag.name}')
  save(_OUTPUT.value, _AUTOENCODER.value, _MOTION.value, _STUDENT.value)
  size = sum(path.stat().st_size for path in pathlib.Path(_OUTPUT.value).iterdir())
  print(f'{_OUTPUT.value}: {size / 1e6:.1f} MB')


if __name__ == '__main__':
  errors.run(main)
