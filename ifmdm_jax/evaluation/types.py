"""What the metrics are given and what they answer: one contract for every family.

A family of metrics is one module of this folder with two names:

  METRICS        {name: Metric}, in the order of the table
  load(weights)  -> a scorer; `weights` is the folder of imported networks or None. An InputError
                 makes the whole family absent, its line is the reason.

A scorer is one of two kinds. `PerClip` looks at one clip at a time; means and intervals over clips
are made outside. `PerSet` compares sets of clips: it first boils each clip down to small arrays,
which are stored, and then scores any choice of clips, so that intervals can resample them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

FPS = 25
SAMPLE_RATE = 16_000


@dataclasses.dataclass(frozen=True)
class Absent:
  """Stands for a value that cannot be had; `reason` is one line for the report."""

  reason: str


Value = float | Absent


@dataclasses.dataclass(frozen=True)
class Metric:
  """How a table shows a metric.

  Attributes:
    better: 'up', 'down', or 'truth': best where it equals the ground truth's.
    unit: 'dB', 'px', '' for none.
    about: one line: what is measured, on which frames, by which network.
    digits: decimals in a table.
  """

  better: str
  unit: str = ''
  about: str = ''
  digits: int = 3


@dataclasses.dataclass(frozen=True)
class Clip:
  """A real clip as a protocol asks for it: what a generator is given, and what it is held against.

  Attributes:
    name, person, waveform, speech, notes: see `Pair`.
    frames: uint8 RGB [T, R, R, 3], 25 per second.
    landmarks: float32 [T, 468, 2], pixels, NaN where no face was found.
    video: the file.
    shape: (H, W) of its pictures before they were cut and resized.
    square: (x0, y0, side) that was cut from them, None: the whole (square) picture.
  """

  name: str
  person: str
  frames: np.ndarray
  landmarks: np.ndarray
  waveform: np.ndarray | None = None
  speech: np.ndarray | None = None
  notes: tuple[str, ...] = ()
  video: str = ''
  shape: tuple[int, int] = (0, 0)
  square: tuple[int, int, int] | None = None

  def pair(self, frames, landmarks, notes=()):
    """This clip beside a video of it, both as long as the shorter one."""
    count = min(len(frames), len(self.frames))
    cut = lambda array, per_frame=1: None if array is None else array[: count * per_frame]
    return Pair(
      self.name, self.person, frames[:count], self.frames[:count], landmarks[:count],
      self.landmarks[:count], cut(self.waveform, SAMPLE_RATE // FPS), cut(self.speech, 2),
      (*self.notes, *notes),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Pair:
  """A video and the real one that it should be like, on one time line at 25 frames per second.

  Both have the same T and the same square size; what had another rate, length or shape was
  brought to it, and `notes` says so.

  Attributes:
    name: of the clip, in tables and file names.
    person: who is shown; two clips of one person share it.
    predicted, reference: uint8 RGB [T, R, R, 3].
    landmarks, reference_landmarks: float32 [T, 468, 2], the face mesh of each video in pixels
      (x, y); NaN in frames without a face.
    waveform: the reference's voice, mono float32 [L] at 16 kHz, or None: the clip has no sound.
    speech: Whisper-tiny's features of it (block 2), float32 [2T, 384], or None.
    notes: what was changed about the video before it was scored.
  """

  name: str
  person: str
  predicted: np.ndarray
  reference: np.ndarray
  landmarks: np.ndarray
  reference_landmarks: np.ndarray
  waveform: np.ndarray | None = None
  speech: np.ndarray | None = None
  notes: tuple[str, ...] = ()
  fps: int = FPS

  @property
  def found(self):
    """bool [T]: frames in which the predicted video shows a face."""
    return np.isfinite(self.landmarks).all((1, 2))

  @property
  def reference_found(self):
    """bool [T]: frames in which the reference shows one."""
    return np.isfinite(self.reference_landmarks).all((1, 2))


class PerClip(Protocol):
  """Scores one clip."""

  def score(self, pair: Pair) -> Mapping[str, Value]:
    """{name: value} for every name in METRICS."""
    ...


class PerSet(Protocol):
  """Scores a set of clips.

  Attributes:
    draws: bootstrap draws for the interval; 0 where a draw costs too much.
  """

  draws: int

  def describe(self, pair: Pair) -> Mapping[str, np.ndarray]:
    """All that `score` needs of a clip and of its reference: small arrays, kept in a file."""
    ...

  def score(self, clips: Sequence[Mapping[str, np.ndarray]]) -> Mapping[str, Value]:
    """{name: value} for every name in METRICS; a clip may be there twice (bootstrap)."""
    ...
