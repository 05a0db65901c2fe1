"""A body as a linear model on a skeleton: identity, face units and pose -> vertices.

`weights/body.npz` holds a reduced mesh of head, neck, trunk, arms and hands, with eyes, teeth and
tongue, made by `experiments/vlogger_body/make.py` from assets in the public domain. The face is
complete, the body approximate. Lengths are decimetres of a person whose eyes, as of everybody here,
are as far apart as the template's; directions are the camera's (`axes`).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import points, tflite
from ifmdm_jax.systems.vlogger import axes, skeleton

FILE = tflite.WEIGHTS / 'body.npz'
UNITS = (*axes.UNITS, axes.TONGUE)  # in the order of the file
# What a vertex belongs to, in the order of the masks.
# fmt: off
REGIONS = (
  'face', 'lips', 'eyes', 'teeth', 'tongue', 'mouth', 'ears', 'scalp', 'neck', 'torso', 'arms',
  'hands')
# fmt: on
SYMMETRIC = 0.01  # decimetres by which a vertex may miss its mirror image


class Body(NamedTuple):
  """The model; arrays of NumPy or JAX, V vertices, I axes of identity, J joints.

  Attributes:
    template: [V, 3], the mean person at rest; the head turns about 0.
    identity: [I, V, 3], offsets of one standard deviation of each axis.
    units: [52, V, 3], offsets of each face unit at 1, in the order of `UNITS`.
    joints: [J, 3], at rest, in the order of `skeleton.JOINTS`.
    joint_identity: [I, J, 3].
    carried: [V, J], how much of a vertex each joint carries; sum 1.
    triangles: int [T, 3]; corners run counterclockwise as they are seen from outside.
    region: int [T], of each triangle in `REGIONS`.
    corners: int [478, 3], the vertices between which a point of the face mesh lies.
    shares: [478, 3], of those; sum 1.
  """

  template: jax.Array
  identity: jax.Array
  units: jax.Array
  joints: jax.Array
  joint_identity: jax.Array
  carried: jax.Array
  triangles: np.ndarray
  region: np.ndarray
  corners: np.ndarray
  shares: jax.Array


@functools.cache
def load():
  """Reads the bundled body, float32, and checks it.

  Raises:
    InputError: the file is not the body that this code knows.
  """
  with np.load(FILE) as file:
    body = unpack({name: file[name] for name in file.files})
  check(body)
  return body


def pack(body):
  """Turns a body into small arrays for a file; `unpack` reads them back, rounded."""
  arrays = dict(body._asdict())
  for name in ('identity', 'units'):
    whole = np.asarray(arrays.pop(name), np.float32)
    scale = np.abs(whole).max((1, 2)) / 127 + 1e-12
    arrays[name] = np.rint(whole / scale[:, None, None]).astype(np.int8).transpose(0, 2, 1)
    arrays[f'{name}_scale'] = scale.astype(np.float32)
  arrays['carried'] = np.rint(np.asarray(arrays['carried']) * 255).astype(np.uint8).T
  arrays['template'] = np.rint(np.asarray(arrays['template']) * 4096).astype(np.int16).T
  arrays['shares'] = np.asarray(arrays['shares'], np.float16)
  for name in ('triangles', 'corners'):
    arrays[name] = np.asarray(arrays[name], np.uint16)
  arrays['region'] = np.asarray(arrays['region'], np.uint8)
  for name in ('joints', 'joint_identity'):
    arrays[name] = np.asarray(arrays[name], np.float16)
  return {**arrays, 'joint_names': np.array(skeleton.JOINTS), 'unit_names': np.array(UNITS),
          'region_names': np.array(REGIONS)}  # fmt: skip


def unpack(arrays):
  """Reads the arrays that `pack` made.

  Raises:
    InputError: names of joints, units or regions are not those of this code.
  """
  for key, names in (('joint', skeleton.JOINTS), ('unit', UNITS), ('region', REGIONS)):
    if tuple(arrays[f'{key}_names'].tolist()) != tuple(names):
      raise InputError(f'expected the {key}s of this version in {FILE.name}: reinstall the package')
  scaled = lambda name: (
    arrays[name].transpose(0, 2, 1) * arrays[f'{name}_scale'][:, None, None]
  ).astype(np.float32)
  carried = arrays['carried'].T.astype(np.float32)
  shares = arrays['shares'].astype(np.float32)
  return Body(
    template=arrays['template'].T.astype(np.float32) / 4096,
    identity=scaled('identity'),
    units=scaled('units'),
    joints=arrays['joints'].astype(np.float32),
    joint_identity=arrays['joint_identity'].astype(np.float32),
    carried=carried / carried.sum(1, keepdims=True),
    triangles=arrays['triangles'].astype(np.int32),
    region=arrays['region'].astype(np.int32),
    corners=arrays['corners'].astype(np.int32),
    shares=shares / shares.sum(1, keepdims=True),
  )


def check(body):
  """Checks that the body is whole: sizes, order of vertices, left like right.

  Raises:
    InputError: it is not.
  """
  count = len(body.template)
  wrong = None
  if body.triangles.max() >= count or body.corners.max() >= count:
    wrong = 'triangles of vertices that are not there'
  elif body.units.shape != (len(UNITS), count, 3) or body.carried.shape[0] != count:
    wrong = 'arrays of different sizes'
  else:
    places = at_points(body).template
    mirrored = places[points.MIRROR_WITH_IRISES] * np.float32([-1, 1, 1])
    if np.abs(places - mirrored)[: points.POINTS].max() > SYMMETRIC:
      wrong = 'a face whose sides differ, or points in another order'
    elif not places[points.NOSE_TIP, 2] < places[points.LEFT_CHEEK, 2]:
      wrong = 'a face that turns its back'
  if wrong:
    raise InputError(f'expected the body of this version in {FILE.name}, got {wrong}: reinstall')


def at_points(body):
  """Reduces a body to the 478 points of the face mesh, as vertices in their order; no triangles."""
  on = lambda array: jnp.einsum('...pkc,pk->...pc', array[..., body.corners, :], body.shares)
  numpy = lambda array: np.asarray(on(np.asarray(array)))
  return body._replace(
    template=numpy(body.template),
    identity=numpy(body.identity),
    units=numpy(body.units),
    carried=numpy(body.carried),
    triangles=np.zeros((0, 3), np.int32),
    region=np.zeros(0, np.int32),
    corners=np.repeat(np.arange(len(body.corners))[:, None], 3, 1),
    shares=np.tile(np.float32([1, 0, 0]), (len(body.corners), 1)),
  )


def rest(body, identity, units):
  """Shapes a body before it is posed.

  Args:
    identity: [I], or with the leading axes of `units`; standard deviations.
    units: [..., 51 or 52], in the order of `UNITS`; the tongue may be left out.

  Returns:
    Vertices [..., V, 3] and joints [..., J, 3].
  """
  units, identity, lead = jnp.asarray(units), jnp.asarray(identity), units.shape[:-1]

  def shaped(mean, basis, *moved):
    """[V, 3] and [I, V, 3] -> [..., V, 3]."""
    flat = lambda array: jnp.asarray(array).reshape(array.shape[0], -1)
    own = identity @ flat(basis)
    own = jnp.broadcast_to(own, (*lead, own.shape[-1])) + sum(w @ flat(b) for w, b in moved)
    return own.reshape(*lead, *mean.shape) + jnp.broadcast_to(
      jnp.asarray(mean), (*lead, *mean.shape)
    )

  moved = units, body.units[: units.shape[-1]]
  vertices = shaped(body.template, body.identity, moved)
  return vertices, shaped(body.joints, body.joint_identity)


def vertices(body, identity, motion, tongue=None, arms=None):
  """Poses a body: linear shapes, then linear blend skinning. Differentiable.

  Args:
    body: `Body`.
    identity: [I], or with the leading axes of `motion`.
    motion: [..., A], see `axes`.
    tongue: [...], how far the tongue is out; None is not at all.
    arms: see `skeleton.pose`.

  Returns:
    [..., V, 3] before the camera, decimetres.
  """
  units = motion[..., : len(axes.UNITS)]
  if tongue is not None:
    units = jnp.concatenate([units, jnp.asarray(tongue)[..., None]], -1)
  shaped, joints = rest(body, identity, units)
  turns, places = skeleton.pose(joints, motion, arms)
  carried = jnp.asarray(body.carried)
  moved = places - jnp.einsum('...jab,...jb->...ja', turns, joints)
  turned = jnp.einsum('vj,...jab->...vab', carried, turns)
  return jnp.einsum('...vab,...vb->...va', turned, shaped) + carried @ moved


def standing(distance=6.0):
  """Makes the motion of a neutral body that faces the camera, float32 [A]."""
  return axes.read({'headZ': distance})
