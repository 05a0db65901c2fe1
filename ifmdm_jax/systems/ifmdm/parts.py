"""What the parts of an IF-MDM bundle must say of themselves, and how training runs say it.

The parts are `autoencoder`, `motion`, `statistics` (how stage 2 sees codes and features) and, where
stage 2 has been distilled, `student`, which is then what is sampled with.
"""

import dataclasses
from typing import Any

from ifmdm_jax import bundle
from ifmdm_jax.errors import InputError

HERE = 'ifmdm_jax.systems.ifmdm'
KINDS = {  # kind of a part -> module
  'lite': f'{HERE}.autoencoder.lite.model',
  'paper': f'{HERE}.autoencoder.paper',
  'motion': f'{HERE}.motion.model',
  'student': f'{HERE}.motion.distill',
}
FORMER = {  # names of the same modules in older runs and releases
  'ifmdm_jax.autoencoder.lite.model': 'lite',
  'ifmdm_jax.autoencoder.paper': 'paper',
  'ifmdm_jax.motion.model': 'motion',
  'ifmdm_jax.motion.distill': 'student',
}
DISTILLED = f'{HERE}.autoencoder.implicit'  # the published networks, trained by the renderer
KIND_OF = FORMER | {DISTILLED: 'paper'} | {module: kind for kind, module in KINDS.items()}
RENAMED = {'units': 'normalizer', 'untold': 'unconditioned_dims'}  # settings of older ones
TRAINABLES = {name: KINDS[kind] for name, kind in KIND_OF.items()}


@dataclasses.dataclass(frozen=True)
class Lite:
  """The bundled autoencoder, see configs/autoencoder.py."""

  kind: str
  side: int
  sizes: dict


@dataclasses.dataclass(frozen=True)
class Sizes:
  """Of `autoencoder.lite.network.Autoencoder`."""

  motion_dim: int
  source_widths: tuple
  fine: int
  coarse: int
  decoder_width: int
  decoder_inner: int
  decoder_fine: int
  paint: bool = True


@dataclasses.dataclass(frozen=True)
class Paper:
  """The published autoencoder."""

  kind: str
  size: int = 512
  motion_dim: int = 20
  style_dim: int = 512
  max_width: int = 512
  multiplier: float = 1.0
  refine: bool = True
  refine_width: int = 512
  refine_tile: int = 0
  clean: bool = False
  relative: bool = False
  lia: bool = False
  draw_dtype: str = 'float32'


@dataclasses.dataclass(frozen=True)
class Motion:
  """Stage 2, see configs/motion.py; `steps`, `guidance` and `stepper` are how to sample with it."""

  kind: str
  width: int
  depth: int
  heads: int
  audio_width: int
  prediction: str
  learn_sigma: bool
  motion_dim: int
  frames: int
  timesteps: int
  steps: int
  guidance: float
  drop_audio: float = 0.0
  drop_hint: float = 0.0
  drop_stats: float = 0.0
  clean_drop: bool = False
  clean_guidance: bool = False
  relative: int = 0
  fixed: bool = False
  unconditioned_dims: tuple = (0, 0)
  smoothing: tuple = ()
  chance: tuple = ()
  audio: str = 'whisper_tiny'
  stepper: str = 'ddim'


@dataclasses.dataclass(frozen=True)
class Student(Motion):
  """Stage 2, distilled: it samples with `student_steps` evaluations or fewer, without guidance."""

  student_steps: int = 4


LARGEST = 2**14  # of any whole number of a part
FROM_ZERO = {'relative', 'refine_tile'}
SCHEMAS = {'lite': Lite, 'paper': Paper, 'motion': Motion, 'student': Student}
SAMPLER = {'steps': int, 'guidance': float, 'stepper': str}
OF_PART = {'autoencoder': ('lite', 'paper'), 'motion': ('motion',), 'student': ('student',)}
# Settings of a training run that its weights do not need any more.
TRAINING = {
  'module', 'loss', 'perceptual', 'perceptual_weight', 'gan_weight', 'remat', 'dim_weights',
  'velocity_weight', 'statistics', 'normalizer', 'teacher', 'substeps', 'stage', 'driver', 'fade',
  'grow', 'targets',
}  # fmt: skip


def current(model):
  """Renames what older runs and releases call otherwise in their `config.model`."""
  return type(model)({RENAMED.get(name, name): value for name, value in model.items()})


def configs_of(weights):
  """Returns {part: checked settings} of a bundle, all of them, whichever will be sampled with."""
  names = {*OF_PART, 'statistics'}
  if not {'autoencoder', 'motion'} <= set(weights.parts) <= names:
    raise InputError(
      f'expected a bundle with autoencoder, motion and of {", ".join(sorted(names))}, '
      f'{weights.name} has {", ".join(weights.parts)}'
    )
  return {
    name: config_of(name, part.settings)
    for name, part in weights.parts.items()
    if name != 'statistics'
  }


def config_of(name, settings):
  """Returns the checked settings of a part as `config.model` of its module."""
  settings = current(settings)
  kind = settings.get('kind')
  if kind not in OF_PART[name]:
    raise InputError(f'expected a part {name} of kind {" or ".join(OF_PART[name])}, got {kind!r}')
  config = bundle.settings(settings, SCHEMAS[kind], f'part {name}')
  _check_sizes(config, f'part {name}')
  if kind == 'lite':
    config.sizes = bundle.settings(config.sizes.to_dict(), Sizes, f'sizes of part {name}')
    _check_sizes(config.sizes, f'sizes of part {name}')
  if kind == 'paper' and not config.refine_tile:
    config.refine_tile = None
  return config


def _check_sizes(config, where):
  """Raises InputError where a size is none that any network has had: its arrays would be huge."""
  for name, value in config.items():
    least = 0 if name in FROM_ZERO else 1
    if type(value) is int and not least <= value <= LARGEST:
      raise InputError(f'expected {name} of {where} from {least} to {LARGEST}, got {value}')


def settings_of(kind, model, sampler=None):
  """Returns the settings of a part, of `config.model` and `config.sampler` of a run, as dicts."""
  model = current(model)
  names = {field.name for field in dataclasses.fields(SCHEMAS[kind])}
  unknown = sorted(set(model) - names - TRAINING - {'guidance'})
  if unknown:
    raise InputError(f'expected settings of {kind}, got unknown {", ".join(unknown)}')
  settings: dict[str, Any] = {name: model[name] for name in model if name in names}
  if kind == 'student':
    sampler = dict(steps=model['student_steps'], guidance=1.0, stepper='ddim')
  if settings.get('refine_tile', 0) is None:
    del settings['refine_tile']
  return {'kind': kind, **settings, **(sampler or {})}


def upgrade(config):
  """Returns the config.json of an older release in today's format, or None if it is not one.

  There, each part names a module; a fixed table turns the names that a release can have into kinds.
  """
  if not {'autoencoder', 'motion', 'sampler'} <= set(config):
    return None
  bundle.fields(config['sampler'], SAMPLER, ('steps', 'guidance'), 'sampler')
  parts = {}
  for name in OF_PART:
    if name in config:
      model = config[name]
      kind = KIND_OF.get(str(model.get('module'))) if isinstance(model, dict) else None
      if kind not in OF_PART[name]:
        raise InputError(
          f'expected a module of {", ".join(KIND_OF)} for {name}, got {model!r:.200}'
        )
      settings = settings_of(kind, model, None if name == 'autoencoder' else config['sampler'])
      parts[name] = {'file': f'{name}.safetensors', 'settings': settings}
  parts['statistics'] = {'file': 'statistics.npz', 'settings': {}}
  return {'format': bundle.FORMAT, 'system': 'ifmdm', 'parts': parts}
