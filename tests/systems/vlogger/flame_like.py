"""A model that is built as FLAME is, of another person with our own body's shapes."""

import numpy as np

from ifmdm_jax import track
from ifmdm_jax.systems.vlogger import body, flame, skeleton

HEAD = ('face', 'lips', 'mouth', 'ears', 'scalp', 'eyes', 'neck')
LIFT = np.array([0.0, 1.5, 0.1])  # metres: its origin is elsewhere


def model(seed=0, identity=0.7):
  """Makes its arrays under FLAME's names, and the mixing of units in its expressions [51, 51].

  In metres, y up, z towards the viewer; vertices of the head alone, in an order of their own; 300
  numbers of shape (zeros), and 51 of expression, each a mixture of face units.
  """
  rng, ours = np.random.default_rng(seed), body.load()
  parts = [body.REGIONS.index(name) for name in HEAD]
  triangles = ours.triangles[np.isin(ours.region, parts)]
  order = rng.permutation(np.unique(triangles))
  number = np.zeros(len(ours.template), int)
  number[order] = np.arange(len(order))
  own = rng.normal(0, identity, len(ours.identity))
  vertices = (ours.template + np.tensordot(own, ours.identity, 1))[order]
  joints = ours.joints + np.tensordot(own, ours.joint_identity, 1)
  mixing = np.linalg.qr(rng.normal(size=(51, 51)))[0]
  expression = np.einsum('eu,uvc->vce', mixing, ours.units[: len(track.UNITS), order])
  eyes = np.zeros(len(ours.template), bool)
  eyes[ours.triangles[ours.region == body.REGIONS.index('eyes')]] = True
  weights = np.zeros((len(order), 5))
  weights[:, 3], weights[:, 4] = (
    eyes[order] & (vertices[:, 0] > 0),
    eyes[order] & (vertices[:, 0] < 0),
  )
  # Below the mouth, and in front, the jaw carries the face.
  lip = body.at_points(ours).template[14, 1]
  low = (vertices[:, 1] > lip) & (vertices[:, 2] < -0.3) & (weights.sum(1) == 0)
  weights[low, 2] = 1
  weights[:, 1] = 1 - weights.sum(1)
  named = lambda name: joints[skeleton.NUMBER[name]]
  placed = np.stack(
    [named('neck'), named('neck'), (0, 0.2, 0.1), named('eyeLeft'), named('eyeRight')]
  )
  metres = lambda array: array @ flame.FLIPPED / 10
  return {
    'v_template': metres(vertices) + LIFT,
    'f': number[triangles].astype(np.uint32),
    'shapedirs': np.concatenate(
      [np.zeros((len(order), 3, 300)), expression * np.array([0.1, -0.1, -0.1])[:, None]], axis=2
    ),
    'weights': weights,
    'J_regressor': regressor(metres(vertices) + LIFT, metres(placed) + LIFT),
  }, mixing


def regressor(vertices, joints):
  """Finds sums of vertices that are the joints: [J, V]."""
  ones = np.ones((len(vertices), 1))
  rows = np.concatenate([vertices, ones], axis=1)
  wanted = np.concatenate([joints, np.ones((len(joints), 1))], axis=1)
  return wanted @ np.linalg.pinv(rows)


def coefficients(mixing, **acts):
  """Makes numbers of its expressions for units by their names: [1, 51]."""
  units = np.zeros(len(track.UNITS))
  for name, value in acts.items():
    units[track.UNITS.index(name)] = value
  return (mixing @ units)[None]
