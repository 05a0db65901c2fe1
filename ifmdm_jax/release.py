"""From training runs to weights that ship, and from either to a sampler.

A release is a folder: config.json, autoencoder.safetensors and motion.safetensors in half
precision, statistics.npz, and the model card beside them.
"""

import importlib
import json
import pathlib
import shutil

import ml_collections

from ifmdm_jax.errors import InputError

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
    if 'autoencoder' not in config.data:
      raise InputError(
        f'{folder} is a run of stage 1; expected one of stage 2, or a release: make '
        'one with python -m ifmdm_jax.export'
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
    motion.module.frozen(motion.config),
    features.load(motion.config.audio),
    steps=advice.steps,
    guidance=advice.guidance,
  )
