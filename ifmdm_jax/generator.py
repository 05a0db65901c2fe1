"""The contract between a system and everything that samples, evaluates, benches or streams it."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np

from ifmdm_jax.clip import Clip


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
    """Yields blocks uint8 RGB [t, size, size, 3]; together as many frames as the voice lasts."""
    ...


@runtime_checkable
class Reenacts(Protocol):
  """A generator that can also be driven by a video."""

  def reenact(self, clip: Clip) -> Iterator[np.ndarray]:
    """Yields blocks uint8 RGB [t, size, size, 3] of `clip.image` that moves as `clip.frames` do."""
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
