"""Stage 2 over a voice of any length: windows of motion codes, each going on from the last.

Windows are chained by the hint token: each starts from the last code of the one before. All are
counted from the portrait's code, so that what they do does not depend on how long they have run.
Everything is a pure function of pytrees whose first axis is the voice: one, or many at once.
"""

import collections.abc
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.clip import check_seed
from ifmdm_jax.errors import InputError
from ifmdm_jax.streaming.windows import FEATURES_PER_FRAME, Plan
from ifmdm_jax.systems.ifmdm import knobs
from ifmdm_jax.systems.ifmdm.autoencoder.lite import units
from ifmdm_jax.systems.ifmdm.motion import eyes, sample
from ifmdm_jax.systems.ifmdm.motion.condition import Condition
from ifmdm_jax.systems.ifmdm.motion.sample import Solver

SILENCE = -100.0  # dB
FARTHEST = 100.0  # of motion_mean and motion_std: typical deviations


@dataclasses.dataclass(frozen=True)
class Options:
  """What a caller may ask of a voice's motion.

  Attributes:
    solver: how windows are denoised.
    motion_mean: offset of the pose, 1 is a typical deviation: one number for all directions, one
      per motion direction, or some by name, {'pose_1': 0.5}; lips follow the voice alone. None: the
      network is not conditioned on a mean, as in the paper's Table 1, "no control".
    motion_std: liveliness of head, lids and brows; 1 is typical, 0 keeps them still. None: not
      conditioned on a deviation.
    head, mouth, expression, brows: how much of each part is emitted, see `knobs`.
    blinks_per_minute: 0 to 60; None: as often as people do, see `motion.eyes`, and not at all
      where motion_std is 0.
    gaze: 'free': eyes shift, mostly back; 'camera': they stay as in the portrait, as they do where
      motion_std is 0. Weights whose renderer does not draw lids and irises have neither.
    unit: lasting shape of the face by face units, {'mouthSmileLeft': 0.3}, each from -1 to 1; see
      `autoencoder.lite.units`. Speech and expression are added to it.
  """

  solver: Solver = sample.DEFAULT
  motion_mean: float | tuple | None = 0.0
  motion_std: float | None = 1.0
  head: float = 1.0
  mouth: float = 1.0
  expression: float = 1.0
  brows: float = 1.0
  blinks_per_minute: float | None = None
  gaze: str = 'free'
  unit: collections.abc.Mapping | tuple = ()

  def __post_init__(self):
    knobs.check(self.parts)
    knobs.check_eyes(self.blinks_per_minute, self.gaze)
    object.__setattr__(self, 'unit', units.listed(self.unit))
    if isinstance(self.motion_mean, collections.abc.Mapping):
      object.__setattr__(self, 'motion_mean', knobs.offsets(self.motion_mean))
    try:
      mean = np.asarray(0.0 if self.motion_mean is None else self.motion_mean, np.float64)
      std = float(1.0 if self.motion_std is None else self.motion_std)
    except (TypeError, ValueError):
      mean, std = np.array(np.nan), np.nan
    far = not (np.abs(mean) <= FARTHEST).all() or not std <= FARTHEST  # NaN as well
    if mean.ndim > 1 or far or std < 0:
      raise InputError(
        f'motion_mean and motion_std should be finite, {FARTHEST:g} at most, and motion_std not '
        f'negative, got {self.motion_mean} and {self.motion_std}'
      )
    if self.motion_mean is not None:  # a value: hashable
      object.__setattr__(self, 'motion_mean', tuple(mean.tolist()) if mean.ndim else float(mean))

  @property
  def parts(self):
    """The knobs of `knobs.KNOBS` by name."""
    return {name: getattr(self, name) for name in knobs.KNOBS}

  def changed(self, **options):
    """Returns these options with some changed, those of the solver among them, by name.

    Raises:
      InputError: there is no option of a name, or a value is none that it may have.
    """
    own = {field.name for field in dataclasses.fields(self)} - {'solver'}
    of_solver = {field.name for field in dataclasses.fields(Solver)}
    unknown = sorted(set(options) - own - of_solver)
    if unknown:
      known = ', '.join(sorted(own | of_solver))
      raise InputError(f'expected options of {known}, got {", ".join(unknown)}: correct the name')
    pick = lambda names: {name: value for name, value in options.items() if name in names}
    solver = dataclasses.replace(self.solver, **pick(of_solver))
    return dataclasses.replace(self, solver=solver, **pick(own))


class State(NamedTuple):
  """Where B voices have come to."""

  before: jax.Array  # [B, 1 + K, M], the hint, and the codes of the next window's first K frames
  index: jax.Array  # uint32 [B], windows so far
  eyes: tuple = ()  # `eyes.State`, where they are drawn


class Controls(NamedTuple):
  """What a voice's motion is conditioned on besides its sound, one row per voice."""

  seed: jax.Array  # uint32 [B]
  mean: jax.Array  # [B, 1, M], the pose that windows are centred on
  std: jax.Array  # [B, 1, M], 0 holds all but the lips still
  given: jax.Array  # bool [B, 2], whether the network is conditioned on mean, and on std
  reference: jax.Array  # [B, 1, M], the portrait's code, which motion is counted from
  gain: jax.Array  # [B, 1, M], how far from there what is emitted goes, 1 as far as it was sampled
  eyes: tuple = ()  # `eyes.Controls`, where they are drawn


def start(code, plan):
  """Returns the `State` before the first window: a portrait's code [1, M], repeated."""
  before = np.repeat(np.asarray(code)[:, None], 1 + plan.known, axis=1)
  return State(before, np.zeros(1, np.uint32))


def controls(code, typical, options, seed=0):
  """Returns the `Controls` of one voice as NumPy arrays.

  Args:
    code: of the portrait, [1, M].
    typical: [M], deviation within a window; 1 where nobody has measured it.
    options: `Options`.
    seed: of the motion.
  """
  typical = np.asarray(typical, np.float32)
  mean, std = options.motion_mean, options.motion_std
  offset = np.asarray(0.0 if mean is None else mean, np.float32) * typical
  code = np.asarray(code, np.float32)
  pose, gain = code + offset, knobs.gains(code.shape[-1], options.parts)
  spread = np.float32(1.0 if std is None else std) * typical
  seed = np.array([check_seed(seed) % 2**32], np.uint32)
  return Controls(
    seed, pose[:, None], spread[None, None], given(options), code[:, None], gain[None, None]
  )


def with_eyes(state, controls, options, seed=0):
  """Adds eyes to what `start` and `controls` return, for a renderer that draws lids and irises."""
  calm = options.motion_std == 0
  rate, gaze = options.blinks_per_minute, 'camera' if calm else options.gaze
  asked = eyes.controls(seed, 0 if calm and rate is None else rate, gaze)
  return state._replace(eyes=eyes.start()), controls._replace(eyes=asked)


def given(options):
  """Returns whether options condition on mean, and on deviation: bool [1, 2]."""
  return np.array([[options.motion_mean is not None, options.motion_std is not None]])


def check(options, directions):
  """Raises InputError where `options` have another number of directions, or none with names."""
  knobs.gains(directions, options.parts)
  mean = options.motion_mean
  if np.ndim(mean) and len(mean) != directions:
    raise InputError(
      f'motion_mean should be one number or {directions}, got {len(mean)}: '
      f'pass one per motion direction'
    )


def sample_motion(config, normalizer, params, y, valid, state, controls, *, new, solver):
  """Samples the next window of B voices, each with its own seed: no voice depends on another.

  Args:
    config: `config.model` of stage 2.
    normalizer: how the network sees codes and features.
    params: of stage 2.
    y: [B, 2T, A], speech features.
    valid: [B, T], nonzero for frames that are.
    state: `State`.
    controls: `Controls`.
    new: frames to emit, after the K known ones.
    solver: `Solver`.

  Returns:
    codes [B, new, M], and the `State` of the next window.
  """
  hint, known = state.before[:, :1], state.before[:, 1:]

  def noise_of(seed, index):
    key = jax.random.fold_in(jax.random.key(seed), index)
    noise = jax.random.normal(key, (y.shape[1] // FEATURES_PER_FRAME, config.motion_dim))
    # A voice leaves lips little choice: the less noise they start from, the more it decides alone.
    chance = getattr(config, 'chance', ())
    return noise * np.asarray(chance, np.float32)[None] if len(chance) else noise

  condition = Condition(
    y, hint, controls.mean, controls.std, valid, controls.given, controls.reference
  )
  codes = sample.sample(
    params,
    config,
    jax.vmap(noise_of)(controls.seed, state.index),
    condition,
    solver,
    normalizer=normalizer,
    known=known,
  )
  # Tokens ask for calm; this holds the head entirely still.
  still = (controls.std == 0).all(2, keepdims=True) & normalizer.conditioned[None, None]
  codes = jnp.where(still, controls.mean, codes)
  sampled = codes[:, known.shape[1] :][:, :new]
  before = jnp.concatenate([state.before, sampled], axis=1)[:, new:]
  emitted = controls.reference + controls.gain * (sampled - controls.reference)
  return emitted, State(before, state.index + np.uint32(1))


def move(sample, y, valid, state, controls, level=None, *, new, **options):
  """Samples the next window of B voices, and moves their eyes on where `state` has any.

  Args:
    sample: `sample_motion` with all before y given, compiled.
    y, valid, state, controls, new: see there.
    level: [B, new], dB, see `streaming.windows.Window`; None is silence.
    options: of `sample`.

  Returns:
    codes [B, new, M], or [B, new, M + 4] with `eyes.NAMES` at the end, and the next `State`.
  """
  without = state._replace(eyes=()), controls._replace(eyes=())
  codes, after = sample(y, valid, *without, new=new, **options)
  if not isinstance(state.eyes, eyes.State):
    return codes, after
  level = np.full((len(y), new), SILENCE) if level is None else level
  drawn, seen = eyes.advance(state.eyes, controls.eyes, level)
  return np.concatenate([np.asarray(codes), drawn], axis=-1), after._replace(eyes=seen)


def rewound(before, after, controls, level, count):
  """Returns the `State` of B voices after the first frames between two states alone.

  Args:
    before, after: n frames apart, no more than are known at the start of a window.
    controls: `Controls` of them.
    level: [B, n], dB, of their sound.
    count: frames that are kept, 0 to n.
  """
  made = np.asarray(after.before)[:, -level.shape[1] :][:, :count]
  codes = np.concatenate([np.asarray(before.before), made], axis=1)[:, count:]
  state = after._replace(before=codes)
  if not isinstance(before.eyes, eyes.State):
    return state
  return state._replace(eyes=eyes.advance(before.eyes, controls.eyes, level[:, :count])[1])


class MotionStream:
  """One voice's motion: called with a `streaming.windows.Window`, returns its codes [n, M]."""

  def __init__(self, sample, state, controls, **options):
    """`sample`: (y, valid, state, controls, level, **options) -> (codes, state), compiled."""
    self._sample, self._state, self._controls = sample, state, controls
    self._options = options

  def __call__(self, window):
    codes, state = self._sample(
      window.y[None], window.valid[None], self._state, self._controls, window.level[None],
      **self._options,
    )  # fmt: skip
    self._state = state
    return np.asarray(codes)[0, : window.count]


def plans(frames):
  """Returns the `Plan`s of a network trained on `frames`: offline, streaming and live.

  Chosen in experiments/steps. Both go on from frames that are known: by the hint alone a window
  that counts from a fixed origin does not begin where the last one ended. Together with the past
  they come to just under 5 s and 2 s, lengths that the speech encoder is compiled for anyway.
  """
  future, known = frames // 8, frames // 16
  offline = Plan(new=frames - future - known, future=future, known=known, past=60)
  new, ahead = min(6, frames // 2), min(4, frames // 4)
  streaming = Plan(new, ahead, known=min(22, frames - new - ahead), past=39)
  new, ahead = min(3, frames // 4), min(3, frames // 4)
  live = Plan(new, ahead, known=min(22, frames - new - ahead), past=39)
  return offline, streaming, live
