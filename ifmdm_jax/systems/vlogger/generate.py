"""VLOGGER as a system: samplers of bundles and of training runs of its motion model.

A bundle has two parts: `motion`, the motion model M, and `statistics`, what brings motion and voice
near 0 and 1. Frames are drawn by other weights, see `sampler`. Stages of the video model are parts
`video`, `video_2`, ...; a bundle of these alone, or a training run of the first of them, moves by
the bundled M.
"""

import dataclasses
import json
import pathlib

import jax
import ml_collections

from ifmdm_jax import bundle, files, generator, testing
from ifmdm_jax.audio import features
from ifmdm_jax.errors import InputError
from ifmdm_jax.nn.unet import Numbers
from ifmdm_jax.systems.vlogger import body, motion_model, video_model
from ifmdm_jax.systems.vlogger.cascade import Cascade
from ifmdm_jax.systems.vlogger.sampler import Sampler
from ifmdm_jax.systems.vlogger.sizes import MOTION

MODULE = 'ifmdm_jax.systems.vlogger.motion_model'
VIDEO = 'ifmdm_jax.systems.vlogger.video_model'
PARTS = PART, STATISTICS = 'motion', 'statistics'
STAGES = 'video', 'video_2', 'video_3'  # of the video model, smallest first
STEPS = '20'  # of sampling motion
FRAME_STEPS = '25'  # of sampling frames


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


@dataclasses.dataclass(frozen=True)
class Video:
  """Settings of a part of `STAGES`, see `sizes`; `steps`: of sampling."""

  image: int
  low: int
  clip: int
  masks: int
  timesteps: int
  prediction: str
  unet: dict
  residual: bool = False
  steps: str = FRAME_STEPS


def load(weights, *, drawn_by=None):
  """Returns the `Sampler` of a `bundle.Bundle`.

  Args:
    weights: the bundle.
    drawn_by: weights of a `generator.Draws`, a folder; None: the bundled.

  Raises:
    InputError: a part is missing, or is not as it should be.
  """
  moves, draws = set(weights.parts) - set(STAGES), set(weights.parts) & set(STAGES)
  stages = STAGES[: len(draws)]
  if draws != set(stages) or moves != set(PARTS) and (moves or not draws):
    raise InputError(
      f'expected a bundle with {" and ".join(PARTS)}, or with {", ".join(STAGES)} in order, or '
      f'all of them; {weights.name} has {", ".join(weights.parts)}'
    )
  drawn = [weights.parts[name] for name in stages]
  cascade = _cascade([(checked_video(part.settings), part.params) for part in drawn])
  moving = weights if moves else _bundled()
  part = moving.parts[PART]
  config = checked(part.settings)
  features.check_bundled(config.audio, moving.name)
  normalizer = motion_model.normalizer(moving.parts[STATISTICS].params)
  audio = features.load(config.audio)
  how = dict(name=weights.name, steps=config.steps, drawn_by=drawn_by, cascade=cascade)
  return Sampler(config, part.params, normalizer, audio, **how)


def load_run(workdir, config, params, *, drawn_by=None):
  """Returns the `Sampler` of a training run of either model; see `load`.

  Raises:
    InputError: it is a run of the video model's later stages, or has learned no controls.
  """
  name = pathlib.Path(workdir).resolve().name
  if config.model.module == VIDEO:
    part = _video_part(workdir, config, params)
    return load(bundle.Bundle('vlogger', {STAGES[0]: part}, name=name), drawn_by=drawn_by)
  how = dict(name=name, steps=STEPS, drawn_by=drawn_by)
  audio = features.load(config.model.audio)
  return Sampler(config.model, params, motion_model.frozen(config.model), audio, **how)


def pack(runs):
  """Returns the `bundle.Bundle` of workdirs {'motion', 'video', ...}, in half precision.

  Raises:
    InputError: one is another run, or one without statistics.
  """
  from ifmdm_jax.training import checkpoints  # Orbax: sampling does without

  drawn, moving = [name for name in runs if name != PART], PART in runs
  if not runs or sorted(drawn) != list(STAGES[: len(drawn)]):
    raise InputError(
      f'expected --parts of {PART}, {", ".join(STAGES)}, in order, got {", ".join(runs)}'
    )
  parts = _motion_parts(runs[PART], *checkpoints.load(runs[PART])) if moving else {}
  for name in sorted(drawn):
    config, params = checkpoints.load(runs[name])
    part = _video_part(runs[name], config, params)
    parts[name] = dataclasses.replace(part, params=bundle.half(part.params))
  _cascade([(checked_video(parts[name].settings), None) for name in sorted(drawn)])
  return bundle.Bundle('vlogger', parts)


def _motion_parts(workdir, config, params):
  """Makes the two parts of a run of the motion model."""
  _check_run(workdir, config, MODULE, 'vlogger_motion')
  features.check_bundled(config.model.audio, workdir)
  if not config.model.normalizer:
    raise InputError(f'expected a run with model.normalizer, {workdir} has none: train again')
  settings = _settings(config, Settings)
  checked(settings)
  statistics = files.read_npz(config.model.normalizer)
  return {
    PART: bundle.Part(settings, bundle.half(params)),
    STATISTICS: bundle.Part({}, statistics),
  }


def _video_part(workdir, config, params):
  """Makes the part of a run of the video model."""
  _check_run(workdir, config, VIDEO, 'vlogger_video')
  if config.model.stage == video_model.BASE:
    raise InputError(
      f'expected a run of the stage pictures or clips, {workdir} is one of the base, which knows '
      f'no controls: go on with --config.model.stage=pictures --init_from {workdir}'
    )
  settings = _settings(config, Video)
  checked_video(settings)
  return bundle.Part(settings, params)


def _settings(config, schema):
  whole = json.loads(config.model.to_json())
  return {f.name: whole[f.name] for f in dataclasses.fields(schema) if f.name in whole}


def _bundled():
  return bundle.read(bundle.chosen(None, 'vlogger'))


def _cascade(stages):
  """Makes the `Cascade` of stages, [(settings, params), ...]; None of no stage."""
  return Cascade(stages) if stages else None


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


def checked_video(settings):
  """Returns the settings of a stage of the video model as a ConfigDict; see `checked`."""
  config = bundle.settings(settings, Video, 'part video')
  config.unet = bundle.settings(config.unet.to_dict(), Numbers, 'unet of part video')
  bundle.check_sizes(config.unet, 'unet of part video')
  bundle.check_sizes(config, 'part video', zero=('low',))
  if config.masks != len(body.REGIONS):
    raise InputError(f'expected {len(body.REGIONS)} masks in part video, got {config.masks}')
  video_model.gaussian(config, config.steps)
  return config


def _check_run(workdir, config, module, name):
  if config.model.module != module:
    raise InputError(
      f'expected a run of configs/{name}.py, {workdir} is one of {config.model.module}'
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
