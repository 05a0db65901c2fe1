"""A body of 60 vertices for quick tests: a shell of a face, and a board as a trunk."""

import numpy as np

from ifmdm_jax.systems.vlogger import axes, body, skeleton

ROWS, COLUMNS = 8, 6  # of the face
BOARD_ROWS, BOARD_COLUMNS = 3, 4


def _grid(rows, columns, first):
  """Triangles of a grid of vertices, counterclockwise as they are seen."""
  number = first + np.arange(rows * columns).reshape(rows, columns)
  a, b, c, d = (
    number[i : rows - 1 + i, j : columns - 1 + j].ravel() for i in (0, 1) for j in (0, 1)
  )
  return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def make():
  """Makes the toy: four units (jaw, smile, blink, brow), two axes of identity, all joints."""
  across, down = np.meshgrid(np.linspace(-0.7, 0.7, COLUMNS), np.linspace(-1, 1, ROWS))
  face = np.stack([across, down, -np.sqrt(np.maximum(1.6 - across**2 - down**2 / 1.5, 0.1))], -1)
  x, y = np.meshgrid(np.linspace(-2, 2, BOARD_COLUMNS), np.linspace(1.4, 3.5, BOARD_ROWS))
  board = np.stack([x, y, np.full_like(x, -0.4)], -1)
  template = np.concatenate([face.reshape(-1, 3), board.reshape(-1, 3)]).astype(np.float32)
  count, of_face = len(template), ROWS * COLUMNS
  units = np.zeros((len(body.UNITS), count, 3), np.float32)
  y = template[:, 1]
  for name, axis, size, moved in (
    ('jawOpen', 1, 0.3, y > 0.3),
    ('mouthSmileLeft', 0, 0.2, y > 0.1),
    ('eyeBlinkLeft', 1, 0.1, y < 0),
    ('browInnerUp', 1, -0.1, y < -0.5),
  ):
    units[body.UNITS.index(name), moved & (np.arange(count) < of_face), axis] = size
  identity = np.zeros((2, count, 3), np.float32)
  identity[0, :of_face, 0] = 0.1 * template[:of_face, 0]
  identity[1, :of_face, 1] = 0.1 * template[:of_face, 1]
  joints = np.zeros((len(skeleton.JOINTS), 3), np.float32)
  for name, place in {'neck': (0, 1.1, 0), 'torso': (0, 1.1, 0), 'eyeLeft': (0.3, -0.3, -0.9),
                      'eyeRight': (-0.3, -0.3, -0.9)}.items():  # fmt: skip
    joints[skeleton.NUMBER[name]] = place
  carried = np.zeros((count, len(skeleton.JOINTS)), np.float32)
  carried[:of_face, skeleton.NUMBER['head']] = 1
  carried[of_face:, skeleton.NUMBER['torso']] = 1
  shell, trunk = _grid(ROWS, COLUMNS, 0), _grid(BOARD_ROWS, BOARD_COLUMNS, of_face)
  triangles = np.concatenate([shell, trunk]).astype(np.int32)
  part = [body.REGIONS.index('face' if t.max() < of_face else 'torso') for t in triangles]
  draw = np.random.default_rng(0)
  shares = draw.dirichlet([1, 1, 1], 478).astype(np.float32)
  corners = triangles[draw.integers(0, 2 * (ROWS - 1) * (COLUMNS - 1), 478)]
  return body.Body(
    template, identity, units, joints, np.zeros((2, *joints.shape), np.float32), carried,
    triangles, np.array(part, np.int32), corners, shares)  # fmt: skip


def stand(**values):
  """Makes the motion of a toy before the camera, [A]."""
  return axes.read({'headZ': 8.0, **values})
