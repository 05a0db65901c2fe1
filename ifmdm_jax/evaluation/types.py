"""What metrics are handed and what they answer: one contract for every family.

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
from typing import Protocol, runtime_checkable

import numpy as np

from ifmdm_jax.clip import Clip
from ifmdm_jax.rates import FPS, SAMPLE_RATE


@dataclasses.dataclass(frozen=True)
class Absent:
  """Stands for a value that cannot be had.

  Attributes:
    reason: one line for the report.
    unforeseen: nobody planned for it: the next run tries again.
  """

  reason: str
  unforeseen: bool = False


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
class Reference:
  """A real clip of a protocol: what generators are shown some of, and held against.

  Attributes:
    clip: its frames uint8 [T, R, R, 3], landmarks in pixels, voice at 16 kHz and Whisper-tiny
      features (block 2); voice and features are None where there is no sound.
    video: the file.
    shape: (H, W) of its pictures before they were cut and resized.
    square: (x0, y0, side) that was cut from them; None: the whole (square) picture.
  """

  clip: Clip
  video: str = ''
  shape: tuple[int, int] = (0, 0)
  square: tuple[int, int, int] | None = None

  def pair(self, frames, landmarks, notes=(), voice=None):
    """Sets a video beside the clip, both as long as the shorter one.

    Args:
      voice: (waveform, features) that the video was made to, if that is not the clip's own.
    """
    clip = self.clip
    waveform, features = voice or (clip.waveform, clip.features)
    count = min(len(frames), len(clip.frames))
    cut = lambda array, per_frame: None if array is None else array[: count * per_frame]
    return Pair(
      clip.name, clip.person, frames[:count], clip.frames[:count], landmarks[:count],
      clip.landmarks[:count], cut(waveform, SAMPLE_RATE // FPS), cut(features, 2),
      (*clip.notes, *notes),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Pair:
  """A video and the real one that it should be like, on one time line at 25 frames per second.

  Both have the same T and the same square size; what had another rate, length or shape was
  brought to it, and `notes` says so.

  Attributes:
    name: of the clip, in tables and file names.
    person: who is filmed; two clips of one person share it.
    predicted, reference: uint8 RGB [T, R, R, 3].
    landmarks, reference_landmarks: float32 [T, 468, 2], the face mesh of each video in pixels
      (x, y); NaN in frames without a face.
    waveform: the voice, mono float32 [L] at 16 kHz, or None: the clip has no sound.
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
  def has_face(self):
    """Says which frames of the predicted video show a face, bool [T]."""
    return np.isfinite(self.landmarks).all((1, 2))

  @property
  def reference_has_face(self):
    """Says which frames of the reference show one, bool [T]."""
    return np.isfinite(self.reference_landmarks).all((1, 2))


@dataclasses.dataclass(frozen=True)
class Record:
  """All that is known of one row on one clip.

  Attributes:
    name, person: of the clip.
    metrics: {name: value or Absent}; empty where nothing could be scored.
    series: {'driven', 'reenact_', 'reference': mouth opening [T], None in frames without a face}.
    notes: what was changed about clip and videos.
    failed: why nothing could be scored, else ''.
    unforeseen: something failed that nobody planned for: the next run tries again.
    generator_error: with what the generator failed, if nobody planned for that, else ''.
    seconds: that it took.
  """

  name: str
  person: str
  metrics: Mapping[str, Value] = dataclasses.field(default_factory=dict)
  series: Mapping[str, Sequence[float | None]] = dataclasses.field(default_factory=dict)
  notes: tuple[str, ...] = ()
  failed: str = ''
  unforeseen: bool = False
  generator_error: str = ''
  seconds: float = 0.0

  def number(self, name):
    """Returns the value of a metric, or None where it is absent."""
    value = self.metrics.get(name)
    return None if value is None or isinstance(value, Absent) else value


class PerClip(Protocol):
  """Scores one clip."""

  def score(self, pair: Pair) -> Mapping[str, Value]:
    """Returns {name: value} for every name in METRICS."""
    ...


@runtime_checkable
class PerSet(Protocol):
  """Scores a set of clips.

  Attributes:
    draws: bootstrap draws for the interval; 0 where a draw costs too much.
  """

  draws: int

  def describe(self, pair: Pair) -> Mapping[str, np.ndarray]:
    """Returns all that `score` needs of a clip and of its reference: small arrays, stored."""
    ...

  def score(self, clips: Sequence[Mapping[str, np.ndarray]]) -> Mapping[str, Value]:
    """Returns {name: value} for every name in METRICS; a clip may be there twice (bootstrap)."""
    ...
