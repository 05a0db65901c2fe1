"""Shapes a face by named face units: a smile that stays, brows that are up, a jaw to one side.

What a unit does to the landmarks is `face_unit_shapes.npz`, made by
`experiments/release/face_unit_shapes.py`. It is added in the head's own frame: it turns, tilts and
grows with the head. Left and right in the names are the person's own.
"""

import difflib
import functools

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import tflite
from ifmdm_jax.face import units as scores
from ifmdm_jax.face.points import CHIN_TIP, FOREHEAD, POINTS
from ifmdm_jax.systems.ifmdm.autoencoder.lite import surface

# Units that landmarks of one picture cannot show, by how a name begins, and what to use instead.
REFUSED = {
  '_neutral': 'a face without units is neutral: leave it out',
  'tongueOut': 'the mesh has no tongue: leave it out',
  'cheekPuff': 'it comes towards the viewer: leave it out',
  'jawForward': 'it comes towards the viewer: leave it out',
  'eyeBlink': 'lids have a life of their own: use --blinks_per_minute',
  'eyeLook': 'eyes have a life of their own: use --gaze',
  'mouthClose': 'it closes a mouth that the voice opens: use --mouth',
}
NAMES = tuple(name for name in scores.NAMES if not name.startswith(tuple(REFUSED)))
WAKE = 100.0  # a landmark that a unit moves by the side counts as so much of a code


@functools.cache
def basis():
  """Loads what each of NAMES does to a frontal face of height 1: float32 [len(NAMES), 468, 3]."""
  with np.load(tflite.WEIGHTS / 'face_unit_shapes.npz') as file:
    return file['offset'].astype(np.float32)


def listed(units):
  """Lists the units of {name: number} that are not 0, a tuple of pairs by name.

  Raises:
    InputError: a name is none of NAMES, or a number not from -1 to 1.
  """
  try:
    units = dict(units)
  except (TypeError, ValueError) as error:
    raise InputError(f'unit should be of names and numbers, got {units!r}') from error
  for name, value in units.items():
    for start, instead in REFUSED.items():
      if str(name).startswith(start):
        raise InputError(f'expected a unit that landmarks show, {name} is none: {instead}')
    if name not in NAMES:
      near = difflib.get_close_matches(str(name), NAMES, cutoff=0.0)
      raise InputError(f'expected a face unit, got {name}: the nearest are {", ".join(near)}')
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not -1 <= value <= 1:
      raise InputError(f'unit {name} should be from -1 to 1, got {value!r}')
  return tuple(sorted((name, float(value)) for name, value in units.items() if value))


def shape(units):
  """Adds units {name: number} up: float32 [1, 468, 3], of a frontal face of height 1."""
  total = np.zeros((1, POINTS, 3), np.float32)
  for name, value in listed(units):
    total[0] += np.float32(value) * basis()[NAMES.index(name)]
  return total


def seen(landmarks, shape):
  """Turns and scales a shape as a head is: where it moves the landmarks of a frame.

  Args:
    landmarks: of the frame, [B, 468, 2].
    shape: [B, 468, 3], see `shape`.

  Returns:
    [B, 468, 2], the unit of `landmarks`.
  """

  def one(landmarks, shape):
    height = jnp.linalg.norm(landmarks[CHIN_TIP] - landmarks[FOREHEAD])
    return shape @ surface.fit(jnp.asarray(surface.MEAN), landmarks, height).turn.T

  return jax.vmap(one)(landmarks, shape)
