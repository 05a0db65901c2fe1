"""Turns joints: angles of head, eyes, trunk and arms -> where every joint of the body is.

The chain starts at the head, which is what a film of a talking person shows best: the neck turns
half as far as head and trunk, and the trunk hangs on it.
"""

import jax.numpy as jnp

from ifmdm_jax.systems.vlogger import axes

# fmt: off
JOINTS = (
  'head', 'neck', 'torso', 'eyeLeft', 'eyeRight', 'shoulderLeft', 'shoulderRight', 'armLeft',
  'armRight', 'elbowLeft', 'elbowRight', 'wristLeft', 'wristRight')
# fmt: on
NUMBER = {name: number for number, name in enumerate(JOINTS)}
_angles = lambda part: [axes.INDEX[f'{part}{angle}'] for angle in ('Pitch', 'Yaw', 'Roll')]
HEAD, TORSO = _angles('head'), _angles('torso')
PLACE = [axes.INDEX[f'head{letter}'] for letter in 'XYZ']
ARMS = (0.5, 0.1, 0.0)  # radians by which arm, elbow and wrist turn inwards: they hang


def turn(pitch, yaw, roll):
  """Makes rotations of angles [...], radians: roll, then pitch, then yaw; [..., 3, 3]."""
  (sp, cp), (sy, cy), (sr, cr) = ((jnp.sin(a), jnp.cos(a)) for a in (pitch, yaw, roll))
  rows = [
    [cy * cr + sy * sp * sr, -cy * sr + sy * sp * cr, sy * cp],
    [cp * sr, cp * cr, -sp],
    [-sy * cr + cy * sp * sr, sy * sr + cy * sp * cr, cy * cp],
  ]
  return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def pose(joints, motion, arms=None):
  """Places the joints.

  Args:
    joints: [..., J, 3] at rest, decimetres.
    motion: [..., A], see `axes`.
    arms: [..., 2, 3], radians by which the person's left and right arm, elbow and wrist turn
      inwards in the picture's plane; None lets the arms hang.

  Returns:
    Turns [..., J, 3, 3] and places [..., J, 3]: a point p that a joint carries goes to
    turn @ (p - its place at rest) + place.
  """
  zero = jnp.zeros(motion.shape[:-1])
  arms = jnp.broadcast_to(jnp.array([ARMS, ARMS]), (*zero.shape, 2, 3)) if arms is None else arms
  head_angles, torso_angles = motion[..., HEAD], motion[..., TORSO]
  by = lambda angles: turn(*jnp.moveaxis(angles, -1, 0))
  head, torso = by(head_angles), by(torso_angles)
  neck = by((head_angles + torso_angles) / 2)
  rest = lambda name: joints[..., NUMBER[name], :]
  turns, places = {'head': head, 'neck': neck, 'torso': torso}, {'head': motion[..., PLACE]}

  def place(name, parent, carrier=None):
    """A joint is carried by its parent, or by the turn `carrier` about the parent's place."""
    along = rest(name) - rest(parent)
    carried = jnp.einsum('...ij,...j->...i', turns[carrier or parent], along)
    places[name] = places[parent] + carried

  place('neck', 'head', 'neck')
  place('torso', 'neck')
  for number, (side, sign) in enumerate((('Left', -1.0), ('Right', 1.0))):
    eye, shoulder, arm = f'eye{side}', f'shoulder{side}', f'arm{side}'
    place(eye, 'head')
    pitch, yaw = (motion[..., axes.INDEX[f'gaze{side}{angle}']] for angle in ('Pitch', 'Yaw'))
    turns[eye] = head @ turn(pitch, yaw, zero)
    place(shoulder, 'torso')
    raised = motion[..., axes.INDEX[shoulder]]
    turns[shoulder] = torso @ turn(zero, zero, sign * raised)
    place(arm, shoulder)
    above, last = torso, arm
    for part, name in enumerate((arm, f'elbow{side}', f'wrist{side}')):
      if name != arm:
        place(name, last)
      above = above @ turn(zero, zero, -sign * arms[..., number, part])
      turns[name], last = above, name
  stack = lambda table, axis: jnp.stack([table[name] for name in JOINTS], axis)
  return stack(turns, -3), stack(places, -2)
