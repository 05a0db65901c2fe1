"""How much of a performance is emitted, part by part, under names that a person can use.

  sampler.stream(image, voice, head=0.5, mouth=1.2)      # python -m ifmdm_jax.sample --head 0.5

1 is what the network made, 0 is still, 1.5 is half as much again; all are counted from the
portrait. A knob changes what is emitted and never what the network goes on from, so that turning
one changes no other part, and turning it back brings the same performance again.
"""

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline.landmark_code import BLOCK
from ifmdm_jax.systems.ifmdm.motion import eyes

# What a knob moves: blocks of the motion code; `expression` is all of the face but the mouth.
KNOBS = {
  'head': ('pose',),
  'mouth': ('lips',),
  'expression': ('lids', 'brows'),
  'brows': ('brows',),
}
LARGEST = 2.0
EYES = 'blinks_per_minute', 'gaze'  # knobs of `motion.eyes`


def names():
  """Lists the directions of the motion code by name: 'pose_1' to 'brows_3'."""
  listed = [''] * max(block.stop for block in BLOCK.values())
  for name, block in BLOCK.items():
    for count, place in enumerate(range(block.start, block.stop), 1):
      listed[place] = f'{name}_{count}'
  return listed


def check(parts):
  """Raises InputError where one of {knob: number} is not from 0 to `LARGEST`."""
  for name, value in parts.items():
    if not np.isscalar(value) or not np.isfinite(value) or not 0 <= value <= LARGEST:
      raise InputError(f'{name} should be from 0 (still) to {LARGEST:g}, got {value}')


def check_eyes(blinks_per_minute, gaze):
  """Raises InputError where blinks are not None or 0 to 60, or gaze is not one of `eyes.GAZES`."""
  rate, fastest = blinks_per_minute, eyes.FASTEST
  number = isinstance(rate, int | float | np.number) and not isinstance(rate, bool)
  if rate is not None and not (number and 0 <= rate <= fastest):
    raise InputError(f'blinks_per_minute should be from 0 (none) to {fastest:g}, got {rate!r}')
  if not isinstance(gaze, str) or gaze not in eyes.GAZES:
    raise InputError(f'gaze should be {" or ".join(eyes.GAZES)}, got {gaze!r}')


def gains(directions, parts):
  """Multiplies each direction of a code by what the knobs that move it say, float32 [directions].

  Args:
    directions: M.
    parts: {knob: number}; what is left out is 1.

  Raises:
    InputError: a knob is turned and the codes have no such parts.
  """
  gain = np.ones(directions, np.float32)
  for name, value in parts.items():
    if value == 1:
      continue
    if directions != len(names()):
      raise InputError(
        f'{name} moves a part of {len(names())} directions, these weights have {directions} '
        'without names: leave it out'
      )
    for block in KNOBS[name]:
      gain[BLOCK[block]] *= np.float32(value)
  return gain


def eased(codes, rest, open):
  """Moves the mouth towards that of another code.

  Args:
    codes: [n, D], a motion code and what follows it.
    rest: [D].
    open: [n], 1: as it is, 0: as in `rest`.

  Returns:
    float32 [n, D]; the same codes where directions have no names.
  """
  if not named(codes):
    return codes
  lips = BLOCK['lips']
  moved = codes.copy()
  moved[:, lips] = rest[lips] + open[:, None] * (codes[:, lips] - rest[lips])
  return moved


def steadied(codes, before, share):
  """Lets the head follow codes, frame by frame by a share of the way that is left.

  Args:
    codes: [n, D], a motion code and what follows it.
    before: [D], where the head was in the frame before them.
    share: [n], 1: all of the way.

  Returns:
    float32 [n, D]; the same codes where directions have no names.
  """
  if not named(codes):
    return codes
  pose, moved = BLOCK['pose'], codes.copy()
  head = before[pose]
  for k, part in enumerate(share):
    head = moved[k, pose] = head + part * (codes[k, pose] - head)
  return moved


def named(codes):
  """Says whether directions of codes [..., D] have names, with eyes after them or without."""
  return codes.shape[-1] in (len(names()), len(names()) + len(eyes.NAMES))


def offsets(by_name):
  """Returns an offset of each direction, a tuple of numbers, of some given as {name: number}.

  Raises:
    InputError: there is no direction of a name.
  """
  unknown = sorted(set(by_name) - set(names()))
  if unknown:
    raise InputError(
      f'expected motion_mean of {", ".join(names())}, got {", ".join(unknown)}: correct the name'
    )
  return tuple(by_name.get(name, 0.0) for name in names())
