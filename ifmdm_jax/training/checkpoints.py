"""Checkpoints under workdir/checkpoints/<step>: the state, the loader's position, the config.

Items of a checkpoint (Orbax): `state` (step, params, opt_state), `ema` and `extra` (where there is
one) and `meta`, JSON with the config, the loader's state, the seconds trained so far, the code's
version and the figures of a validation at this step. `metrics` is there where the best are kept.
"""

import contextlib
import errno
import functools
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time

import jax
import ml_collections
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import (
  AnyPreservationPolicy,
  BestN,
  EveryNSteps,
  LatestN,
)

from ifmdm_jax import __version__, errors
from ifmdm_jax.training import hosts
from ifmdm_jax.training import state as states

FOLDER = 'checkpoints'
MARK, WHOLE = 'commit_success.txt', 'This checkpoint is whole.'
CORRUPT = 'corrupt'  # where checkpoints go that cannot be read
HALF = '*.orbax-checkpoint-tmp*'  # of a save that is under way, or failed
GRACE = 5.0  # seconds to wait for threads of a save that failed
BESIDE = 2**20, 256  # bytes and files of a checkpoint beside its arrays


class CannotSave(errors.InputError):
  """The last checkpoint of a run could not be written: there is no room, or no permission."""


class Checkpoints:
  """Saves in the background; a checkpoint appears under its name only once it is whole.

  What is kept: the latest `keep`; every `keep_every` steps one for ever; the best by `keep_best`,
  the name of a validation figure of which less is better, or '-name' where more is. A save that
  fails (disk full) is reported, and tried again at the next one; only the last one's failure is
  raised. A checkpoint that cannot be read is moved to workdir/corrupt once an older one was read.
  """

  def __init__(self, workdir, keep=2, keep_every=0, keep_best=''):
    self.folder = pathlib.Path(workdir).absolute() / FOLDER
    policies = [LatestN(keep)]
    options = {}
    if keep_every:
      policies.append(EveryNSteps(keep_every))
    if keep_best:
      score = functools.partial(_score, keep_best)
      best = BestN(get_metric_fn=score, n=1, keep_checkpoints_without_metrics=False)
      policies.append(best)
      options = dict(best_fn=score, best_mode='max')
    self._open = functools.partial(
      _manager,
      self.folder,
      preservation_policy=AnyPreservationPolicy(policies),
      enable_async_checkpointing=True,
      cleanup_tmp_directories=True,  # what a killed run was writing
      **options,
    )
    self._manager = self._open()
    self._keep_best = keep_best
    self._writing = None  # step
    self._failed = None  # why the last save failed, or None

  def __enter__(self):
    return self

  def __exit__(self, kind, *_):
    self._finish()
    self._manager.close()
    if self._failed and kind is None:
      raise CannotSave(f'{self._failed}; {self.saved()}: make room and use the same command')

  @property
  def latest_step(self):
    return self._manager.latest_step()

  def saved(self):
    """Says 'step 40 is saved in ...', for messages."""
    step = self.latest_step
    return f'{"nothing" if step is None else f"step {step}"} is saved in {self.folder}'

  def save(self, step, state, *, config, data, seconds, figures=None):
    """Blocks only while the state is copied to the host. `step` is `int(state.step)`.

    `data` is this process's loader state; `figures` those of a validation, if there was one.
    """
    self._finish()
    if step == self.latest_step:
      return
    if figures and self._keep_best:
      _score(self._keep_best, figures)  # a wrong name is an error here
    data = hosts.gather(data)
    meta = dict(
      config=json.loads(config.to_json()),
      data=data[0] if len(data) == 1 else data,
      seconds=seconds,
      version=version(),
      figures=figures,
    )
    items = dict(state=ocp.args.StandardSave(_required(state)), meta=ocp.args.JsonSave(meta))
    for name, tree in _optional(state).items():
      items[name] = ocp.args.StandardSave(tree)
    self._writing, self._failed = step, None
    try:
      self._check_room(state)
      self._manager.save(step, args=ocp.args.Composite(**items), metrics=figures)
    except (OSError, ValueError, RuntimeError) as error:
      self._tell(error)

  def _check_room(self, state):
    """Raises OSError where a checkpoint does not fit; one process among many cannot stop alone."""
    if jax.process_count() > 1:
      return
    room, names = BESIDE
    room += sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    disk = shutil.disk_usage(self.folder)
    if disk.total and disk.free < room:
      raise OSError(
        errno.ENOSPC, f'no room is left, {disk.free / 1e6:.1f} of {room / 1e6:.1f} MB are free'
      )
    if hasattr(os, 'statvfs'):  # not on Windows
      disk = os.statvfs(self.folder)
      if disk.f_files and disk.f_favail < names:
        raise OSError(errno.ENOSPC, 'no room is left for more files')

  def _finish(self):
    """Waits for the save in the background and tells if it failed."""
    if self._writing is None:
      return
    try:
      self._manager.wait_until_finished()
    except (OSError, ValueError, RuntimeError) as error:
      self._tell(error)
    self._writing = None
    if hosts.first():
      for mark in self.folder.rglob(MARK):  # Orbax writes the absolute path, with the user's name
        with contextlib.suppress(OSError):
          if mark.read_text() != WHOLE:
            mark.write_text(WHOLE)

  def _tell(self, error):
    reason = ' '.join(str(error).split())[-160:]  # the system's own words come last
    self._failed = f'step {self._writing} could not be saved ({type(error).__name__}: {reason})'
    self._begin_anew()
    hosts.say(f'warning: {self._failed}; {self.saved()}; the next save tries again')

  def _begin_anew(self):
    """Gives the room of a failed save back; what else went wrong in it is not the next one's."""
    if jax.process_count() > 1:  # the others do not know of it
      self._manager.reload()
    else:
      with contextlib.suppress(Exception):  # Orbax raises the same once more
        self._manager.close()
      until = time.monotonic() + GRACE
      for thread in threading.enumerate():
        if type(thread).__module__.startswith('orbax.'):  # it still writes
          with contextlib.suppress(Exception):  # which its `join` raises
            thread.join(max(0.0, until - time.monotonic()))
    if hosts.first():
      for half in self.folder.glob(HALF):
        _remove(half)
    if jax.process_count() == 1:
      self._manager = self._open()

  def restore(self, shapes, shardings):
    """Reads (state, meta) of the latest step that can be read, straight onto `shardings`.

    A tree that differs from `shapes` (another model or optimiser) is an InputError; so is a folder
    of which nothing can be read.
    """
    unreadable = {}
    for step in sorted(self._manager.all_steps(), reverse=True):
      try:
        restored = self._restore(step, shapes, shardings)
      except errors.InputError:
        raise
      except Exception as error:  # Orbax, tensorstore and JSON each raise their own
        unreadable[step] = f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
        continue
      self._set_aside(unreadable)  # only now: if none can be read, the fault may not be theirs
      return restored
    latest = max(unreadable)
    raise errors.InputError(
      f'no checkpoint in {self.folder} can be read; that of step {latest}: {unreadable[latest]};'
      ' mend it, or start anew in another workdir'
    )

  def _set_aside(self, unreadable):
    if not unreadable:
      return
    place = self.folder.parent / CORRUPT
    hosts.barrier('read an older checkpoint')
    if hosts.first():
      place.mkdir(exist_ok=True)
      for step in unreadable:
        _remove(place / str(step))
        (self.folder / str(step)).rename(place / str(step))
    hosts.barrier('set newer ones aside')
    self._manager.reload()
    for step, why in unreadable.items():
      hosts.say(
        f'warning: the checkpoint of step {step} cannot be read ({why}); it is in {place} now,'
        ' going back to the one before'
      )

  def _restore(self, step, shapes, shardings):
    wanted = jax.tree.map(
      lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
      shapes,
      shardings,
    )
    meta = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))['meta']
    items = self._manager.item_metadata(step)
    if (shapes.ema is None) != (items.get('ema') is None):
      raise errors.InputError(
        f'{self.folder} was written {"with" if shapes.ema is None else "without"} an average'
        ' (config.train.ema): set it as it was, or use a new workdir with --init_from'
      )
    if (shapes.extra is None) != (items.get('extra') is None):
      raise errors.InputError(
        f'{self.folder} was written by another model, one'
        f' {"with" if shapes.extra is None else "without"} state that is not trained: use a new'
        ' workdir with --init_from'
      )
    trees = {'state': _required(wanted), **_optional(wanted)}
    for name, tree in trees.items():
      self._same_tree(name, items[name], tree)
    args = {name: ocp.args.StandardRestore(tree) for name, tree in trees.items()}
    restored = self._manager.restore(step, args=ocp.args.Composite(**args))
    rest = {name: restored.get(name) for name in ('ema', 'extra')}
    return states.TrainState(**restored['state'], **rest), meta

  def _same_tree(self, item, saved, wanted):
    saved = {path: tuple(leaf.shape) for path, leaf in states.by_path(saved.tree).items()}
    wanted = {path: tuple(leaf.shape) for path, leaf in states.by_path(wanted).items()}
    differ = sorted(path for path in {*saved, *wanted} if saved.get(path) != wanted.get(path))
    if differ:
      path = differ[0]
      raise errors.InputError(
        f'{self.folder} holds another model or optimiser: {len(differ)} entries of {item} differ,'
        f' the first is {path} (there {saved.get(path)}, here {wanted.get(path)});'
        ' use a new workdir, with --init_from to start from these weights'
      )


@functools.cache
def version():
  """Names the package's version, and the commit of a checkout: '0.1.0 793571b-dirty'."""
  root = pathlib.Path(__file__).parents[2]
  if not (root / '.git').exists():  # installed, perhaps inside another repository
    return __version__
  command = ['git', '--no-optional-locks', '-C', str(root)]
  command += ['describe', '--always', '--dirty', '--abbrev=12']
  try:
    commit = subprocess.run(command, capture_output=True, text=True, timeout=10)
  except (OSError, subprocess.SubprocessError):
    return __version__
  return f'{__version__} {commit.stdout.strip()}'.strip()


def _score(name, figures):
  """More is better."""
  sign = 1 if name.startswith('-') else -1
  name = name.removeprefix('-')
  if name not in figures:
    raise errors.InputError(
      f'config.train.keep_best is {name!r}, the validation gives {", ".join(figures)}'
    )
  return sign * figures[name]


def _remove(folder):
  shutil.rmtree(folder, ignore_errors=True)


def load(workdir, best=False):
  """Reads (config, params) of a checkpoint, for sampling: the average where one was kept.

  The latest that can be read, or with `best` the one with the best validation by
  config.train.keep_best. Arrays come to the default device as float32, lists of the config as
  tuples.
  """
  meta, items = _load(workdir, best, lambda names: 'ema' if 'ema' in names else 'state')
  params = items['ema'] if 'ema' in items else items['state']['params']
  return ml_collections.ConfigDict(as_tuples(meta['config'])), params


def load_extra(workdir, best=False):
  """Reads the state that nothing trained of the checkpoint that `load` reads, or None."""
  return _load(workdir, best, lambda names: 'extra' if 'extra' in names else None)[1].get('extra')


def _load(workdir, best, choose):
  """(meta, {item: tree}) of the checkpoint; `choose` names an item of those that there are."""
  folder = pathlib.Path(workdir).absolute() / FOLDER
  if not folder.is_dir():
    raise errors.InputError(f'no checkpoint in {workdir}: expected a workdir of ifmdm_jax.train')
  with _manager(folder, read_only=True) as manager:
    steps = sorted(manager.all_steps(), reverse=True)
    if not steps:
      raise errors.InputError(f'no finished checkpoint in {folder}: train longer, or wait for one')
    if best:
      steps = [_best_step(manager, steps, folder)]
    for step in steps:
      try:
        return _read(manager, step, choose)
      except Exception as error:  # Orbax, tensorstore and JSON each raise their own
        if step == steps[-1]:
          raise errors.InputError(f'no checkpoint in {folder} can be read: {error}') from error
        hosts.say(f'warning: the checkpoint of step {step} in {folder} cannot be read: {error}')


def _read(manager, step, choose):
  meta = manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))['meta']
  items = manager.item_metadata(step)
  name = choose([item for item in items if items.get(item) is not None])
  if name is None:
    return meta, {}
  place = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  wanted = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), items[name].tree
  )
  args = ocp.args.Composite(**{name: ocp.args.StandardRestore(wanted)})
  return meta, {name: manager.restore(step, args=args)[name]}


def _best_step(manager, steps, folder):
  read = lambda step: manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))
  metas = {step: read(step)['meta'] for step in steps}
  names = {meta['config']['train'].get('keep_best', '') for meta in metas.values()}
  scored = {step: meta.get('figures') for step, meta in metas.items() if meta.get('figures')}
  if '' in names or not scored:
    raise errors.InputError(f'{folder} keeps no best checkpoint: train with config.train.keep_best')
  name = metas[steps[0]]['config']['train']['keep_best']
  return max(scored, key=lambda step: _score(name, scored[step]))


def _manager(folder, **options):
  handlers = dict(
    state=ocp.StandardCheckpointHandler(),
    ema=ocp.StandardCheckpointHandler(),
    extra=ocp.StandardCheckpointHandler(),
    meta=ocp.JsonCheckpointHandler(),
  )
  options = ocp.CheckpointManagerOptions(**options)
  return ocp.CheckpointManager(folder, options=options, item_handlers=handlers)


def _required(state):
  return dict(step=state.step, params=state.params, opt_state=state.opt_state)


def _optional(state):
  """{item: tree} of what not every state has."""
  return {name: tree for name in ('ema', 'extra') if (tree := getattr(state, name)) is not None}


def as_tuples(value):
  """Turns a config from JSON into what it was: lists are tuples there."""
  if isinstance(value, dict):
    return {key: as_tuples(item) for key, item in value.items()}
  return tuple(map(as_tuples, value)) if isinstance(value, list) else value
