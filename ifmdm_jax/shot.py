"""One face through one unbroken part of a film, what is to change, and what is painted over it."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np


@dataclasses.dataclass(frozen=True)
class Shot:
  """One face through one unbroken part of a film, cut out square and upright.

  Every frame shows the face: there is no cut in between, and no frame in which it is lost.

  Attributes:
    blocks: returns a new iterator over uint8 RGB [t, S, S, 3], the squares in order, together T;
      it may be called several times, and each time reads the film anew in bounded memory.
    landmarks: float32 [T, 478, 3], the points of `face.landmarker` in pixels of those squares: x
      and y from the upper left corner, the middle of the first pixel is (0.5, 0.5); depth grows
      away from the camera, about 0 at the middle of the head.
    times: float64 [T], seconds from the shot's start to each frame; they rise, but not evenly in a
      film of variable frame rate.
    waveform: float32 [L], mono at 16 kHz, the new voice from the shot's start on; it may end before
      the shot does, and then there is silence.
    size: S, side of the squares, pixels.
  """

  blocks: Callable[[], Iterator[np.ndarray]]
  landmarks: np.ndarray
  times: np.ndarray
  waveform: np.ndarray
  size: int

  def __len__(self):
    """Counts the frames, T."""
    return len(self.times)


class Change(NamedTuple):
  """One change that an editor makes to a face over a span of time.

  Attributes:
    name: of SIMPLE, or a unit of the face, as `mouthSmileLeft`.
    value: of the unit, from 0 to 1.
    begins, ends: seconds, of the shot.
  """

  name: str
  value: float
  begins: float
  ends: float


CLOSE_MOUTH, CLOSE_EYES, OPEN_EYES, NO_BLINK = 'close_mouth', 'close_eyes', 'open_eyes', 'no_blink'
SIMPLE = CLOSE_MOUTH, CLOSE_EYES, OPEN_EYES, NO_BLINK  # changes that need no value


class Painted(NamedTuple):
  """Squares of a shot with a face that was changed.

  Attributes:
    frames: uint8 RGB [t, S, S, 3].
    mask: float32 [t, S, S] from 0 to 1: 0 keeps the film's own pixel, bit for bit, 1 takes the new
      one, and in between both are mixed.
  """

  frames: np.ndarray
  mask: np.ndarray
