"""The contract between a system and everything that samples, evaluates, benches or streams it.

A system is a folder of this package's `systems`, with a `System` named SYSTEM in its generate.py,
or one that an installed package registers:

  [project.entry-points."ifmdm_jax.systems"]
  mine = "my_package.generate:SYSTEM"
"""

import dataclasses
import importlib
import importlib.metadata
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.shot import Painted, Shot

FOLDER = pathlib.Path(__file__).parent / 'systems'
ENTRY_POINTS = 'ifmdm_jax.systems'  # group


class Generator(Protocol):
  """Turns what it is shown of a clip into a talking video.

  Attributes:
    name: in tables.
    needs: what it is shown: some of 'image', 'voice', 'video', 'landmarks', 'shots:K', 'text';
      everything else of a clip is None when it arrives, see `Clip.restricted`.
    size: side of its frames, pixels.
    fps: frames per second.
  """

  name: str
  needs: frozenset[str]
  size: int
  fps: float

  def generate(self, clip: Clip, *, seed: int = 0) -> Iterator[np.ndarray]:
    """Yields blocks uint8 RGB [t, size, size, 3]; together as many frames as the voice lasts.

    A system may take options of its own by further names; nothing but its users passes them.
    """
    ...


@runtime_checkable
class Reenacts(Protocol):
  """A generator that can also be driven by a video."""

  def reenact(self, clip: Clip, *, own: bool = True) -> Iterator[np.ndarray]:
    """Yields blocks uint8 RGB [t, size, size, 3] of `clip.image` that moves as `clip.frames` do.

    Args:
      clip: image, frames, and maybe landmarks of the frames; a generator that does not need an
        image gets none.
      own: whether the frames show the person of the image; of somebody else only the motion is
        taken. A system may take options of its own by further names.
    """
    ...


@runtime_checkable
class Dubs(Protocol):
  """A generator that gives a filmed face new lips.

  Attributes:
    size: side of the squares that it wants a face in, pixels.
  """

  size: int

  def dub(self, shot: Shot, *, seed: int = 0, **options) -> Iterator[Painted]:
    """Yields the squares of a shot with lips that follow `shot.waveform`.

    Blocks are as long as suits it, and together as many frames as the shot has, in their order;
    memory does not grow with the shot. Nobody else holds a block once the next one is asked for.

    Args:
      shot: one face through one unbroken part of a film.
      seed: of the motion.
      options: of its own; nothing but its users passes them.
    """
    ...


@runtime_checkable
class Streams(Protocol):
  """A generator that draws while the voice is still arriving."""

  def stream(self, image, blocks, sample_rate=16_000, seed=0) -> Iterator[np.ndarray]:
    """Yields blocks of frames as soon as the sound for them is there.

    Args:
      image: uint8 RGB [R, R, 3].
      blocks: iterable of waveforms [l] or [l, C] of any length.
      sample_rate: Hz.
      seed: of the motion.
    """
    ...


class Motion(NamedTuple):
  """How a face moves, without a picture of it."""

  opening: np.ndarray  # [T], of the mouth, in distances of the outer corners of the eyes
  inside: np.ndarray  # bool [T, M], numbers of the motion that are within the range of people


@runtime_checkable
class Moves(Protocol):
  """A generator that can sample the motion of a video without drawing it."""

  def sample_motion(self, clip: Clip, *, seed: int = 0, streaming: bool = False) -> Motion:
    """Samples the motion of `clip.image` by its voice, which is there or is still arriving."""
    ...


@runtime_checkable
class Tracks(Protocol):
  """A generator that can say how the landmarks of a face go to a voice, without drawing it."""

  def tracks(
    self, landmarks, blocks, sample_rate=16_000, seed=0, *, streaming: bool = False, **options
  ) -> Iterator[np.ndarray]:
    """Yields float32 [t, 468, 2], 25 per second; memory does not grow with the voice.

    Args:
      landmarks: [468, 2], of the face at rest, fractions of a square cut as portraits are.
      blocks: iterable of waveforms [l] or [l, C] of any length.
      sample_rate: Hz.
      seed: of the motion; the same seed gives the same landmarks.
      streaming: as soon as the sound for them is there.
      options: of its own.
    """
    ...


class Faces(NamedTuple):
  """Where a face is in T frames."""

  landmarks: np.ndarray  # [T, 468, 2], fractions of the side, with lids as the portrait has them
  lids: np.ndarray  # [T, 2], how far the picture's left and right lids close beyond that, 0 to 1
  gaze: np.ndarray  # [T, 2], right and down in the picture since the portrait, widths of the eye


@runtime_checkable
class Draws(Protocol):
  """A generator that can draw a portrait whose landmarks somebody else moves."""

  def draw(self, image, places: Iterable[Faces], *, painted: bool = True) -> Iterator[np.ndarray]:
    """Yields blocks uint8 [t, size, size, 3] as the places come; memory does not grow with them.

    Args:
      image: uint8 RGB [R, R, 3].
      places: `Faces` of the next frames, of any length each.
      painted: else pixels of the image are moved, and nothing is added to them.
    """
    ...


@runtime_checkable
class Redraws(Protocol):
  """A generator that draws a filmed face with landmarks that somebody else moved."""

  size: int  # side of the squares that it wants a face in, pixels

  def redraw(self, shot: Shot, landmarks) -> Iterator[Painted]:
    """Yields squares of a shot as landmarks [T, 478, 2] in their pixels say, as `Dubs.dub` does.

    Where they are the shot's own the mask is 0; its voice is not listened to.
    """
    ...


@runtime_checkable
class Compiles(Protocol):
  """A generator that can begin to compile before its inputs are there."""

  def compile_ahead(self, frames=None, *, streaming=False, **options) -> list:
    """Begins to compile, side by side, what `generate` or `stream` needs; does not wait for it.

    Args:
      frames: length of the voice, if it is known.
      streaming: for `stream`.
      options: of the call that follows.

    Returns:
      A list of `streaming.programs.Job`, to be waited for under a bar; empty the second time.
    """
    ...


@runtime_checkable
class Configured(Protocol):
  """A generator that says how it samples."""

  defaults: Any  # options of a call that says nothing else, a mapping or dataclass; for reports


@runtime_checkable
class Sourced(Protocol):
  """A generator made of more than the folder that it was loaded from.

  Attributes:
    sources: those other files and folders; what was scored before one of them changed is old.
  """

  sources: Sequence[str | pathlib.Path]


@dataclasses.dataclass(frozen=True)
class Probe:
  """One part of a generator, for `ifmdm_jax.bench` to time.

  Attributes:
    name: of the part.
    run: does its work once and returns arrays.
    batch: frames that it draws at once, where that can be chosen; times are per frame then.
    function: the jitted function behind it, whose arithmetic is counted; None: it is not.
    arguments, constants: of that function.
    units: frames, or whatever else times are per, of one call of the function.
    loops: times that the body of its loop is run: compilers count it once.
    dtype: of its arithmetic.
  """

  name: str
  run: Callable[[], Any]
  batch: int = 0
  function: Any = None
  arguments: tuple = ()
  constants: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  units: int = 1
  loops: int = 1
  dtype: str = 'float32'


@runtime_checkable
class Probed(Protocol):
  """A generator that can be timed part by part."""

  def probes(self, batches) -> Sequence[Probe]:
    """Lists its parts in the order of their work; those that draw once for each of `batches`."""
    ...


@dataclasses.dataclass(frozen=True)
class Exported:
  """A generator as pure functions of arrays.

  Attributes:
    weights: arrays by name.
    functions: {name: (function of (weights, ...), examples of its other arguments)}.
    meta: what a server has to know, as JSON can say it.
  """

  weights: Mapping[str, np.ndarray]
  functions: Mapping[str, tuple[Callable, list]]
  meta: Mapping


@runtime_checkable
class Exports(Protocol):
  """A generator that `ifmdm_jax.export` can write."""

  def exported(self, plan) -> Exported:
    """Returns its functions for windows of a `streaming.windows.Plan`."""
    ...


@runtime_checkable
class Personal(Protocol):
  """Weights and K pictures of one person, which `training.adapt` teaches them.

  Attributes:
    model: a `training.contract.Adaptable`; `pictures` of it, if any, draw what has been learned.
    params: of the tree that `model.adapt` takes.
    extra: state of a Stateful model, else None.
    config: model, adapt, and optim for a Differentiable. What is figured as 'start', if anything
      is, is config.adapt.metric of the weights as they were.
  """

  model: Any
  params: Any
  extra: Any
  config: Any

  def rows(self, targets, without=()) -> Mapping[str, np.ndarray]:
    """Returns what is learned from: {name: [N, ...]}.

    Args:
      targets: numbers of the pictures that are to be drawn.
      without: numbers of pictures that nothing may be seen of.
    """
    ...

  def start(self) -> Any:
    """Returns the `bundle.Bundle` to sample the person with where nothing was learned."""
    ...

  def pack(self, found) -> Any:
    """Returns the `bundle.Bundle` of a `training.adapt.Adapted`."""
    ...


@dataclasses.dataclass(frozen=True)
class System:
  """What a system registers.

  Attributes:
    load: (bundle.Bundle, **options) -> Generator.
    trainables: names that `config.model.module` of its training runs may have -> modules.
    load_run: (workdir, config, params, **options) -> Generator of a training run.
    pack: ({part: workdir}) -> Bundle of training runs.
    alone: the part that one training run fills, where that is all of a bundle.
    upgrade: config.json from before bundles had a format, a dict -> one that has, or None where it
      is not of this system.
    current: `config.model` of a run, however old -> as the modules of today read it.
    sizes: that `fresh` knows.
    fresh: (size, dtype='float32') -> Generator with random weights, to be timed.
    preview: (params, config) -> Generator of a run that is training, by its whole config.
    histograms: (params, batch, config) -> {name: numbers} of a run that is training.
    personal: (bundle.Bundle, pictures uint8 [K, 512, 512, 3], their landmarks [K, 468, 2] as
      fractions of the side) -> Personal.
  """

  load: Callable
  trainables: Mapping[str, str] = dataclasses.field(default_factory=dict)
  load_run: Callable | None = None
  pack: Callable | None = None
  _: dataclasses.KW_ONLY
  alone: str = ''
  upgrade: Callable | None = None
  current: Callable = lambda model: model
  sizes: tuple[str, ...] = ()
  fresh: Callable | None = None
  preview: Callable | None = None
  histograms: Callable | None = None
  personal: Callable | None = None


def names():
  """Lists the systems that are installed."""
  own = {path.parent.name for path in FOLDER.glob('*/generate.py')}
  return sorted(own | set(_installed()))


def system(name):
  """Returns the `System` of a name.

  Raises:
    InputError: no such system is installed.
  """
  if name not in names():
    raise InputError(
      f'expected a system of {", ".join(names())}, got {name!r}: install its package'
    )
  installed = _installed()
  if name in installed:
    return installed[name].load()
  return importlib.import_module(f'ifmdm_jax.systems.{name}.generate').SYSTEM


def _installed():
  return {each.name: each for each in importlib.metadata.entry_points(group=ENTRY_POINTS)}


def trainable(name):
  """Returns (system, module) of a training run's `config.model.module`.

  Raises:
    InputError: no installed system has registered that module.
  """
  for each in names():
    candidate = system(each)
    if name in candidate.trainables:
      return candidate, importlib.import_module(candidate.trainables[name])
  raise InputError(
    f'expected a run of one of the systems {", ".join(names())}, got one whose config.model.module '
    f'is {name!r}: install the package that registers it'
  )


def upgraded(config):
  """Returns a config.json from before bundles had a format, as one that has.

  Raises:
    InputError: it is no system's.
  """
  for name in names():
    upgrade = system(name).upgrade
    upgraded_config = upgrade(config) if upgrade else None
    if upgraded_config is not None:
      return upgraded_config
  raise InputError(f'expected a config.json with a format, got none: not of {", ".join(names())}')
