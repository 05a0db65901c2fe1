"""VLOGGER as a system: samplers of bundles and of training runs of its motion model.

A bundle has two parts: `motion`, the motion model M, and `statistics`, what brings motion and voice
near 0 and 1. Frames are drawn by other weights, see `sampler`.
"""

import dataclasses
import json
import pathlib

import jax
import ml_collections

from ifmdm_jax import bundle, files, generator, testing
from ifmdm_jax.audio import features
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.vlogger import motion_model
from ifmdm_jax.systems.vlogger.sampler import Sampler
from ifmdm_jax.systems.vlogger.sizes import MOTION

MODULE = 'ifmdm_jax.systems.vlogger.motion_model'
VIDEO = 'ifmdm_jax.systems.vlogger.video_model'
PARTS = PART, STATISTICS = 'motion', 'statistics'
STEPS = '20'  # of sampling motion


@dataclasses.dataclass(frozen=True)
class Settings:
  """Settings of the part `motion`, see configs/vlogger_motion.py; `steps`: of sampling."""

  width: int
  depth: int
  heads: int
  window: int
  audio_width: int
  audio: str
  reach: int
  timesteps: int
  steps: str = STEPS


def load(weights, *, drawn_by=None):
  """Returns the `Sampler` of a `bundle.Bundle`.

  Args:
    weights: the bundle.
    drawn_by: weights of a `generator.Draws`, a folder; None: the bundled.

  Raises:
    InputError: a part is missing, or is not as it should be.
  """
  if set(weights.parts) != set(PARTS):
    raise InputError(
      f'expected a bundle with {" and ".join(PARTS)}, {weights.name} has {", ".join(weights.parts)}'
    )
  part = weights.parts[PART]
  config = checked(part.settings)
  features.check_bundled(config.audio, weights.name)
  normalizer = motion_model.normalizer(weights.parts[STATISTICS].params)
  audio = features.load(config.audio)
  how = dict(name=weights.name, steps=config.steps, drawn_by=drawn_by)
  return Sampler(config, part.params, normalizer, audio, **how)


def load_run(workdir, config, params, *, drawn_by=None):
  """Returns the `Sampler` of a training run of the motion model; see `load`.

  Raises:
    InputError: it is a run of the video model.
  """
  _check_run(workdir, config)
  name = pathlib.Path(workdir).resolve().name
  how = dict(name=name, steps=STEPS, drawn_by=drawn_by)
  audio = features.load(config.model.audio)
  return Sampler(config.model, params, motion_model.frozen(config.model), audio, **how)


def pack(runs):
  """Returns the `bundle.Bundle` of a workdir {'motion'}, in half precision.

  Raises:
    InputError: it is another run, or one without statistics.
  """
  from ifmdm_jax.training import checkpoints  # Orbax: sampling does without

  if set(runs) != {PART}:
    raise InputError(f'expected --parts {PART}=RUN, got {", ".join(runs)}')
  config, params = checkpoints.load(runs[PART])
  _check_run(runs[PART], config)
  features.check_bundled(config.model.audio, runs[PART])
  if not config.model.normalizer:
    raise InputError(f'expected a run with model.normalizer, {runs[PART]} has none: train again')
  whole = json.loads(config.model.to_json())
  settings = {f.name: whole[f.name] for f in dataclasses.fields(Settings) if f.name in whole}
  checked(settings)
  statistics = files.read_npz(config.model.normalizer)
  parts = {
    PART: bundle.Part(settings, bundle.half(params)),
    STATISTICS: bundle.Part({}, statistics),
  }
  return bundle.Bundle('vlogger', parts)


def fresh(size, dtype='float32'):
  """Returns a `Sampler` with random weights, to be timed.

  Raises:
    InputError: there is no such size.
  """
  if size not in MOTION or dtype != 'float32':
    raise InputError(f'expected a size of {", ".join(MOTION)} in float32, got {size} in {dtype}')
  config = ml_collections.ConfigDict(MOTION[size])
  shapes = jax.eval_shape(lambda key: motion_model.init(key, config), jax.random.key(0))
  params = testing.random_params(shapes, scale=0.2)
  normalizer = motion_model.plain(config.audio_width)
  audio = features.load(config.audio)
  return Sampler(config, params, normalizer, audio, name=f'vlogger {size}', steps=STEPS)


def checked(settings):
  """Returns the settings of the part `motion` as a ConfigDict.

  Raises:
    InputError: one is unknown, missing, of another type, or of a size that no network has had.
  """
  config = bundle.settings(settings, Settings, f'part {PART}')
  bundle.check_sizes(config, f'part {PART}', zero=('reach',))
  return ml_collections.ConfigDict(config)


def _check_run(workdir, config):
  if config.model.module != MODULE:
    raise InputError(
      f'expected a run of configs/vlogger_motion.py, {workdir} is one of {config.model.module}'
    )


SYSTEM = generator.System(
  load,
  {name: name for name in (MODULE, VIDEO)},
  load_run,
  pack,
  alone=PART,
  sizes=tuple(MOTION),
  fresh=fresh,
)
