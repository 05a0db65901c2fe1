"""What a face does, in named numbers: 51 face units, the head's pose, gaze.

Of a prepared set: `codes.write(output, read_codes=of_frames(), folder=FOLDER, ...)` keeps them
beside the speech features, as motion codes are kept, see `codes`.

Head angles are in radians, gaze in radians from straight ahead of the head, places in centimetres
of the canonical face before a camera whose field of view is `FIELD` along the diagonal of the
square: x to the right, y down, z away, as the picture is seen. Only changes of angles have a
meaning: the canonical face is not the person's.
"""

import difflib

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import pose, units
from ifmdm_jax.face.points import smooth
from ifmdm_jax.track import UNITS

FOLDER = 'face_motion'
HEAD = ('headPitch', 'headYaw', 'headRoll', 'headX', 'headY', 'headZ')
GAZE = ('gazePitch', 'gazeYaw')
NAMES = UNITS + HEAD + GAZE
AWAY = frozenset(('headYaw', 'headRoll', 'headX', 'gazeYaw'))  # change their sign in a mirror
FIELD = np.radians(30.0)
EYE_WIDTH, EYE_RADIUS = 2.6, 1.2  # of the canonical face, centimetres


GROUPS = {  # names of several at once, by how each of them begins
  'mouth': ('jaw', 'mouth', 'cheekPuff'),
  'eyes': ('eye',),
  'brows': ('brow',),
  'head': ('head',),
  'gaze': ('gaze',),
}


def index(name):
  """Looks up which of the numbers has a name.

  Raises:
    InputError: none has.
  """
  return int(indices(name, groups={})[0])


def indices(name, names=NAMES, groups=None):
  """Looks up a name or a group of names: where they are in `names`, int [N].

  Args:
    name: one of `names`, or of `groups`.
    names: in their order.
    groups: {name: how names begin}; None: `GROUPS`.

  Raises:
    InputError: there is none of this name.
  """
  groups = GROUPS if groups is None else groups
  if name in names:
    return np.array([names.index(name)])
  if name in groups:
    return np.array([i for i, each in enumerate(names) if each.startswith(groups[name])])
  near = difflib.get_close_matches(str(name), [*names, *groups], n=3, cutoff=0.5)
  known = ', '.join([*groups, names[0], 'headYaw'])
  advice = f'did you mean {" or ".join(near)}?' if near else f'use one as {known}'
  raise InputError(
    f'expected the name of a face unit, head angle or gaze, got {name!r:.60}: {advice}'
  )


def mirror_order():
  """Lists which name stands in the mirror for each of NAMES, and its sign: int [M], [M]."""
  twin = lambda name: name.replace('Left', '@').replace('Right', 'Left').replace('@', 'Right')
  # The face's own left and right: jawLeft is jawRight in a mirror as well.
  order = np.array([NAMES.index(twin(name)) for name in NAMES])
  sign = np.array([-1.0 if name in AWAY else 1.0 for name in NAMES], np.float32)
  return order, sign


def mirrored(motion):
  """Returns what the mirror image of a face does: [..., M] -> [..., M]."""
  order, sign = mirror_order()
  return motion[..., order] * sign


def of_points(points, scores, side):
  """Reads the motion off a tracked face.

  Args:
    points: [T, 478, 2] in pixels of a square picture, no NaN.
    scores: [T, 52], of `units.FaceUnits`.
    side: of the picture, pixels.

  Returns:
    float32 [T, M], in the order of NAMES.
  """
  head = pose.fit(points)
  yaw, pitch, roll = np.moveaxis(pose.angles(head.turn), -1, 0)
  focal = side / np.sqrt(2) / np.tan(FIELD / 2)
  x, y = np.moveaxis((head.place - side / 2) / head.scale[:, None], -1, 0)
  across, down = np.moveaxis(units.gaze(points), -1, 0) * (EYE_WIDTH / EYE_RADIUS)
  angle = lambda share: np.arcsin(np.clip(share, -1, 1))
  rest = [pitch, yaw, roll, x, y, focal / head.scale, angle(down), angle(across)]
  return np.float32(np.concatenate([scores[:, 1:], np.stack(rest, -1)], axis=1))


def of_frames():
  """Returns what reads the motion of a clip: (clip, count) -> motion, mirrored, [count, M] each.

  Frames in which no face is found get what lies between their neighbours; of a clip that shows none
  at all there is None.
  """
  network = units.FaceUnits()

  def read_codes(clip, count):
    points, scores = network.track(np.asarray(clip.frames[:count]))
    seen = np.flatnonzero(np.isfinite(scores).all(1))
    if not len(seen):
      return None
    found = of_points(points[seen], scores[seen], clip.frames.side)
    every = np.stack([np.interp(np.arange(count), seen, each) for each in found.T], axis=-1)
    motion = np.float32(smooth(every))
    return motion, mirrored(motion)

  return read_codes
