"""Which device holds what: a mesh, and (path pattern, axes) rules for every leaf of the state.

  config.mesh = dict(data=-1, fsdp=1, model=1)                     -1: all devices that are left
  config.sharding = [('Mlp.*/kernel', (None, 'model')), ('.*', 'fsdp')]          first match wins

Axes are a tuple, one name or None for each axis of the leaf, or one name: then the leaf's largest
axis that divides is split over it, and leaves under 64 K numbers stay whole, as their transfer
costs more than their memory. A pattern is searched for in paths such as
'params/block_3/Mlp/kernel'; Adam's moments and the average end in the same path and so lie beside
their parameter. The batch is split over `data` and `fsdp`; XLA gathers what is split over `fsdp`
just before it is needed and scatters its gradient (ZeRO-3).
"""

import math
import re

import jax
import numpy as np

from ifmdm_jax import errors
from ifmdm_jax.training import state as states

BATCH_AXES = ('data', 'fsdp')
SMALL = 2**16  # numbers


def make_mesh(axes, devices=None):
  """Makes a Mesh of {'data': -1, 'model': 2}; at most one is -1, their product all devices."""
  devices = jax.devices() if devices is None else devices
  sizes = list(axes.values())
  known = math.prod(size for size in sizes if size != -1)
  if sizes.count(-1) == 1 and len(devices) % known == 0:
    sizes[sizes.index(-1)] = len(devices) // known
  if math.prod(sizes) != len(devices):
    raise errors.InputError(
      f'config.mesh {dict(axes)} does not fit {len(devices)} devices: the product of the sizes'
      ' must be that number, and one of them may be -1'
    )
  auto = (jax.sharding.AxisType.Auto,) * len(sizes)
  return jax.make_mesh(tuple(sizes), tuple(axes), axis_types=auto, devices=devices)


def replicated(mesh):
  return jax.NamedSharding(mesh, jax.P())


def batch_sharding(mesh):
  """Splits the first axis over all batch axes of the mesh."""
  axes = tuple(axis for axis in BATCH_AXES if axis in mesh.shape)
  return jax.NamedSharding(mesh, jax.P(axes if axes else None))


def batch_parts(mesh):
  """Counts the devices over which a batch is split."""
  return math.prod(mesh.shape[axis] for axis in BATCH_AXES if axis in mesh.shape)


def check_batch(mesh, batch, pieces=1):
  parts = batch_parts(mesh)
  if batch < 1 or batch % parts:
    raise errors.InputError(
      f'config.train.batch is {batch}, expected a multiple of the {parts} devices that share it'
    )
  if pieces < 1 or batch % (parts * pieces):
    raise errors.InputError(
      f'config.train.pieces is {pieces}, expected a divisor of the {batch // parts} rows that each'
      ' device has'
    )


def tree_shardings(mesh, rules, shapes):
  """Gives every leaf of `shapes` a NamedSharding; without a matching rule it is replicated."""

  def place(path, leaf):
    axes = next((axes for pattern, axes in rules if re.search(pattern, path)), ())
    if isinstance(axes, str):
      axes = _largest(leaf.shape, axes, mesh.shape.get(axes, 1))
    if len(axes) > len(leaf.shape):  # counters, factored moments
      axes = ()
    for size, axis in zip(leaf.shape, axes, strict=False):
      if axis is not None and axis not in mesh.shape:
        raise errors.InputError(
          f'config.sharding names axis {axis!r}, the mesh has {mesh.axis_names}'
        )
      if axis is not None and size % mesh.shape[axis]:
        raise errors.InputError(
          f'config.sharding splits {path} {leaf.shape} over {axis!r}: {size} is not a multiple of'
          f' {mesh.shape[axis]}'
        )
    return jax.NamedSharding(mesh, jax.P(*axes))

  return states.map_with_path(place, shapes)


def _largest(shape, axis, parts):
  """Axes that split the largest dimension that divides; the last of equals."""
  fits = [i for i, size in enumerate(shape) if size % parts == 0]
  if parts == 1 or not fits or math.prod(shape) < SMALL:
    return ()
  chosen = max(fits, key=lambda i: (shape[i], i))
  return (None,) * chosen + (axis,)


def put_batch(sharding, batch):
  """This process's numpy arrays -> global arrays."""

  def put(array):
    return jax.make_array_from_process_local_data(sharding, np.asarray(array))

  return jax.tree.map(put, batch)
