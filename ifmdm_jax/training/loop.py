"""The trainer, from top to bottom: data, model, shardings, step, restore, evaluate, loop."""

import functools
import json
import pathlib
import signal
import threading
import time

import jax
import numpy as np

from ifmdm_jax import errors
from ifmdm_jax.training import data as loading
from ifmdm_jax.training import hardware, hosts, program, sharding
from ifmdm_jax.training import logs as logging
from ifmdm_jax.training.checkpoints import Checkpoints, load, read_weights, take

DEFAULTS = program.DEFAULTS


class NotFinite(ArithmeticError):
  """The loss or a gradient became NaN or infinite; the message is one line."""


def train(config, workdir, *, init_from=None, max_minutes=None, devices=None):
  """Trains up to config.train.steps, going on from the latest checkpoint in `workdir`.

  Args:
    config: model, data, optim, train and, if wanted, mesh, sharding and preview; see the package.
    workdir: folder for checkpoints, log.csv, tensorboard, pictures and videos; made if absent.
    init_from: another workdir whose averaged parameters a new run starts from, or a file of a
      release, *.safetensors; config.train.take chooses among them.
    max_minutes: stop with a checkpoint after so long, to go on with the same command.
    devices: of this run; all by default.

  Returns the TrainState. Ctrl-C and SIGTERM save and return as well, in all processes.
  Raises InputError on a config or workdir that cannot work and on data that vanish, NotFinite as
  soon as one is seen (see config.train.skip_not_finite), CannotSave if the last save failed.
  """
  began = time.monotonic()
  settings = program.settings(config)
  workdir = pathlib.Path(workdir).absolute()
  workdir.mkdir(parents=True, exist_ok=True)

  # Model, shardings, step: all abstract ---------------------------------------------------------
  run = program.build(config, devices)
  model = run.model

  # Data -----------------------------------------------------------------------------------------
  make_loader = functools.partial(
    program.module(config, 'data').make_loader,
    config.data,
    batch=settings.batch // jax.process_count(),
    seed=settings.seed,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
  loader = iter(make_loader(split='train'))
  place = functools.partial(sharding.put_batch, sharding.batch_sharding(run.mesh))

  # Restore --------------------------------------------------------------------------------------
  key = jax.random.key(settings.seed)
  keep = dict(keep=settings.keep, keep_every=settings.keep_every, keep_best=settings.keep_best)
  checkpoints = Checkpoints(workdir, **keep)
  trained = 0.0  # seconds, in the runs before this one
  if checkpoints.latest_step is not None:
    state, meta = checkpoints.restore(run.shapes, run.shardings)
    positions = meta['data'] if isinstance(meta['data'], list) else [meta['data']]
    loader.set_state(loading.share_out(positions, jax.process_count())[jax.process_index()])
    trained = meta['seconds']
    hosts.say(f'resumed from {checkpoints.folder} at step {int(state.step)}')
    _tell_changes(meta['config'], json.loads(config.to_json()))
  else:
    state = run.init(program.fresh_key(settings.seed))  # straight into its shardings
    if init_from:
      state = _start_from(state, init_from, settings.take)
  frozen = program.frozen(run, config)
  start = int(state.step)
  kind = run.mesh.devices.flat[0].device_kind
  hosts.say(f'{program.count(run.shapes.params):,} parameters on {run.mesh.size} x {kind}')
  if start >= settings.steps:
    hosts.say(f'nothing to do: config.train.steps is {settings.steps}')

  # Evaluate -------------------------------------------------------------------------------------
  def averaged(state):
    return state.params if state.ema is None else state.ema

  def evaluate(state, logs):
    found = []
    for index, batch in zip(range(settings.eval_batches), make_loader(split='val')):
      rng = jax.random.fold_in(jax.random.key(0), index)  # the same noise every time
      found.append(run.measure(averaged(state), place(batch), rng, state.step, frozen))
    if not found:
      raise errors.InputError("the loader's split 'val' has not one whole batch: lower train.batch")
    figures = _mean(found)
    logs.validation(int(state.step), figures)
    return figures

  def show(state, logs, pictures, videos):
    """Pictures by the model, histograms and videos by config.preview; by one process alone."""
    params = hosts.local(averaged(state), run.mesh)
    if not hosts.first():
      return
    step, batch = int(state.step), next(iter(make_loader(split='val')))
    batch = jax.device_put(batch, jax.local_devices()[0])
    if pictures and hasattr(model, 'pictures'):
      logs.pictures(step, model.pictures(params, batch, config.model))
    if 'preview' in config:
      preview = program.module(config, 'preview')
      logs.histograms(step, preview.histograms(params, batch, config))
      if videos:
        logs.videos(step, preview.videos(params, config))

  # Loop -----------------------------------------------------------------------------------------
  def seconds():
    return trained + time.monotonic() - began

  def save(done, state, data, figures):
    extra = dict(data=data, seconds=seconds(), figures=figures)
    checkpoints.save(done, state, config=config, **extra)

  rng = jax.random.fold_in(key, 1)
  signals, votes = _StopSignals(), hosts.Votes(run.mesh, questions=2)
  healthy = _Health(settings.skip_not_finite, checkpoints)
  batches = loading.Prefetch(loader, place)
  logs = logging.Logs(
    workdir, start=start, steps=settings.steps, seconds=trained,
    weights=logging.weights_of(config.model), wandb=settings.wandb, config=config,
  )  # fmt: skip
  with checkpoints, logs, batches, signals:
    update, pending, window, saved_at = None, None, [], time.monotonic()
    done = start
    while done < settings.steps:
      try:
        batch = next(batches)
      except loading.DataLost as error:
        if done == start or jax.process_count() > 1:  # alone, one process can save nothing
          raise
        save(done, state, batches.state, None)
        raise loading.DataLost(f'{error}; step {done} is saved') from error
      if update is None:
        rngs = jax.random.fold_in(rng, done)
        update = run.update.lower(state, batch, rngs, frozen).compile()
        peak = settings.peak_tflops or getattr(hardware.of(kind), 'tflops', 0.0)
        logs.speed(hardware.flops(update, settings.pieces), 1e12 * peak)
      state, metrics = update(state, batch, jax.random.fold_in(rng, done), frozen)
      # One step behind, so that the device never waits for this check.
      if pending is not None:
        window += healthy(done - 1, pending)
      pending, done = metrics, done + 1
      logs.step()

      last = done == settings.steps
      minutes = (time.monotonic() - began) / 60
      over = max_minutes is not None and minutes >= max_minutes
      late = time.monotonic() - saved_at >= 60 * settings.save_every_minutes
      stop, late = votes(signals.seen or over, late)
      ends = last or stop
      judge = settings.eval_every and (last or _due(done, settings.eval_every))
      draw = settings.pictures_every and (last or _due(done, settings.pictures_every))
      film = settings.videos_every and (last or _due(done, settings.videos_every))
      log = ends or _due(done, settings.log_every)
      keep = ends or late or _due(done, settings.save_every_steps)
      keep = keep or (judge and settings.keep_best)
      if log or keep or judge or draw or film:  # nothing unchecked is averaged, saved or shown
        window += healthy(done - 1, pending)
        pending = None
      if log and window:
        speed = dict(batch=settings.batch, waited=batches.waited, seconds=seconds())
        logs.train(done, _mean(window), **speed)
        window = []
      figures = evaluate(state, logs) if judge else None
      if keep:
        save(done, state, batches.state, figures)
        saved_at = time.monotonic()
      if draw or film:
        show(state, logs, draw, film)
      if stop and not last:
        break
  if done < settings.steps:
    why = signals.seen or (f'{max_minutes:g} minutes are over' if over else 'another process stops')
    hosts.say(f'{why}: saved step {done}; the same command goes on from there')
  return state


class _StopSignals:
  """`seen` names the first SIGTERM (preemption) or Ctrl-C; a second one acts as ever."""

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


class _Health:
  """Metrics of a step as numbers on the host, or none where the update was left out."""

  def __init__(self, allowed, checkpoints):
    self._allowed, self._checkpoints, self._in_a_row = allowed, checkpoints, 0

  def __call__(self, step, metrics):
    """[metrics] or []; waits for the step to end. NotFinite after too many in a row."""
    metrics = {name: float(value) for name, value in jax.device_get(metrics).items()}
    if not metrics.pop('skipped'):
      self._in_a_row = 0
      return [metrics]
    self._in_a_row += 1
    bad = [f'{name} = {value}' for name, value in metrics.items() if not np.isfinite(value)]
    what = f'not finite at step {step}: {", ".join(bad)}'
    if self._in_a_row > self._allowed:
      raise NotFinite(
        f'{what}; {self._checkpoints.saved()}; lower config.optim.peak_lr or clip_norm, look at'
        ' the data, or let config.train.skip_not_finite leave such updates out'
      )
    hosts.say(f'warning: {what}; update left out, {self._in_a_row} of {self._allowed} in a row')
    return []


def _mean(rows):
  rows = [jax.device_get(row) for row in rows]
  return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _due(step, every):
  return every > 0 and step % every == 0


def _start_from(state, source, patterns):
  if str(source).endswith('.safetensors'):
    if not pathlib.Path(source).is_file():
      raise errors.InputError(f'--init_from {source}: expected a file of weights, there is none')
    given = read_weights(source)
  else:
    _, given = load(source)
  params, left, unused = take(state.params, given, patterns)
  taken = len(jax.tree.leaves(params)) - len(left)
  if not taken:
    raise errors.InputError(f'--init_from {source}: not one parameter fits this model')
  hosts.say(f'took {taken} arrays from {source}')
  for path in left:
    hosts.say(f'  not taken, stays as drawn: {path}')
  for path in unused:
    hosts.say(f'  not used: {path}')
  ema = None if state.ema is None else take(state.ema, given, patterns)[0]
  return state.replace(params=params, ema=ema)


def _tell_changes(before, after, path='config'):
  for name in sorted({*before, *after}):
    old, new = before.get(name), after.get(name)
    if isinstance(old, dict) and isinstance(new, dict):
      _tell_changes(old, new, f'{path}.{name}')
    elif old != new:
      hosts.say(f'changed since the checkpoint: {path}.{name} {old!r} -> {new!r}')
