"""From training runs to weights that ship, and from either to a sampler.

  python -m ifmdm_jax.release --autoencoder runs/autoencoder --motion runs/motion --output DIR

A release is a folder: config.json, autoencoder.safetensors and motion.safetensors in half
precision, statistics.npz, and the model card beside them.
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
_OUTPUT = flags.DEFINE_string('output', None, 'Folder to write.', **errors.SHARED)

BUNDLED = pathlib.Path(__file__).parent / 'weights' / 'lite'


def trained(workdir):
  """(module, config.model, params) of a workdir of `ifmdm_jax.train`."""
  from ifmdm_jax.training import checkpoints

  config, params = checkpoints.load(workdir)
  return importlib.import_module(config.model.module), config.model, params


def save(folder, autoencoder_run, motion_run):
  """Writes a release from two workdirs."""
  from ifmdm_jax.training import checkpoints

  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  configs = {}
  for name, run in (('autoencoder', autoencoder_run), ('motion', motion_run)):
    config, params = checkpoints.load(run)
    checkpoints.write_weights(folder / f'{name}.safetensors', params)
    configs[name] = json.loads(config.model.to_json())
    if name == 'motion':
      configs['sampler'] = json.loads(config.sampler.to_json())
      shutil.copyfile(config.model.units, folder / 'statistics.npz')
      configs[name]['units'] = 'statistics.npz'  # beside the config
  (folder / 'config.json').write_text(json.dumps(configs, indent=1) + '\n')


def load(path=None):
  """A `Sampler` from the bundled weights, a release folder, or a workdir of stage 2.

  Raises:
    InputError: nothing of the kind is there.
  """
  from ifmdm_jax.audio import features
  from ifmdm_jax.motion import model as motion_model
  from ifmdm_jax.sampling import sampler
  from ifmdm_jax.training import checkpoints

  folder = pathlib.Path(path) if path else BUNDLED
  if (folder / 'config.json').exists():
    found = json.loads((folder / 'config.json').read_text())
    configs = ml_collections.ConfigDict(checkpoints.as_tuples(found))
    stages = {
      name: sampler.Stage(
        importlib.import_module(configs[name].module),
        configs[name],
        checkpoints.read_weights(folder / f'{name}.safetensors'),
      )
      for name in ('autoencoder', 'motion')
    }
    stages['motion'].config.units = str(folder / configs.motion.units)
    advice = configs.sampler
  elif (folder / 'checkpoints').is_dir():
    config, _ = checkpoints.load(folder)
    if 'autoencoder' not in config.get('data', {}):
      raise InputError(
        f'{folder} names no stage 1 to draw with: expected a run of stage 2, one imported with '
        '--autoencoder, or a release; make one with python -m ifmdm_jax.release'
      )
    stages = {
      'autoencoder': sampler.Stage(*trained(config.data.autoencoder)),
      'motion': sampler.Stage(*trained(folder)),
    }
    advice = config.sampler
  else:
    raise InputError(
      f'{folder} should be a release or a run of stage 2, found no config.json and '
      'no checkpoints in it: check the path, or leave it out for the bundled weights'
    )
  motion = stages['motion']
  return sampler.Sampler(
    stages['autoencoder'],
    motion,
    motion_model.frozen(motion.config),  # a student's module freezes its teacher besides
    features.load(motion.config.audio),
    size=stages['autoencoder'].config.get('size', 512),
    steps=advice.steps,
    guidance=advice.guidance,
    stepper=advice.get('stepper', 'ddim'),
  )


def main(_):
  for flag in (_AUTOENCODER, _MOTION, _OUTPUT):
    if not flag.value:
      raise InputError(f'expected --autoencoder, --motion and --output, got no --{flag.name}')
  save(_OUTPUT.value, _AUTOENCODER.value, _MOTION.value)
  size = sum(path.stat().st_size for path in pathlib.Path(_OUTPUT.value).iterdir())
  print(f'{_OUTPUT.value}: {size / 1e6:.1f} MB')


if __name__ == '__main__':
  errors.run(main)
