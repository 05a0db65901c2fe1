"""The rows of a table: the ground truth, the first frame, a folder of videos, any generator.

A row has a `name`, `needs` (its input; None where only its maker knows), a `fingerprint`
(what its videos depend on besides the clip) and four methods, each of which may raise InputError
to say why there is nothing to score:

  driven(reference, seed)           -> Video   from the clip's first frame and its voice
  reenact(reference)                -> Video   from the clip's first frame and its own motion
  samples(reference, seeds, driven) -> [Video] of each seed, as long as the last of INSTANTS; the
                                       given one, which may be longer, is the first seed's
  motion(clip, streaming)           -> generator.Motion of the clip's picture and voice, undrawn

Only `Bundle` runs code of a system, and it shows that `Clip.restricted(needs)` and nothing else.
"""

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Callable

import numpy as np

from ifmdm_jax import media
from ifmdm_jax.clip import NEEDS
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import cost, fingerprint
from ifmdm_jax.evaluation.protocol import fit
from ifmdm_jax.face.crop import crop_square
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.generator import Moves, Reenacts, Sourced
from ifmdm_jax.rates import FPS
from ifmdm_jax.video import read

INSTANTS = (1, 2, 3, 4)  # seconds
INPUT = 'needs.txt'  # in a folder of videos: the input of their program


def last_instant():
  """Counts the frames to the last of INSTANTS."""
  return INSTANTS[-1] * FPS


def instants():
  """Lists the frames at INSTANTS, int [len(INSTANTS)]."""
  return np.array(INSTANTS) * FPS - 1


class ContractError(InputError):
  """A generator is not what `ifmdm_jax.generator` says: no figure of it would mean anything."""


@dataclasses.dataclass(frozen=True)
class Video:
  """A video to score.

  Attributes:
    frames: uint8 [T, R, R, 3].
    landmarks: [T, 468, 2] in pixels where they are known already, else None.
    notes: what was done to the video.
    cost: figures of METRICS in `cost`, where it was generated here.
    voice: (waveform, features) that it was made to, if that is not the clip's own.
  """

  frames: np.ndarray
  landmarks: np.ndarray | None = None
  notes: tuple[str, ...] = ()
  cost: dict = dataclasses.field(default_factory=dict)
  voice: tuple[np.ndarray, np.ndarray] | None = None

  def until(self, count):
    """Returns its first `count` frames.

    Raises:
      InputError: it is shorter.
    """
    if len(self.frames) < count:
      raise InputError(f'the video is shorter than {count / FPS:g} s')
    points = None if self.landmarks is None else self.landmarks[:count]
    return dataclasses.replace(self, frames=self.frames[:count], landmarks=points)


class GroundTruth:
  """The clip itself: what a perfect generator would score."""

  name = fingerprint = 'ground_truth'
  needs = frozenset({'video'})

  def driven(self, reference, seed):
    return Video(reference.clip.frames, reference.clip.landmarks)

  def reenact(self, reference):
    return self.driven(reference, 0)

  def samples(self, reference, seeds, driven):
    raise InputError('there is one ground truth only')

  def motion(self, clip, streaming):
    raise InputError('a video moves to no other sound')


class FirstFrame:
  """The first frame repeated: what doing nothing scores."""

  name = fingerprint = 'first_frame'
  needs = frozenset({'image'})

  def driven(self, reference, seed):
    repeat = lambda array: np.broadcast_to(array[:1], array.shape)
    return Video(repeat(reference.clip.frames), repeat(reference.clip.landmarks))

  def reenact(self, reference):
    return self.driven(reference, 0)

  def samples(self, reference, seeds, driven):
    return [self.driven(reference, seed).until(last_instant()) for seed in seeds]

  def motion(self, clip, streaming):
    raise InputError('a picture moves to no sound')


class Bundle:
  """A generator, shown what it needs of a clip and nothing else; timed meanwhile."""

  def __init__(self, generator, mark=''):
    """Checks the generator.

    Args:
      generator: a `generator.Generator`.
      mark: hash of the folder of its weights; its code and other sources are hashed here.

    Raises:
      ContractError: something that a generator has is missing or not of its kind.
    """
    self.generator, self.name, self.needs = check(generator), generator.name, generator.needs
    sources = generator.sources if isinstance(generator, Sourced) else ()
    marks = [mark, fingerprint.of_generator(generator), *map(fingerprint.of_files, sources)]
    self.fingerprint = ' '.join(marks)
    self._warm = False

  def driven(self, reference, seed):
    clip = reference.clip.restricted(self.needs)
    if not self._warm:  # compiling is no part of the speed
      for _ in self.generator.generate(clip, seed=seed):
        pass
      self._warm = True
    frames, spent = cost.measure(self._blocks(self.generator.generate(clip, seed=seed)))
    frames, notes = self._fitted(frames, reference)
    if len(frames) != len(reference.clip.frames):
      notes.append(_length(len(frames), reference))
    return Video(frames, notes=tuple(notes), cost=spent)

  def reenact(self, reference):
    if not isinstance(self.generator, Reenacts):
      raise InputError(f'{self.name} is not driven by videos')
    needs = (self.needs - {'voice', 'text'}) | {'image', 'video'}
    blocks = self.generator.reenact(reference.clip.restricted(needs))
    frames, notes = self._fitted(np.concatenate(list(self._blocks(blocks))), reference)
    return Video(frames, notes=tuple(notes))

  def samples(self, reference, seeds, driven):
    videos = [driven.until(last_instant())]
    clip = reference.clip.restricted(self.needs)
    for seed in seeds[1:]:
      frames, _ = self._fitted(self._beginning(clip, seed), reference)
      videos.append(Video(frames).until(last_instant()))
    return videos

  def motion(self, clip, streaming):
    if not isinstance(self.generator, Moves):
      raise InputError(f'{self.name} does not say how it moves before it draws')
    return self.generator.sample_motion(clip.restricted(self.needs), streaming=streaming)

  def _beginning(self, clip, seed):
    """As many frames as the last of INSTANTS needs; the rest is not drawn."""
    blocks, drawn = self._blocks(self.generator.generate(clip, seed=seed)), []
    enough = round(INSTANTS[-1] * self.generator.fps)
    for block in blocks:
      drawn.append(block)
      if sum(map(len, drawn)) >= enough:
        break
    blocks.close()
    return np.concatenate(drawn)

  def _blocks(self, blocks):
    """Passes on what is frames.

    Raises:
      ContractError: a block is none.
    """
    side, seen = self.generator.size, 0
    for block in blocks:
      block = np.asarray(block)
      if block.dtype != np.uint8 or block.shape[1:] != (side, side, 3):
        raise ContractError(
          f'{self.name} yielded {block.dtype} {list(block.shape)}, expected blocks uint8 '
          f'[t, {side}, {side}, 3]: correct its size or what it yields'
        )
      seen += len(block)
      yield block
    if not seen:
      raise ContractError(f'{self.name} yielded no frame, expected as many as the voice lasts')

  def _fitted(self, frames, reference):
    """Frames at the rate and size of the protocol, and notes of what was done."""
    notes, rate, size = [], self.generator.fps, reference.clip.frames.shape[1]
    if rate != FPS:
      notes.append(f'{rate:g} frames per second brought to {FPS} by their times')
      times = np.arange(round(len(frames) * FPS / rate)) / FPS
      frames = frames[np.minimum((times * rate).round().astype(int), len(frames) - 1)]
    if self.generator.size != size:
      notes.append(f'{self.generator.size} pixels brought to {size}')
    return fit(frames, size), notes


class Folder:
  """Videos that were made elsewhere: FOLDER/NAME.mp4, and FOLDER/reenact/NAME.mp4 where there.

  NAME is the clip's name in the protocol or its file's stem. Any frame rate, size and colour that
  FFmpeg decodes; what was changed is noted. The input of their program may stand in needs.txt.
  """

  def __init__(self, folder):
    self.folder = pathlib.Path(folder)
    self.name = self.folder.resolve().name
    self.fingerprint = fingerprint.of_files(self.folder)
    stated = self.folder / INPUT
    self.needs = _needs(stated) if stated.exists() else None

  @functools.cached_property
  def _track(self):
    return FaceMesh(refinements=1).track

  def driven(self, reference, seed):
    return self._read(reference, self.folder)

  def reenact(self, reference):
    return self._read(reference, self.folder / 'reenact')

  def samples(self, reference, seeds, driven):
    raise InputError('a folder holds one sample of each clip')

  def motion(self, clip, streaming):
    raise InputError('a folder of videos moves to no other sound')

  def _read(self, reference, folder):
    clip = reference.clip
    names = {clip.name, pathlib.Path(reference.video).stem}
    paths = [
      path
      for path in sorted(folder.glob('*'))
      if path.stem in names and path.suffix.lower() in read.SUFFIXES
    ]
    if not paths:
      raise InputError(f'no video {clip.name}.mp4 in {folder.name}/')
    flaws = media.Flaws()
    frames = list(read.frames(paths[0], flaws=flaws))
    notes = [said] if (said := flaws.sentence('pictures')) else []
    rate = frame_rate(paths[0])
    if abs(rate - FPS) > 0.01:
      notes.append(f'{rate:g} frames per second brought to {FPS} by their times')
    if len(frames) != len(clip.frames):
      notes.append(_length(len(frames), reference))
    height, width = frames[0].shape[:2]
    size, square = clip.frames.shape[1], None
    if (height, width) == reference.shape and reference.square is not None:
      square = reference.square
    elif abs(height - width) > 0.02 * max(height, width):
      notes.append(f'{width} x {height} pixels are not square: cut around the face')
      square = crop_square(self._track(frames), frames[0].shape)
    elif (height, width) != (size, size):
      notes.append(f'{width} x {height} pixels brought to {size} x {size}')
    return Video(fit(frames, size, square), notes=tuple(notes))


def check(generator):
  """Returns the generator.

  Raises:
    ContractError: see `Bundle`.
  """
  kinds = dict(name=str, needs=frozenset, size=int, fps=int | float, generate=Callable)
  for attribute, kind in kinds.items():
    value = getattr(generator, attribute, None)
    if not isinstance(value, kind):
      raise ContractError(
        f'expected a generator with name, needs, size, fps and generate(clip, seed=), '
        f'{type(generator).__name__} has {attribute} {value!r}: see ifmdm_jax.generator'
      )
  return generator


def describe(needs):
  """Names the input of a row, for a table."""
  if needs is None:
    return 'not stated'
  order = {name: place for place, name in enumerate(NEEDS)}
  return ', '.join(sorted(needs, key=lambda need: order.get(need.split(':')[0], len(order))))


def frame_rate(path):
  """Reads the average frames per second that a file states; 25 where it states none."""
  with media.opened(path, 'video') as (_, stream):
    return float(stream.average_rate or FPS)


def _length(count, reference):
  return f'{count} frames instead of {len(reference.clip.frames)}: the shorter counts'


def _needs(path):
  words = frozenset(
    itertools.chain.from_iterable(map(str.split, path.read_text(errors='replace').splitlines()))
  )
  unknown = sorted(word for word in words if word.split(':')[0] not in NEEDS)
  if unknown or not words:
    raise InputError(
      f'expected words of {", ".join(NEEDS)} in {path}, got {", ".join(unknown) or "none"}: '
      'write the input of the program of these videos'
    )
  return words
