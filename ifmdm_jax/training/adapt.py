"""Fitting a trained model to one person by K frames: a short loop of its own, without a workdir.

  config.adapt = dict(steps=((1, 125), (30, 230)), batch=8, ema=0.972, optim=dict(peak_lr=5e-4))

The number of steps follows from K alone and not from epochs over the frames: too many destroy
expressions, too few leave a gap of identity (Burkov et al. 2020, section 4, give 125 steps for one
picture and 230 for thirty). Where held-out frames exist, the best parameters by them are returned,
with `from_start` the start, after no update, is one of them.
"""

import dataclasses
import functools
import itertools
import json
import math
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax import files
from ifmdm_jax.errors import InputError
from ifmdm_jax.training import contract, gradient, optim, program
from ifmdm_jax.training import state as states
from ifmdm_jax.training import step as steps
from ifmdm_jax.training.step import NotFinite

DEFAULTS = dict(
  steps=((1, 125), (30, 230)),  # (K, updates), ...; in between, and beyond, see `budget`
  batch=8,  # frames of an update, at most K
  seed=0,
  ema=0.972,  # decay of the average that is returned; 0: the parameters themselves
  eval_every=25,  # updates, where there are held-out frames
  metric='loss',  # of those, less is better; '-name': more is
  optim={},  # in place of config.optim, where there is any
  from_start=False,  # held-out frames may choose the start, too
  pieces=1,
  compute='float32',
  remat='',
)


@dataclasses.dataclass(frozen=True)
class Adapted:
  """What a fit gives.

  Attributes:
    params: averaged parameters, of the tree that the model's `adapt` made.
    extra: state that nothing trained, or None.
    steps: updates behind them.
    scores: {updates: {name: number}} on the held-out frames.
    losses: of every update, float [steps].
  """

  params: Any
  extra: Any
  steps: int
  scores: dict
  losses: np.ndarray


def budget(shots, points):
  """Counts updates for K shots: linear between (K, updates) points, constant beyond them."""
  known, updates = zip(*sorted(points), strict=True)
  return round(float(np.interp(shots, known, updates)))


def adapt(
  model, params, frames, config, *, extra=None, held_out=None, shots=None, kept=None, report=None
):
  """Fits a model to the person of K frames.

  Args:
    model: `contract.Adaptable`, and a Differentiable or an Adversarial on what its `adapt` makes.
    params: trained parameters, of the tree that `model.adapt` takes.
    frames: {name: [K, ...]}, what the model's loss takes as a batch.
    config: whole config: model, adapt, and optim for a Differentiable.
    extra: state of a Stateful model; None: as it initialises it.
    held_out: {name: [J, ...]}, frames of the same person that choose among the steps, or None.
    shots: pictures that the rows are made of, which the budget follows from; None: K.
    kept: file in which the fit is kept every `eval_every` updates; one that is there already, of
      the same model, frames and config, goes on from there. None: nowhere.
    report: function (updates, of how many, {name: number} on the held-out frames or of the update),
      called after every update.

  Returns:
    `Adapted`.

  Raises:
    InputError: the model cannot be adapted, or the arrays of `frames` differ in length.
    NotFinite: the loss or a gradient became NaN or infinite.
  """
  contract.check(model, 'config.model.module', contract.Adaptable)
  settings = optim.overlay('adapt', DEFAULTS, config.get('adapt', {}))
  rows = _length(frames)
  total = budget(shots or rows, settings.steps)
  if settings.optim:
    config = config.copy_and_resolve_references()
    config.optim = settings.optim
  if isinstance(model, contract.Stateful):
    if extra is None:
      extra = model.init_extra(program.fresh_key(settings.seed), config.model)
    begun, extra = model.adapt(params, frames, config.model, extra=extra)
  else:
    begun = model.adapt(params, frames, config.model)
  state, update, frozen = _prepare(model, begun, extra, config, settings, total)
  measure = jax.jit(program.measurement(model, config.model))
  held_out = held_out and {name: jnp.asarray(values) for name, values in held_out.items()}
  key = jax.random.key(settings.seed)
  losses, scores, best = [], {}, None

  def scored(done, best):
    rest = (held_out, jax.random.key(0), state.step, frozen)
    row = measure(state.averaged, state.extra, *rest)
    scores[done] = {name: float(value) for name, value in row.items()}
    if best is None or _score(scores[done], settings.metric) < _score(
      scores[best.steps], settings.metric
    ):
      return _kept(state, done, scores, losses)
    return best

  if kept is not None and pathlib.Path(kept).exists():
    state, losses, scores, best = _resumed(kept, state, best)
    if best is not None:
      best = dataclasses.replace(best, scores=scores)
  elif held_out and (settings.from_start or not total):
    best = scored(0, best)
  batches = itertools.islice(
    _batches(rows, settings.batch, total, settings.seed), len(losses), None
  )
  for done, chosen in enumerate(batches, len(losses) + 1):
    batch = {name: jnp.asarray(values[chosen]) for name, values in frames.items()}
    state, metrics = update(state, batch, jax.random.fold_in(key, done), frozen)
    if float(metrics['skipped']):
      raise NotFinite(f'not finite at update {done} of {total}: lower the learning rate')
    losses.append(_loss(metrics))
    due = done == total or done % settings.eval_every == 0
    if held_out and due:
      best = scored(done, best)
    if kept is not None and due:
      _keep(kept, state, losses, scores, best)
    if report is not None:
      report(done, total, scores.get(done, {'loss': losses[-1]}))
  best = best or _kept(state, total, scores, losses)
  return dataclasses.replace(best, losses=np.array(losses))


def _keep(path, state, losses, scores, best):
  """Writes what a fit needs to go on."""
  about = dict(losses=losses, scores=scores, best=None if best is None else best.steps)
  kept = None if best is None else (best.params, best.extra)
  leaves = jax.device_get(jax.tree.leaves((state, kept)))
  tree = {f'{number:05d}': np.asarray(leaf) for number, leaf in enumerate(leaves)}
  files.write_arrays(path, tree, metadata={'fit': json.dumps(about)})


def _resumed(path, state, best):
  """Reads what `_keep` wrote: (state, losses, scores, best)."""
  about = json.loads(files.read_metadata(path)['fit'])
  scores = {int(done): row for done, row in about['scores'].items()}
  like = (state, None if about['best'] is None else (state.averaged, state.extra))
  leaves, structure = jax.tree.flatten(like)
  arrays = files.read_arrays(path)
  found = [jnp.asarray(arrays[name], leaf.dtype) for name, leaf in zip(sorted(arrays), leaves)]
  state, kept = jax.tree.unflatten(structure, found)
  if kept is not None:
    best = Adapted(*kept, about['best'], scores, np.array(about['losses']))
  return state, about['losses'], scores, best


def _prepare(model, params, extra, config, settings, total):
  """(state, jitted update, frozen) of a fit."""
  of = dict(compute=settings.compute, remat=settings.remat, pieces=settings.pieces)
  options = dict(
    config=config.model,
    ema=settings.ema,
    gradient=functools.partial(gradient.value_and_grad, **of),
  )
  if isinstance(model, contract.Differentiable):
    tx, lr = optim.make(optim.settings(config), total, params)
    update, init = steps.from_loss(model.loss, tx, lr, **options), tx.init
  else:
    each = program.optimizers(model, config)
    update = steps.from_adversary(model.step, each, **options)
    init = lambda params: {name: tx.init(params[name]) for name, tx in each.items()}
  frozen = model.frozen(config.model) if isinstance(model, contract.Frozen) else None
  fresh = jax.tree.map(jnp.copy, (params, extra))  # updates donate the state, never the caller's
  state = states.create(fresh[0], init, settings.ema > 0, fresh[1])
  return state, jax.jit(update, donate_argnums=0), frozen


def _length(frames):
  lengths = {name: len(values) for name, values in frames.items()}
  if len(set(lengths.values())) != 1 or not min(lengths.values()):
    raise InputError(f'frames of one person have {lengths} rows, expected K >= 1 of each')
  return next(iter(lengths.values()))


def _batches(shots, batch, total, seed):
  """Row numbers of each update: all frames in a new order, again and again."""
  rng, size = np.random.default_rng(seed), min(shots, batch)
  rounds = math.ceil(total * size / shots) + 1
  order = np.concatenate([rng.permutation(shots) for _ in range(rounds)])
  for index in range(total):
    yield order[index * size : (index + 1) * size]


def _loss(metrics):
  """What is minimised: the loss, or the first figure of an adversarial step."""
  return float(metrics.get('loss', next(iter(metrics.values()))))


def _score(figures, metric):
  """Less is better."""
  name = metric.removeprefix('-')
  if name not in figures:
    known = ', '.join(figures)
    raise InputError(f'config.adapt.metric is {metric!r}, held-out frames give {known}')
  return -figures[name] if metric.startswith('-') else figures[name]


def _kept(state, done, scores, losses):
  params, extra = jax.tree.map(jnp.copy, (state.averaged, state.extra))
  return Adapted(params, extra, done, scores, np.array(losses))
