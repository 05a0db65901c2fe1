"""One clip: a person who talks, as commands, loaders, evaluation and previews pass it on."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import POINTS
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


def check_image(image):
  """Returns a portrait as an array, square uint8 RGB [R, R, 3].

  Raises:
    InputError: it is something else; floats and 16 bits are not taken for bytes.
  """
  image = np.asarray(image)
  if image.ndim != 3 or image.shape[2] != 3 or image.shape[0] != image.shape[1] or not image.size:
    raise InputError(
      f'image should be a square uint8 [H, H, 3], got {image.dtype} {image.shape}: cut it with '
      'ifmdm_jax.read_portrait'
    )
  _check_bytes(image, 'image')
  return image


def check_frames(frames):
  """Checks frames uint8 [T, R, R, 3], an array or a sequence that slices as one, by the first.

  Raises:
    InputError: there are none, or they are something else.
  """
  if isinstance(frames, str | bytes) or not hasattr(frames, '__len__') or not len(frames):
    what = 'none' if hasattr(frames, '__len__') else type(frames).__name__
    raise InputError(f'frames should be uint8 [T, R, R, 3], T of 1 or more, got {what}')
  first = np.asarray(frames[0])
  if first.ndim != 3 or first.shape[2] != 3 or first.shape[0] != first.shape[1] or not first.size:
    raise InputError(
      f'frames should be square uint8 [T, R, R, 3], got frames {first.dtype} {first.shape}: cut '
      'them as the portrait'
    )
  _check_bytes(first, 'frames')


def check_landmarks(landmarks):
  """Returns the landmarks of a face as float32 [468, 2].

  Raises:
    InputError: they are something else, or not finite.
  """
  array = np.asarray(landmarks)
  if array.shape != (POINTS, 2) or array.dtype.kind != 'f' or not np.isfinite(array).all():
    raise InputError(
      f'landmarks should be [{POINTS}, 2] of finite numbers, got {array.dtype} {array.shape}: find '
      'them with ifmdm_jax.face.landmarker'
    )
  return np.float32(array)


def _check_bytes(array, name):
  if array.dtype != np.uint8:
    floats = array.dtype.kind == 'f'
    advice = 'np.uint8(np.clip(255 * x + 0.5, 0, 255))' if floats else 'np.uint8(x // 257)'
    raise InputError(
      f'{name} should be uint8 from 0 to 255, got {array.dtype}: convert them, e.g. by '
      f'{advice if array.dtype.kind in "fu" else "x.astype(np.uint8)"}'
    )


def check_seed(seed):
  """Returns the seed of a motion as int.

  Raises:
    InputError: it is no whole number of 64 bits.
  """
  whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
  if not whole or not -(2**63) <= seed < 2**64:
    raise InputError(f'seed should be a whole number of 64 bits, got {seed!r:.80}: pass e.g. 0')
  return int(seed)


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
