"""How much of a performance is shown, part by part, under names that a person can use.

  sampler.stream(image, voice, head=0.5, mouth=1.2)      # python -m ifmdm_jax.sample --head 0.5

1 is what the network made, 0 is still, 1.5 is half as much again; all are counted from the
portrait. A knob changes what is shown and never what the network goes on from, so that turning one
changes no other part, and turning it back brings the same performance again.
"""

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline.landmark_code import BLOCK

# What a knob moves: blocks of the motion code; `expression` is all of the face but the mouth.
KNOBS = {
  'head': ('pose',),
  'mouth': ('lips',),
  'expression': ('lids', 'brows'),
  'brows': ('brows',),
}
LARGEST = 2.0


def names():
  """Lists the directions of the motion code by name: 'pose_1' to 'brows_3'."""
  found = [''] * max(block.stop for block in BLOCK.values())
  for name, block in BLOCK.items():
    for count, place in enumerate(range(block.start, block.stop), 1):
      found[place] = f'{name}_{count}'
  return found


def gains(directions, **knobs):
  """Multiplies each direction of a code by what the knobs that move it say, float32 [directions].

  Args:
    directions: M.
    knobs: of KNOBS, 0 to `LARGEST` each; a knob that is left out, or None, is 1.

  Raises:
    InputError: there is no such knob, it is out of range, or codes have no such parts.
  """
  made = np.ones(directions, np.float32)
  for name, value in knobs.items():
    if name not in KNOBS:
      raise InputError(f'there is no knob {name!r}: expected one of {", ".join(KNOBS)}')
    if value is None or value == 1:
      continue
    if not np.isfinite(value) or not 0 <= value <= LARGEST:
      raise InputError(f'{name} should be from 0 (still) to {LARGEST:g}, got {value}')
    if directions != len(names()):
      raise InputError(
        f'{name} moves a part of {len(names())} directions, these weights have {directions} '
        'without names: leave it out'
      )
    for block in KNOBS[name]:
      made[BLOCK[block]] *= np.float32(value)
  return made


def offsets(directions, mean):
  """Reads an offset of the pose, float32 [] or [directions].

  Args:
    directions: M.
    mean: one number for all directions, one for each, or {name of `names`: number}; 1 is a typical
      deviation.

  Raises:
    InputError: it is none of them, or not finite.
  """
  if isinstance(mean, dict):
    known = names() if directions == len(names()) else []
    made = np.zeros(directions, np.float32)
    for name, value in mean.items():
      if name not in known:
        raise InputError(
          f'motion_mean names {name!r}, expected some of {", ".join(known) or "no names"}'
        )
      made[known.index(name)] = value
    mean = made
  mean = np.asarray(mean, np.float32)
  if mean.shape not in ((), (directions,)) or not np.isfinite(mean).all():
    raise InputError(
      f'motion_mean should be one finite number or {directions}, got {mean.size}: '
      f'pass one per motion direction, or some by name'
    )
  return mean
