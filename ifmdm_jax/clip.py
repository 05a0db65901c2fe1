"""One clip: a person who talks, as commands, loaders, evaluation and previews pass it on."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.rates import FPS, SAMPLE_RATE

# What a generator may ask to be shown -> the fields that it then sees.
NEEDS = {
  'image': ('image',),
  'voice': ('waveform', 'rate'),
  'video': ('frames',),
  'landmarks': ('landmarks',),
  'shots': ('shots',),
  'text': ('text',),
}


@dataclasses.dataclass(frozen=True)
class Clip:
  """A person who talks; whatever is not known, or not to be shown, is None.

  Attributes:
    name: in tables and file names.
    person: two clips of one person share it.
    image: the portrait, uint8 RGB [R, R, 3].
    waveform: the voice, mono float32 [L].
    rate: of the waveform, Hz.
    frames: uint8 RGB [T, R, R, 3], 25 per second; an array, or any sequence of frames that slices
      as one and reads from the disk what it is asked for.
    landmarks: of the face mesh, float32 [T, 468, 2], pixels (x, y); NaN where no face was found.
    mattes: uint8 [T, S, S, 3] of three equal channels, 255 where the person is; as lazy as frames.
    features: of the speech encoder, float32 [2T, A].
    shots: further pictures of the person, uint8 RGB [K, R, R, 3].
    text: what is to be said.
    licence: terms of the recording, one line.
    notes: what was changed about the recording.
  """

  name: str = ''
  person: str = ''
  image: np.ndarray | None = None
  waveform: np.ndarray | None = None
  rate: int = SAMPLE_RATE
  frames: Sequence[np.ndarray] | np.ndarray | None = None
  landmarks: np.ndarray | None = None
  mattes: Sequence[np.ndarray] | np.ndarray | None = None
  features: np.ndarray | None = None
  shots: np.ndarray | None = None
  text: str | None = None
  licence: str = ''
  notes: tuple[str, ...] = ()

  @property
  def num_frames(self):
    """Counts the frames of the video or, without one, those that the voice will take."""
    if self.frames is not None:
      return len(self.frames)
    return 0 if self.waveform is None else round(len(self.waveform) / self.rate * FPS)

  def restricted(self, needs):
    """Returns the clip with nothing but its name and what `needs` lists, so that nobody can peek.

    Args:
      needs: of NEEDS, and 'shots:K' for K further pictures.

    Raises:
      InputError: a need is unknown, or this clip has nothing to meet it with.
    """
    kept = {'name': self.name}
    for need in sorted(needs):
      kind, _, count = need.partition(':')
      if kind not in NEEDS or bool(count) != (kind == 'shots') or not (count or '1').isdigit():
        known = ', '.join(['shots:K' if kind == 'shots' else kind for kind in NEEDS])
        raise InputError(f'a generator needs {need!r}, expected some of {known}: correct its needs')
      values = {field: getattr(self, field) for field in NEEDS[kind]}
      if any(value is None for value in values.values()):
        raise InputError(
          f'{self.name or "the clip"} has no {kind}: expected one for this generator'
        )
      if count:
        if len(self.shots) < int(count):
          raise InputError(
            f'{self.name or "the clip"} has {len(self.shots)} shots, expected {count} or more'
          )
        values['shots'] = self.shots[: int(count)]
      kept.update(values)
    return Clip(**kept)
