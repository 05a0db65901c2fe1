"""Fitting a trained model to one person by K frames: a short loop of its own, without a workdir.

  config.adapt = dict(steps=((1, 125), (30, 230)), batch=8, ema=0.972, optim=dict(peak_lr=5e-4))

The number of steps follows from K alone and not from epochs over the frames: too many destroy
expressions, too few leave a gap of identity (Burkov et al. 2020, section 4, give 125 steps for one
picture and 230 for thirty). Where held-out frames exist, the best parameters by them are returned.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.training import contract, gradient, optim, program
from ifmdm_jax.training import state as states
from ifmdm_jax.training import step as steps
from ifmdm_jax.training.loop import NotFinite

DEFAULTS = dict(
  steps=((1, 125), (30, 230)),  # (K, updates), ...; in between, and beyond, see `budget`
  batch=8,  # frames of an update, at most K
  seed=0,
  ema=0.972,  # decay of the average that is returned; 0: the parameters themselves
  eval_every=25,  # updates, where there are held-out frames
  metric='loss',  # of those, less is better; '-name': more is
  optim={},  # in place of config.optim, where there is any
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


def adapt(model, params, frames, config, *, extra=None, held_out=None):
  """Fits a model to the person of K frames.

  Args:
    model: `contract.Adaptable`, and a Trainable or an Adversarial on what its `adapt` makes.
    params: trained parameters, of the tree that `model.adapt` takes.
    frames: {name: [K, ...]}, what the model's loss takes as a batch.
    config: whole config: model, adapt, and optim for a Trainable.
    extra: state of a Stateful model; None: as it initialises it.
    held_out: {name: [J, ...]}, frames of the same person that choose among the steps, or None.

  Returns:
    `Adapted`.

  Raises:
    InputError: the model cannot be adapted, or the arrays of `frames` differ in length.
    NotFinite: the loss or a gradient became NaN or infinite.
  """
  contract.check(model, 'config.model.module', contract.Adaptable)
  settings = optim.overlay('adapt', DEFAULTS, config.get('adapt', {}))
  shots = _length(frames)
  total = budget(shots, settings.steps)
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
  key = jax.random.key(settings.seed)
  losses, scores, best = [], {}, None
  for done, rows in enumerate(_batches(shots, settings.batch, total, settings.seed), 1):
    batch = {name: jnp.asarray(values[rows]) for name, values in frames.items()}
    state, metrics = update(state, batch, jax.random.fold_in(key, done), frozen)
    if float(metrics['skipped']):
      raise NotFinite(f'not finite at update {done} of {total}: lower the learning rate')
    losses.append(_loss(metrics))
    if held_out is not None and (done == total or done % settings.eval_every == 0):
      rows = {name: jnp.asarray(values) for name, values in held_out.items()}
      row = measure(state.averaged, state.extra, rows, jax.random.key(0), state.step, frozen)
      scores[done] = {name: float(value) for name, value in row.items()}
      score = _score(scores[done], settings.metric)
      if best is None or score < _score(scores[best.steps], settings.metric):
        best = _kept(state, done, scores, losses)
  best = best or _kept(state, total, scores, losses)
  return dataclasses.replace(best, losses=np.array(losses))


def _prepare(model, params, extra, config, settings, total):
  """(state, jitted update, frozen) of a fit."""
  of = dict(compute=settings.compute, remat=settings.remat, pieces=settings.pieces)
  options = dict(
    config=config.model,
    ema=settings.ema,
    gradient=functools.partial(gradient.value_and_grad, **of),
  )
  if isinstance(model, contract.Trainable):
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
