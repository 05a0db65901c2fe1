"""The trainer, from top to bottom: data, model, shardings, step, restore, evaluate, loop."""

import dataclasses
import functools
import json
import pathlib
import time

import jax
import numpy as np

from ifmdm_jax import errors, files
from ifmdm_jax.training import contract, hardware, hosts, program, sharding, weights
from ifmdm_jax.training import data as loading
from ifmdm_jax.training import logs as logging
from ifmdm_jax.training.checkpoints import Checkpoints, load, load_extra
from ifmdm_jax.training.due import Clock, Due, StopSignals
from ifmdm_jax.training.step import NotFinite


def train(config, workdir, *, init_from=None, max_minutes=None, devices=None):
  """Trains up to config.train.steps, going on from the latest checkpoint in `workdir`.

  Args:
    config: model, data, optim, train and, if wanted, mesh, sharding and preview; see the package.
    workdir: folder for checkpoints, log.csv, tensorboard, pictures and videos; need not exist.
    init_from: another workdir whose averaged parameters a new run starts from, or a file of
      weights, *.safetensors; config.train.take and take_names choose among them.
    max_minutes: stop with a checkpoint after so long, to go on with the same command.
    devices: of this run; all by default.

  Returns the TrainState. Ctrl-C and SIGTERM save and return as well, in all processes.
  Raises InputError on a config or workdir that cannot work and on data that vanish, NotFinite as
  soon as one is seen (see config.train.skip_not_finite), CannotSave if the last save failed.
  """
  began = time.monotonic()
  settings = program.settings(config)
  workdir = pathlib.Path(workdir).absolute()
  with errors.explained('a folder for the run', workdir):
    workdir.mkdir(parents=True, exist_ok=True)

  # Model, shardings, step: all abstract ---------------------------------------------------------
  run = program.build(config, devices)

  # Data -----------------------------------------------------------------------------------------
  make_loader = functools.partial(
    program.module(config, 'data').make_loader,
    config.data,
    batch=settings.batch // jax.process_count(),
    seed=settings.seed,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
  with program.fitting('config.data'):
    loading.check_size(make_loader, settings.batch // jax.process_count())
    loader = iter(make_loader(split='train'))
    held_out = not watched(settings) or next(iter(make_loader(split='val')), None) is not None
  if not held_out:
    hosts.say('note: nobody is held out: no validation, pictures are of clips that are trained on')
  place = functools.partial(sharding.put_batch, sharding.batch_sharding(run.mesh))

  # Restore --------------------------------------------------------------------------------------
  keep = dict(keep=settings.keep, keep_every=settings.keep_every, keep_best=settings.keep_best)
  checkpoints = Checkpoints(workdir, **keep)
  if checkpoints.latest_step is not None:
    state, trained = _resume(checkpoints, run, loader, config)
  else:
    state, trained = run.init(program.fresh_key(settings.seed)), 0.0  # straight into its shardings
    if init_from:
      state = _start_from(state, init_from, settings, run.model, config)
  frozen = program.frozen(run, config)
  kind = run.mesh.devices.flat[0].device_kind
  hosts.say(f'{program.count(run.shapes.params):,} parameters on {run.mesh.size} x {kind}')
  if int(state.step) >= settings.steps:
    hosts.say(f'nothing to do: config.train.steps is {settings.steps}')

  # Loop -----------------------------------------------------------------------------------------
  clock = Clock(began, trained, max_minutes, settings.save_every_minutes)
  signals = StopSignals()
  batches = loading.Prefetch(loader, place)
  logs = logging.Logs(
    workdir, start=int(state.step), steps=settings.steps, seconds=trained,
    weights=logging.weights_of(config.model), wandb=settings.wandb, config=config,
  )  # fmt: skip
  watch = _Watch(config, settings, run, frozen, make_loader, place, logs, held_out)
  with checkpoints, logs, batches, signals:
    state = _loop(config, settings, state, watch, batches, checkpoints, clock, signals)
  if int(state.step) < settings.steps:
    why = signals.seen or clock.over() or 'another process stops'
    hosts.say(f'{why}: saved step {int(state.step)}; the same command goes on from there')
  return state


def watched(settings):
  """Says whether a run looks at clips that are held out."""
  return settings.eval_every or settings.pictures_every or settings.videos_every


def _loop(config, settings, state, watch, batches, checkpoints, clock, signals):
  """Updates the state until all steps are done or something stops the run."""
  run, logs, frozen = watch.run, watch.logs, watch.frozen
  rng = jax.random.fold_in(jax.random.key(settings.seed), 1)
  votes = hosts.Votes(run.mesh, questions=2)
  healthy = _Health(settings.skip_not_finite, checkpoints)
  update, pending, window = None, None, []
  start = done = int(state.step)

  def save(figures):
    rest = dict(data=batches.state, seconds=clock.seconds(), figures=figures)
    checkpoints.save(done, state, config=config, **rest)
    clock.saved()

  while done < settings.steps:
    try:
      batch = next(batches)
    except loading.DataLost as error:
      if done == start or jax.process_count() > 1:  # alone, one process can save nothing
        raise
      save(None)
      raise loading.DataLost(f'{error}; step {done} is saved') from error
    key = jax.random.fold_in(rng, done)
    if update is None:
      update = _compile(run, settings, logs, state, batch, key, frozen)
    state, metrics = update(state, batch, key, frozen)
    # One step behind, so that the device never waits for this check.
    if pending is not None:
      window += healthy(done - 1, pending)
    pending, done = metrics, done + 1
    logs.step()

    last = done == settings.steps
    stop, late = votes(bool(signals.seen or clock.over()), clock.late())
    due = Due.after(done, settings, last=last, stop=stop, late=late)
    if due:  # nothing unchecked is averaged, saved or drawn
      window += healthy(done - 1, pending)
      pending = None
    if due.log and window:
      speed = dict(batch=settings.batch, waited=batches.waited, seconds=clock.seconds())
      logs.train(done, _mean(window), **speed)
      window = []
    figures = watch.validate(state) if due.validate else None
    if due.save:
      save(figures)
    if due.pictures or due.videos:
      watch.draw(state, due.pictures, due.videos)
    if stop:
      break
  return state


def _compile(run, settings, logs, state, batch, key, frozen):
  """Compiles the update, and notes what it costs."""
  with program.fitting('the config with these data'):
    lowered = run.update.lower(state, batch, key, frozen)
  update = lowered.compile()
  kind = run.mesh.devices.flat[0].device_kind
  peak = settings.peak_tflops or getattr(hardware.of(kind), 'tflops', 0.0)
  logs.speed(hardware.flops(update, settings.pieces), 1e12 * peak)
  return update


@dataclasses.dataclass(frozen=True)
class _Watch:
  """Measures a state on held-out batches and draws it: pictures, histograms, videos."""

  config: object
  settings: object
  run: program.Program
  frozen: object
  make_loader: object
  place: object
  logs: logging.Logs
  held_out: bool

  def validate(self, state):
    """Returns and logs {name: mean over the batches}, always of the same noise; None: no clips."""
    if not self.held_out:
      return None
    rows, extra = [], state.extra
    for index, batch in zip(range(self.settings.eval_batches), self.make_loader(split='val')):
      rng = jax.random.fold_in(jax.random.key(0), index)
      inputs = self.place(batch), rng, state.step, self.frozen
      rows.append(self.run.measure(state.averaged, extra, *inputs))
    if not rows:
      raise errors.InputError("the loader's split 'val' has not one whole batch: lower train.batch")
    figures = _mean(rows)
    self.logs.validation(int(state.step), figures)
    return figures

  def draw(self, state, pictures, videos):
    """Pictures by the model, histograms and videos by config.preview; by one process alone."""
    model, config = self.run.model, self.config
    params, extra = hosts.local((state.averaged, state.extra), self.run.mesh)
    if not hosts.first():
      return
    split = 'val' if self.held_out else 'train'
    step, batch = int(state.step), next(iter(self.make_loader(split=split)))
    batch = jax.device_put(batch, jax.local_devices()[0])
    if pictures and isinstance(model, contract.Pictures):
      more = program.with_extra(model, extra)
      self.logs.pictures(step, model.pictures(params, batch, config.model, **more))
    if 'preview' in config:
      preview = program.module(config, 'preview')
      self.logs.histograms(step, preview.histograms(params, batch, config))
      if videos:
        self.logs.videos(step, preview.videos(params, config))


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


def _resume(checkpoints, run, loader, config):
  """(state, seconds trained before) of the latest checkpoint; the loader goes on from there."""
  state, meta = checkpoints.restore(run.shapes, run.shardings)
  positions = meta['data'] if isinstance(meta['data'], list) else [meta['data']]
  loader.set_state(loading.share_out(positions, jax.process_count())[jax.process_index()])
  hosts.say(f'resumed from {checkpoints.folder} at step {int(state.step)}')
  _report_changes(meta['config'], json.loads(config.to_json()))
  return state, meta['seconds']


def _start_from(state, source, settings, model, config):
  extra = None
  if str(source).endswith('.safetensors'):
    source_params = files.read_arrays(source)
  else:
    _, source_params = load(source)
    extra = None if state.extra is None else load_extra(source)
  choose = functools.partial(weights.take, patterns=settings.take, names=settings.take_names)
  params, left, unused = choose(state.params, source_params)
  taken = len(jax.tree.leaves(params)) - len(left)
  if not taken:
    raise errors.InputError(f'--init_from {source}: not one parameter fits this model')
  hosts.say(f'took {taken} arrays from {source}')
  for path in left:
    hosts.say(f'  not taken, stays as drawn: {path}')
  for path in unused:
    hosts.say(f'  not used: {path}')
  ema = None if state.ema is None else choose(state.ema, source_params)[0]
  if extra is not None:
    state = state.replace(extra=choose(state.extra, extra)[0])
  if isinstance(model, contract.Begins):
    params, ema = (x and model.begin(x, config.model) for x in (params, ema))
  return state.replace(params=params, ema=ema)


def _report_changes(before, after, path='config'):
  for name in sorted({*before, *after}):
    old, new = before.get(name), after.get(name)
    if isinstance(old, dict) and isinstance(new, dict):
      _report_changes(old, new, f'{path}.{name}')
    elif old != new:
      hosts.say(f'changed since the checkpoint: {path}.{name} {old!r} -> {new!r}')
