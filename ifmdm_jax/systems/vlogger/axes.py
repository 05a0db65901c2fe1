"""Names the axes of motion: 51 face units, and the pose of head, eyes and trunk.

Before the camera x runs right in the picture, y down, z away from the viewer; a turn is positive by
the right-hand rule about its axis. So a positive pitch looks down, a positive yaw to the left of
the picture, and a positive roll leans clockwise as it is seen. Left and right in names are the
person's own.

  units                     0 relaxed, 1 as far as the face goes
  headPitch, Yaw, Roll      radians, of the head before the camera: it rolls, then pitches, then
                            yaws, each about an axis of the camera
  headX, headY, headZ       decimetres, where the head turns on the neck, before the camera
  gaze...Pitch, Yaw         radians, of an eye in the head
  torsoPitch, Yaw, Roll     radians, of the trunk before the camera, as the head's
  shoulderLeft, Right       radians, how far a shoulder is raised
"""

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import face_motion
from ifmdm_jax.pipeline.face_motion import HEAD, UNITS

TONGUE = 'tongueOut'  # of the body alone: no score measures it
POSE = HEAD + (
  'gazeLeftPitch', 'gazeLeftYaw', 'gazeRightPitch', 'gazeRightYaw', 'torsoPitch', 'torsoYaw',
  'torsoRoll', 'shoulderLeft', 'shoulderRight')  # fmt: skip
AXES = UNITS + POSE
INDEX = {name: number for number, name in enumerate(AXES)}
GROUPS = {  # names of several axes at once, by how each of them begins
  **face_motion.GROUPS,
  'units': UNITS,
  'pose': POSE,
  'torso': ('torso', 'shoulder'),
}


def indices(name):
  """Finds an axis or a group by its name: its numbers in `AXES`, int [N].

  Raises:
    InputError: there is none of this name.
  """
  return face_motion.indices(name, AXES, GROUPS)


def read(values, start=None):
  """Reads {name: value} into one frame of motion, float32 [A] in the order of `AXES`.

  Args:
    values: {axis or group: number}; later ones overwrite earlier ones.
    start: [A], what is not named; None is zeros.

  Raises:
    InputError: a name is unknown, or a value is not a finite number.
  """
  frame = np.zeros(len(AXES), np.float32) if start is None else np.array(start, np.float32)
  for name, value in values.items():
    where = indices(name)
    try:
      number = float(value)
    except (TypeError, ValueError):
      number = np.nan
    if not np.isfinite(number):
      raise InputError(f'expected a number for {name}, got {value!r}: write it as 0.5')
    frame[where] = number
  return frame
