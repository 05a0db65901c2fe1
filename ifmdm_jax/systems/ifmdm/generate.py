"""IF-MDM as a system: samplers of bundles and of training runs, and bundles of training runs."""

import functools
import json
import pathlib

from ifmdm_jax import bundle, files, generator
from ifmdm_jax.audio import features
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm import fresh, parts, personal, preview
from ifmdm_jax.systems.ifmdm.motion import model as motion_model
from ifmdm_jax.systems.ifmdm.motion.sample import Solver
from ifmdm_jax.systems.ifmdm.motion_stream import Options
from ifmdm_jax.systems.ifmdm.sampler import Sampler, Stage


def load(weights, *, teacher=False):
  """Returns a `Sampler` of a `bundle.Bundle`.

  Args:
    weights: the bundle.
    teacher: take the stage 2 that its student learned from: several times slower, and any number of
      steps and any guidance may be asked of it.
  """
  configs = parts.configs_of(weights)
  second = 'student' if 'student' in configs and not teacher else 'motion'
  stages = [_stage(configs[name], weights.parts[name].params) for name in ('autoencoder', second)]
  motion = configs[second]
  motion.normalizer = str(weights.parts['statistics'].file) if 'statistics' in weights.parts else ''
  features.check_bundled(motion.audio, weights.name)
  return sampler(*stages, motion, weights.name)


def load_run(workdir, config, params, *, teacher=False):
  """Returns a `Sampler` of a run of stage 2, with the stage 1 that its config names."""
  if 'autoencoder' not in config.get('data', {}):
    raise InputError(
      f'{workdir} names no stage 1 to draw with: expected a run of stage 2, one imported with '
      '--autoencoder, or a bundle; make one with python -m ifmdm_jax.bundle'
    )
  if teacher and 'teacher' in config.model:
    raise InputError(
      f'{workdir} is the run of a student: expected a bundle, or the run of its teacher; '
      f'pass {config.model.teacher}, or leave --teacher out'
    )
  if 'imported' in config:  # it names its parts by their places beside it, so that all can be moved
    config.data.autoencoder = str(pathlib.Path(workdir) / config.data.autoencoder)
    if config.model.get('audio', features.NAMES[0]) not in features.NAMES:
      config.model.audio = str(pathlib.Path(workdir) / config.model.audio)
  first = Stage(*bundle.trained(config.data.autoencoder))
  second = Stage(generator.trainable(config.model.module)[1], config.model, params)
  result = sampler(first, second, config.sampler, pathlib.Path(workdir).resolve().name)
  result.sources = tuple(filter(None, (config.data.autoencoder, config.model.normalizer)))
  return result


def pack(runs):
  """Returns the `bundle.Bundle` of workdirs {'autoencoder', 'motion', and 'student' if any}.

  Weights are in half precision, statistics in single.

  Raises:
    InputError: a run is missing, the student sees codes and features otherwise than stage 2, or
      the speech encoder is a folder.
  """
  from ifmdm_jax.training import checkpoints  # Orbax: sampling does without

  if not {'autoencoder', 'motion'} <= set(runs) <= set(parts.OF_PART):
    raise InputError(f'expected --parts of {", ".join(parts.OF_PART)}, got {", ".join(runs)}')
  loaded = {name: checkpoints.load(workdir) for name, workdir in runs.items()}
  measured = {
    name: parts.current(config.model).get('normalizer') for name, (config, _) in loaded.items()
  }
  if 'student' in runs and _bytes(measured['student']) != _bytes(measured['motion']):
    raise InputError(
      f'expected a student with the statistics of its teacher, {measured["motion"]}, got '
      f'{measured["student"]}: pass the stage 2 that it was distilled from'
    )
  packed = {}
  for name, (config, params) in loaded.items():
    kind = parts.KIND_OF.get(config.model.module)
    if kind not in parts.OF_PART[name]:
      raise InputError(f'expected a run of {name}, {runs[name]} is one of {config.model.module}')
    advice = json.loads(config.sampler.to_json()) if 'sampler' in config else None
    settings = parts.settings_of(kind, json.loads(config.model.to_json()), advice)
    parts.config_of(name, settings)
    packed[name] = bundle.Part(settings, bundle.half(params))
  features.check_bundled(packed['motion'].settings.get('audio', features.NAMES[0]), runs['motion'])
  if measured['motion']:
    packed['statistics'] = bundle.Part({}, files.read_arrays(measured['motion']))
  return bundle.Bundle('ifmdm', packed)


def _stage(config, params):
  return Stage(generator.trainable(parts.KINDS[config.kind])[1], config, params)


def sampler(autoencoder, motion, advice, name='ifmdm', size=None):
  """Returns the `Sampler` of two stages that samples as `advice` says, see `options_of`."""
  config = motion.config
  return Sampler(
    autoencoder,
    motion,
    motion_model.frozen(config),  # a student's module freezes its teacher besides
    features.load(config.audio),
    name=name,
    size=size or autoencoder.config.get('size', 512),
    options=options_of(config, advice),
  )


def options_of(config, advice):
  """Returns the `Options` that weights advise.

  Where nobody has measured how codes vary (an imported network), there is no typical deviation to
  ask for: nothing is conditioned on, as in the paper's Table 1, "no control".

  Args:
    config: `config.model` of stage 2.
    advice: steps, guidance and maybe stepper, as `config.sampler` has them.
  """
  solver = Solver(advice.steps, advice.guidance, getattr(advice, 'stepper', 'ddim'))
  return Options(solver) if config.normalizer else Options(solver, None, None)


def _bytes(path):
  return pathlib.Path(path).read_bytes() if path else b''


SYSTEM = generator.System(
  load,
  parts.TRAINABLES,
  load_run,
  pack,
  upgrade=parts.upgrade,
  current=parts.current,
  sizes=fresh.SIZES,
  fresh=functools.partial(fresh.fresh, make=sampler),
  preview=functools.partial(preview.generator_of, load_run=load_run),
  histograms=preview.histograms,
  personal=personal.Personal,
)
