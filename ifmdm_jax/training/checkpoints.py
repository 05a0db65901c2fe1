"""Checkpoints under workdir/checkpoints/<step>: the state, the loader's position, the config.

Items of a checkpoint (Orbax): `state` (step, params, opt_state), `ema` (where one is kept) and
`meta`, JSON with the config, the loader's state and the seconds trained so far.
"""

import json
import pathlib

import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import orbax.checkpoint as ocp

from ifmdm_jax import errors
from ifmdm_jax.training import state as states

FOLDER = 'checkpoints'


class Checkpoints:
  """Saves in the background; a checkpoint appears under its name only once it is whole."""

  def __init__(self, workdir, keep=2):
    self.folder = pathlib.Path(workdir).absolute() / FOLDER
    self._manager = _manager(
      self.folder,
      max_to_keep=keep,
      enable_async_checkpointing=True,
      cleanup_tmp_directories=True,  # what a killed run was writing
    )

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._manager.wait_until_finished()
    self._manager.close()

  @property
  def latest_step(self):
    return self._manager.latest_step()

  def save(self, step, state, *, config, data, seconds):
    """Blocks only while the state is copied to the host. `step` is `int(state.step)`."""
    if step == self.latest_step:
      return
    meta = dict(config=json.loads(config.to_json()), data=data, seconds=seconds)
    items = dict(state=ocp.args.StandardSave(_without_ema(state)), meta=ocp.args.JsonSave(meta))
    if state.ema is not None:
      items['ema'] = ocp.args.StandardSave(state.ema)
    self._manager.save(step, args=ocp.args.Composite(**items))

  def restore(self, shapes, shardings):
    """(state, meta) of the latest step, put straight onto `shardings`.

    A tree that differs from `shapes` (another model or optimiser) is an InputError.
    """
    step = self.latest_step
    wanted = jax.tree.map(
      lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
      shapes,
      shardings,
    )
    found = self._manager.item_metadata(step)
    if (shapes.ema is None) != (found.get('ema') is None):
      raise errors.InputError(
        f'{self.folder} was written {"with" if shapes.ema is None else "without"} an average'
        ' (config.train.ema): set it as it was, or use a new workdir with --init_from'
      )
    self._same_tree('state', found['state'], _without_ema(wanted))
    items = dict(state=ocp.args.StandardRestore(_without_ema(wanted)), meta=ocp.args.JsonRestore())
    if shapes.ema is not None:
      self._same_tree('ema', found['ema'], wanted.ema)
      items['ema'] = ocp.args.StandardRestore(wanted.ema)
    restored = self._manager.restore(step, args=ocp.args.Composite(**items))
    state = states.TrainState(**restored['state'], ema=restored.get('ema'))
    return state, restored['meta']

  def _same_tree(self, item, found, wanted):
    found = {path: tuple(leaf.shape) for path, leaf in states.by_path(found.tree).items()}
    wanted = {path: tuple(leaf.shape) for path, leaf in states.by_path(wanted).items()}
    differ = sorted(path for path in {*found, *wanted} if found.get(path) != wanted.get(path))
    if differ:
      path = differ[0]
      raise errors.InputError(
        f'{self.folder} holds another model or optimiser: {len(differ)} entries of {item} differ,'
        f' the first is {path} (there {found.get(path)}, here {wanted.get(path)});'
        ' use a new workdir, with --init_from to start from these weights'
      )


def load(workdir):
  """(config, params) of the latest checkpoint, for sampling: the average where one was kept.

  Arrays come to the default device as float32, lists of the config as tuples.
  """
  folder = pathlib.Path(workdir).absolute() / FOLDER
  if not folder.is_dir():
    raise errors.InputError(f'no checkpoint in {workdir}: expected a workdir of ifmdm_jax.train')
  with _manager(folder, read_only=True) as manager:
    step = manager.latest_step()
    if step is None:
      raise errors.InputError(f'no finished checkpoint in {folder}: train longer, or wait for one')
    meta = manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))['meta']
    found = manager.item_metadata(step)
    averaged = found.get('ema') is not None
    tree = found['ema' if averaged else 'state'].tree
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    wanted = jax.tree.map(
      lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), tree
    )
    if averaged:
      args = ocp.args.Composite(ema=ocp.args.StandardRestore(wanted))
      params = manager.restore(step, args=args)['ema']
    else:
      args = ocp.args.Composite(state=ocp.args.StandardRestore(wanted))
      params = manager.restore(step, args=args)['state']['params']
  return ml_collections.ConfigDict(as_tuples(meta['config'])), params


def write_weights(path, params):
  """Parameters as one safetensors file in half precision; names are paths."""
  from safetensors.numpy import save_file

  arrays = {name: np.asarray(leaf, np.float16) for name, leaf in states.by_path(params).items()}
  save_file(arrays, path)


def read_weights(path):
  """The inverse of `write_weights`, in float32."""
  from safetensors.numpy import load_file

  arrays = {name: array.astype(np.float32) for name, array in load_file(path).items()}
  return flax.traverse_util.unflatten_dict(arrays, sep='/')


def take(params, given):
  """`params` with every leaf replaced that `given` has under the same path and shape.

  Returns (params, paths of `params` left as they were, paths of `given` not used).
  """
  given = states.by_path(given)

  def choose(path, leaf):
    new = given.get(path)
    fits = new is not None and new.shape == leaf.shape
    # A copy: parameters and average are donated, and may not share a buffer.
    return jax.device_put(jnp.array(new, leaf.dtype), leaf.sharding) if fits else leaf

  ours = states.by_path(params)
  taken = {p for p, leaf in ours.items() if p in given and given[p].shape == leaf.shape}
  left = [path for path in ours if path not in taken]
  return states.map_with_path(choose, params), left, [p for p in given if p not in taken]


def _manager(folder, **options):
  handlers = dict(
    state=ocp.StandardCheckpointHandler(),
    ema=ocp.StandardCheckpointHandler(),
    meta=ocp.JsonCheckpointHandler(),
  )
  options = ocp.CheckpointManagerOptions(**options)
  return ocp.CheckpointManager(folder, options=options, item_handlers=handlers)


def _without_ema(state):
  return dict(step=state.step, params=state.params, opt_state=state.opt_state)


def as_tuples(value):
  """A config from JSON as it was: lists are tuples there."""
  if isinstance(value, dict):
    return {key: as_tuples(item) for key, item in value.items()}
  return tuple(map(as_tuples, value)) if isinstance(value, list) else value
