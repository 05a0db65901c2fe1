"""From training runs to weights that ship, and from either to a sampler.

A release is a folder: config.json, autoencoder.safetensors and motion.safetensors in half
precision, statistics.npz, and the model card beside them.
"""

import importlib
import json
import pathlib
import shutil

import jax
import ml_collections
import numpy as np

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
    _write(folder / f'{name}.safetensors', params)
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

  folder = pathlib.Path(path) if path else BUNDLED
  if (folder / 'config.json').exists():
    configs = ml_collections.ConfigDict(_tuples(json.loads((folder / 'config.json').read_text())))
    stages = {
      name: sampler.Stage(
        importlib.import_module(configs[name].module),
        configs[name],
        _read(folder / f'{name}.safetensors'),
      )
      for name in ('autoencoder', 'motion')
    }
    stages['motion'].config.units = str(folder / configs.motion.units)
    advice = configs.sampler
  elif (folder / 'checkpoints').is_dir():
    from ifmdm_jax.training import checkpoints

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


def _write(path, params):
  from safetensors.numpy import save_file

  flat, _ = jax.tree_util.tree_flatten_with_path(params)
  save_file(
    {'/'.join(k.key for k in keys): np.asarray(leaf, np.float16) for keys, leaf in flat}, path
  )


def _read(path):
  from safetensors.numpy import load_file

  params = {}
  for name, array in load_file(path).items():
    *parents, leaf = name.split('/')
    place = params
    for parent in parents:
      place = place.setdefault(parent, {})
    place[leaf] = array.astype(np.float32)
  return params


def _tuples(value):
  if isinstance(value, dict):
    return {key: _tuples(item) for key, item in value.items()}
  return tuple(map(_tuples, value)) if isinstance(value, list) else value
