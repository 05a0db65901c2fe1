"""The trainer, from top to bottom: data, model, shardings, step, restore, evaluate, loop."""

import functools
import importlib
import json
import pathlib
import signal
import threading
import time

import jax
import numpy as np

from ifmdm_jax import errors
from ifmdm_jax.training import optim, sharding
from ifmdm_jax.training import state as states
from ifmdm_jax.training import step as steps
from ifmdm_jax.training.checkpoints import Checkpoints, load, read_weights, take
from ifmdm_jax.training.data import Prefetch
from ifmdm_jax.training.logs import Logs

DEFAULTS = dict(
  steps=100_000,
  batch=16,  # over all devices
  seed=0,
  ema=0.999,  # decay of the average; 0: none is kept
  log_every=50,
  eval_every=0,  # 0: never
  eval_batches=8,
  pictures_every=0,
  save_every_minutes=5.0,
  save_every_steps=0,  # besides the minutes
  keep=2,  # checkpoints
)


class NotFinite(ArithmeticError):
  """The loss or a gradient became NaN or infinite; the message is one line."""


def train(config, workdir, *, init_from=None, max_minutes=None):
  """Trains up to config.train.steps, going on from the latest checkpoint in `workdir`.

  Args:
    config: model, data, optim, train and, if wanted, mesh and sharding; see the package.
    workdir: folder for checkpoints, log.csv, tensorboard and pictures; made if absent.
    init_from: another workdir whose averaged parameters a new run starts from, or a file of a
      release, *.safetensors.
    max_minutes: stop with a checkpoint after so long, to go on with the same command.

  Returns the TrainState. Ctrl-C and SIGTERM save and return as well.
  Raises InputError on a config or workdir that cannot work, NotFinite as soon as one is seen.
  """
  began = time.monotonic()
  settings = optim.overlay('train', DEFAULTS, config.get('train', {}))
  workdir = pathlib.Path(workdir).absolute()
  workdir.mkdir(parents=True, exist_ok=True)

  # Data ---------------------------------------------------------------------------------------
  mesh = sharding.make_mesh(config.get('mesh', {'data': -1}))
  sharding.check_batch(mesh, settings.batch)
  make_loader = functools.partial(
    _module(config, 'data').make_loader,
    config.data,
    batch=settings.batch // jax.process_count(),
    seed=settings.seed,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
  loader = iter(make_loader(split='train'))
  place = functools.partial(sharding.put_batch, sharding.batch_sharding(mesh))

  # Model --------------------------------------------------------------------------------------
  model = _module(config, 'model')
  key = jax.random.key(settings.seed)
  shapes = jax.eval_shape(lambda rng: model.init(rng, config.model), key)
  if hasattr(model, 'loss'):
    tx, lr = optim.make(optim.settings(config), settings.steps, shapes)
    init_optimizer = tx.init
  else:
    optimizers = {name: optim.lenient(tx) for name, tx in model.optimizers(config).items()}
    init_optimizer = functools.partial(_init_each, optimizers)

  def init(rng):
    return states.create(model.init(rng, config.model), init_optimizer, settings.ema > 0)

  # Shardings ----------------------------------------------------------------------------------
  everywhere = sharding.replicated(mesh)
  shapes = jax.eval_shape(init, key)
  shardings = sharding.tree_shardings(mesh, config.get('sharding', ()), shapes)
  frozen = model.frozen(config.model) if hasattr(model, 'frozen') else None
  frozen = jax.device_put(frozen, everywhere)

  # Step ---------------------------------------------------------------------------------------
  if hasattr(model, 'loss'):
    update = steps.from_loss(model.loss, tx, lr, config=config.model, ema=settings.ema)
  else:
    update = steps.from_adversary(model.step, optimizers, config=config.model, ema=settings.ema)
  update = jax.jit(update, donate_argnums=0, out_shardings=(shardings, everywhere))

  # Restore ------------------------------------------------------------------------------------
  checkpoints = Checkpoints(workdir, settings.keep)
  trained = 0.0  # seconds, in the runs before this one
  if checkpoints.latest_step is not None:
    state, meta = checkpoints.restore(shapes, shardings)
    loader.set_state(meta['data'])
    trained = meta['seconds']
    print(f'resumed from {checkpoints.folder} at step {int(state.step)}')
    _tell_changes(meta['config'], json.loads(config.to_json()))
  else:
    state = jax.jit(init, out_shardings=shardings)(key)
    if init_from:
      state = _start_from(state, init_from)
  start = int(state.step)
  print(f'{_count(state.params):,} parameters on {mesh.size} x {mesh.devices.flat[0].device_kind}')
  if start >= settings.steps:
    print(f'nothing to do: config.train.steps is {settings.steps}')

  # Evaluate -----------------------------------------------------------------------------------
  measure = jax.jit(_measure(model, config.model), out_shardings=everywhere)

  def evaluate(state, logs):
    params = state.params if state.ema is None else state.ema
    found = []
    for index, batch in zip(range(settings.eval_batches), make_loader(split='val')):
      rng = jax.random.fold_in(jax.random.key(0), index)  # the same noise every time
      found.append(measure(params, place(batch), rng, state.step, frozen))
    if not found:
      raise errors.InputError("the loader's split 'val' has not one whole batch: lower train.batch")
    logs.evaluation(int(state.step), _mean(found))

  def show(state, logs):
    params = state.params if state.ema is None else state.ema
    batch = place(next(iter(make_loader(split='val'))))
    logs.pictures(int(state.step), model.pictures(params, batch, config.model))

  # Loop ---------------------------------------------------------------------------------------
  def seconds():
    return trained + time.monotonic() - began

  def save(step, state, data):
    checkpoints.save(step, state, config=config, data=data, seconds=seconds())

  rng = jax.random.fold_in(key, 1)
  stopped = _StopSignals()
  batches = Prefetch(loader, place)
  logs = Logs(workdir, start=start, steps=settings.steps, seconds=trained)
  with checkpoints, logs, batches, stopped:
    pending, window, saved_at = None, [], time.monotonic()
    for step in range(start, settings.steps):
      batch = next(batches)
      state, metrics = update(state, batch, jax.random.fold_in(rng, step), frozen)
      # One step behind, so that the device never waits for this check.
      if pending is not None:
        window.append(_checked(step - 1, pending, checkpoints))
      pending, done = metrics, step + 1
      logs.step()

      last = done == settings.steps
      minutes = (time.monotonic() - began) / 60
      stop = stopped.seen or (max_minutes is not None and minutes >= max_minutes)
      ends = last or stop
      log = ends or _due(done, settings.log_every)
      keep = ends or _due(done, settings.save_every_steps)
      keep = keep or time.monotonic() - saved_at >= 60 * settings.save_every_minutes
      judge = settings.eval_every and (last or _due(done, settings.eval_every))
      draw = settings.pictures_every and (last or _due(done, settings.pictures_every))
      if log or keep or judge or draw:  # nothing unchecked is averaged, saved or shown
        window.append(_checked(step, pending, checkpoints))
        pending = None
      if log:
        speed = dict(batch=settings.batch, waited=batches.waited, seconds=seconds())
        logs.train(done, _mean(window), **speed)
        window = []
      if keep:
        save(done, state, batches.state)
        saved_at = time.monotonic()
      if judge:
        evaluate(state, logs)
      if draw and hasattr(model, 'pictures'):
        show(state, logs)
      if stop and not last:
        why = stopped.seen or f'{max_minutes:g} minutes are over'
        print(f'{why}: saved step {done}; the same command goes on from there')
        break
  return state


class _StopSignals:
  """`seen` names the first SIGTERM or Ctrl-C; a second one acts as ever."""

  def __init__(self):
    self.seen = None
    self._before = {}

  def __enter__(self):
    if threading.current_thread() is threading.main_thread():
      for number in (signal.SIGTERM, signal.SIGINT):
        self._before[number] = signal.signal(number, self._note)
    return self

  def __exit__(self, *_):
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _note(self, number, _):
    self.seen = signal.Signals(number).name
    signal.signal(number, self._before[number])


def _module(config, section):
  name = config[section].module
  try:
    return importlib.import_module(name)
  except ModuleNotFoundError as error:
    raise errors.InputError(f'config.{section}.module {name!r}: {error}') from error


def _init_each(optimizers, params):
  return {name: tx.init(params[name]) for name, tx in optimizers.items()}


def _measure(model, config):
  """(params, batch, rng, step, frozen) -> metrics."""

  def measure(params, batch, rng, step, frozen):
    if hasattr(model, 'evaluate'):
      return model.evaluate(params, batch, rng, config=config, frozen=frozen)
    value, metrics = model.loss(params, batch, rng, config=config, step=step, frozen=frozen)
    return {'loss': value, **metrics}

  return measure


def _checked(step, metrics, checkpoints):
  """The metrics as numbers on the host; waits for their step to end."""
  metrics = {name: float(value) for name, value in jax.device_get(metrics).items()}
  bad = [f'{name} = {value}' for name, value in metrics.items() if not np.isfinite(value)]
  if bad:
    kept = checkpoints.latest_step
    where = 'nothing is saved yet' if kept is None else f'step {kept} is saved'
    raise NotFinite(
      f'not finite at step {step}: {", ".join(bad)}; {where} in {checkpoints.folder};'
      ' lower config.optim.peak_lr or clip_norm, or look at the data'
    )
  return metrics


def _mean(rows):
  rows = [jax.device_get(row) for row in rows]
  return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _due(step, every):
  return every > 0 and step % every == 0


def _count(params):
  return sum(leaf.size for leaf in jax.tree.leaves(params))


def _start_from(state, folder):
  if str(folder).endswith('.safetensors'):
    if not pathlib.Path(folder).is_file():
      raise errors.InputError(f'--init_from {folder}: expected a file of weights, there is none')
    given = read_weights(folder)
  else:
    _, given = load(folder)
  params, left, unused = take(state.params, given)
  taken = len(jax.tree.leaves(params)) - len(left)
  if not taken:
    raise errors.InputError(f'--init_from {folder}: not one parameter fits this model')
  print(f'took {taken} arrays from {folder}')
  for path in left:
    print(f'  not there, stays as drawn: {path}')
  for path in unused:
    print(f'  not used: {path}')
  ema = None if state.ema is None else take(state.ema, given)[0]
  return state.replace(params=params, ema=ema)


def _tell_changes(before, after, path='config'):
  for name in sorted({*before, *after}):
    old, new = before.get(name), after.get(name)
    if isinstance(old, dict) and isinstance(new, dict):
      _tell_changes(old, new, f'{path}.{name}')
    elif old != new:
      print(f'changed since the checkpoint: {path}.{name} {old!r} -> {new!r}')
