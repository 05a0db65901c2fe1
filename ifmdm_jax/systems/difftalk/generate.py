"""DiffTalk as a system: samplers of bundles and of training runs, and bundles of training runs."""

import dataclasses
import json
import pathlib

import jax
import ml_collections

from ifmdm_jax import bundle, generator, testing
from ifmdm_jax.audio import features
from ifmdm_jax.errors import InputError
from ifmdm_jax.nn.unet import Numbers
from ifmdm_jax.systems.difftalk import masks, model, networks, vq
from ifmdm_jax.systems.difftalk.sampler import Sampler, chain_of
from ifmdm_jax.systems.difftalk.sizes import SIZES

STAGE_1 = 'ifmdm_jax.systems.difftalk.autoencoder'
STAGE_2 = 'ifmdm_jax.systems.difftalk.model'
VOICE = 'ifmdm_jax.systems.difftalk.voice'
PARTS = ('autoencoder', 'denoiser')


@dataclasses.dataclass(frozen=True)
class Vq:
  """Stage 1, see `vq.VQ`."""

  width: int
  multipliers: tuple
  blocks: int
  entries: int
  channels: int


@dataclasses.dataclass(frozen=True)
class Audio:
  """See `networks.AudioNet`."""

  channels: tuple
  features: int


@dataclasses.dataclass(frozen=True)
class Landmarks:
  """See `networks.LandmarkNet`."""

  hidden: int
  features: int
  units: str
  tokens: int


@dataclasses.dataclass(frozen=True)
class Autoencoder:
  """Settings of the part `autoencoder`."""

  image: int
  latent: int
  vq: dict
  shot: int = 0


@dataclasses.dataclass(frozen=True)
class Denoiser:
  """Settings of the part `denoiser`; `steps` and `reference` are how to sample with it."""

  unet: dict
  audio: dict
  landmarks: dict
  speech_width: int
  speech: str
  context: str
  timesteps: int
  first_beta: float
  last_beta: float
  steps: str
  reference: str
  standardise: bool = False
  predicts: str = 'noise'
  detail: float = 0.0
  black_from: int = masks.SAMPLING
  margin: float = masks.MARGIN
  soft: float = masks.SOFT


SCHEMAS = {'autoencoder': Autoencoder, 'denoiser': Denoiser}
WITHIN = {'vq': Vq, 'unet': Numbers, 'audio': Audio, 'landmarks': Landmarks}


def load(weights):
  """Returns the `Sampler` of a `bundle.Bundle`.

  Raises:
    InputError: a part is missing, or is not as it should be.
  """
  if set(weights.parts) != set(PARTS):
    raise InputError(
      f'expected a bundle with {" and ".join(PARTS)}, {weights.name} has {", ".join(weights.parts)}'
    )
  config = ml_collections.ConfigDict()
  for name in PARTS:
    config.update(checked(name, weights.parts[name].settings))
  features.check_bundled(config.speech, weights.name)
  params = [weights.parts[name].params for name in reversed(PARTS)]
  return _sampler(config, *params, config, weights.name)


def load_run(workdir, config, params):
  """Returns the `Sampler` of a run of stage 2, with the stage 1 that its config names.

  Raises:
    InputError: it is a run of stage 1, or names none.
  """
  if config.model.module != STAGE_2:
    raise InputError(
      f'{workdir} is a run of stage 1, or of the voice alone: expected one of '
      'configs/difftalk.py, or a bundle'
    )
  if 'imported' in config and not config.model.autoencoder:
    raise InputError(f'{workdir} names no stage 1: import it with --autoencoder RUN')
  autoencoder = model.load_autoencoder(config.model)
  name = pathlib.Path(workdir).resolve().name
  result = _sampler(config.model, params, autoencoder, config.sampler, name)
  result.sources = tuple(filter(None, [config.model.autoencoder]))
  return result


def pack(runs):
  """Returns the `bundle.Bundle` of workdirs {'denoiser'}, or {'autoencoder', 'denoiser'}.

  Without the first, stage 1 is the one that stage 2 was trained on. Weights are in half precision.

  Raises:
    InputError: a run is missing, or is of another stage.
  """
  from ifmdm_jax.training import checkpoints  # Orbax: sampling does without

  if not {'denoiser'} <= set(runs) <= set(PARTS):
    raise InputError(f'expected --parts of {", ".join(PARTS)}, got {", ".join(runs)}')
  config, params = checkpoints.load(runs['denoiser'])
  if config.model.module != STAGE_2:
    raise InputError(f'expected a run of stage 2 as denoiser, got one of {config.model.module}')
  if 'autoencoder' in runs:
    config.model.autoencoder = runs['autoencoder']
  whole = {**json.loads(config.model.to_json()), **json.loads(config.sampler.to_json())}
  trees = {'denoiser': params, 'autoencoder': model.load_autoencoder(config.model)}
  packed = {}
  for name, schema in SCHEMAS.items():
    settings = {f.name: whole[f.name] for f in dataclasses.fields(schema) if f.name in whole}
    checked(name, settings)
    packed[name] = bundle.Part(settings, bundle.half(trees[name]))
  return bundle.Bundle('difftalk', packed)


def fresh(size, dtype='float32'):
  """Returns a `Sampler` with random weights, to be timed.

  Raises:
    InputError: there is no such size.
  """
  if size not in SIZES or dtype != 'float32':
    raise InputError(f'expected a size of {", ".join(SIZES)} in float32, got {size} in {dtype}')
  config = ml_collections.ConfigDict(SIZES[size])
  config.update(speech='mel', speech_width=160, timesteps=1000, first_beta=0.0015, last_beta=0.0195)
  draw = lambda init: testing.random_params(
    jax.eval_shape(lambda key: init(key, config), jax.random.key(0)), scale=0.02
  )
  params, autoencoder = draw(networks.init), draw(vq.init)
  advice = dict(steps='50', reference='fixed')
  return _sampler(config, params, autoencoder, advice, f'difftalk {size}')


def checked(name, settings):
  """Returns the settings of a part as a ConfigDict.

  Raises:
    InputError: one is unknown, missing, of another type, or of a size that no network has had.
  """
  config = bundle.settings(settings, SCHEMAS[name], f'part {name}')
  for key in set(config) & set(WITHIN):
    config[key] = bundle.settings(config[key].to_dict(), WITHIN[key], f'{key} of part {name}')
    bundle.check_sizes(config[key], f'{key} of part {name}')
  bundle.check_sizes(config, f'part {name}', zero=('shot',))
  if name == 'denoiser':
    chain_of(config.reference)
  return config


def _sampler(config, params, autoencoder, advice, name):
  advice = {key: advice[key] for key in ('steps', 'reference')}
  return Sampler(config, params, autoencoder, features.load(config.speech), advice, name)


SYSTEM = generator.System(
  load,
  {name: name for name in (STAGE_1, STAGE_2, VOICE)},
  load_run,
  pack,
  sizes=tuple(SIZES),
  fresh=fresh,
)
