"""What a config asks for before any array exists: mesh, shapes, shardings, compiled functions."""

import contextlib
import dataclasses
import functools
import importlib
import re
from typing import Any

import jax

from ifmdm_jax import errors, extras
from ifmdm_jax.training import contract, gradient, optim, sharding
from ifmdm_jax.training import state as states
from ifmdm_jax.training import step as steps

DEFAULTS = dict(
  steps=100_000,
  batch=16,  # over all devices
  seed=0,
  ema=0.999,  # decay of the average; 0: none is kept
  ema_ramp=True,  # at most (1 + step) / (10 + step), so that the start is forgotten
  pieces=1,  # of a batch, one after the other, whose gradients are added
  compute='float32',  # or 'bfloat16': of matrix products; parameters stay float32
  remat='',  # or 'products': see gradient.value_and_grad
  take=(),  # patterns of what --init_from gives; empty: everything that fits
  take_names=(),  # (here, there): paths that begin with `here` are taken from where `there` is
  skip_not_finite=0,  # so many updates in a row may be left out before the run stops
  log_every=50,
  eval_every=0,  # 0: never
  eval_batches=8,
  pictures_every=0,
  videos_every=0,  # by config.preview.module
  save_every_minutes=5.0,
  save_every_steps=0,  # besides the minutes
  keep=2,  # latest checkpoints
  keep_every=0,  # steps; those checkpoints stay for ever
  keep_best='',  # a figure of the validation, less is better; '-name': more is
  peak_tflops=0.0,  # of one device, for MFU; 0: as known of the device, see hardware.py
  wandb='',  # project on Weights & Biases, needs the extra `wandb`
)


@dataclasses.dataclass(frozen=True)
class Program:
  """The abstract run. `shapes` and `shardings` are TrainStates; functions are jitted.

  init(key) -> state; update(state, batch, rng, frozen) -> (state, metrics), which donates the
  state; measure(params, extra, batch, rng, step, frozen) -> metrics.
  """

  model: Any
  mesh: jax.sharding.Mesh
  shapes: states.TrainState
  shardings: states.TrainState
  everywhere: jax.NamedSharding
  init: Any
  update: Any
  measure: Any


def defaults(**changes):
  """Returns DEFAULTS with changes, for a config whose every setting can be a flag."""
  return dict(optim.overlay('train', DEFAULTS, changes))


def settings(config):
  """Returns config.train with its defaults.

  Raises:
    InputError: a name is unknown, or a number cannot be one of its kind.
  """
  train = optim.overlay('train', DEFAULTS, config.get('train', {}))
  for name, default in DEFAULTS.items():
    value = train[name]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool | str | tuple) or value is None:
      continue
    whole = isinstance(default, int)
    if not number or not 0 <= value < 2**63 or (whole and value != int(value)):
      raise errors.InputError(
        f'config.train.{name} is {value!r}, expected a {"whole " * whole}number, not negative'
      )
  if train.seed >= 2**32:
    raise errors.InputError(f'config.train.seed is {train.seed}, expected less than 2**32')
  return train


PROTOCOLS = {
  'model': (contract.Trainable, contract.Adversarial),
  'data': (contract.Data,),
  'preview': (contract.Preview,),
}


def module(config, section):
  """Imports the module that config.model, .data or .preview names, and checks that it fits."""
  name = config[section].module
  if not isinstance(name, str) or not re.fullmatch(r'[\w.]+', name):
    raise errors.InputError(f'config.{section}.module is {name!r}, expected the name of a module')
  try:
    imported = importlib.import_module(name)
  except ModuleNotFoundError as error:
    said = extras.missing(error) or f'config.{section}.module {name!r}: {error}'
    raise errors.InputError(said) from error
  return contract.check(imported, f'config.{section}.module {name!r}', *PROTOCOLS[section])


def fresh_key(seed):
  """Makes a key for fresh weights, whose programs compile in a fifth of Threefry's time.

  The same weights on any number of devices; others on another kind of device or version of XLA.
  """
  return jax.random.key(seed, impl='rbg')


@contextlib.contextmanager
def fitting(what):
  """Turns whatever is raised while shapes are made of a config into an InputError.

  No array exists yet: what fails here are sizes that do not fit each other, or the data.
  """
  try:
    yield
  except (errors.InputError, ModuleNotFoundError, OSError):
    raise
  except Exception as error:  # JAX, Flax, optax and re each raise their own
    lines = str(error).strip().splitlines() or ['']
    raise errors.InputError(
      f'{what} does not fit together: {type(error).__name__}: {lines[0]}: change the sizes that '
      'were changed last'
    ) from error


def build(config, devices=None):
  """Builds the Program of a config; nothing is computed.

  Args:
    config: model, optim, train, and maybe mesh and sharding.
    devices: all by default.

  Raises:
    InputError: it cannot be built.
  """
  with fitting('the config'):
    return _build(config, devices)


def _build(config, devices):
  train = settings(config)
  mesh = sharding.make_mesh(config.get('mesh', {'data': -1}), devices)
  sharding.check_batch(mesh, train.batch, train.pieces)

  # Model
  model = module(config, 'model')
  key = fresh_key(train.seed)
  params = jax.eval_shape(lambda rng: model.init(rng, config.model), key)
  of = dict(compute=train.compute, remat=train.remat, pieces=train.pieces)
  options = dict(
    config=config.model,
    ema=train.ema,
    ramp=train.ema_ramp,
    gradient=functools.partial(gradient.value_and_grad, **of),
  )
  if isinstance(model, contract.Trainable):
    tx, lr = optim.make(optim.settings(config), train.steps, params)
    init_optimizer = tx.init
    update = steps.from_loss(model.loss, tx, lr, **options)
  else:
    each = optimizers(model, config)
    init_optimizer = lambda params: {name: tx.init(params[name]) for name, tx in each.items()}
    lr = config.get('optim', {}).get('peak_lr')
    update = steps.from_adversary(model.step, each, **options, lr=lr)

  def init(rng):
    extra = model.init_extra(rng, config.model) if isinstance(model, contract.Stateful) else None
    return states.create(model.init(rng, config.model), init_optimizer, train.ema > 0, extra)

  # Shardings
  everywhere = sharding.replicated(mesh)
  shapes = jax.eval_shape(init, key)
  shardings = sharding.tree_shardings(mesh, config.get('sharding', ()), shapes)

  return Program(
    model=model,
    mesh=mesh,
    shapes=shapes,
    shardings=shardings,
    everywhere=everywhere,
    init=jax.jit(init, out_shardings=shardings),
    update=jax.jit(update, donate_argnums=0, out_shardings=(shardings, everywhere)),
    measure=jax.jit(measurement(model, config.model), out_shardings=everywhere),
  )


def optimizers(model, config):
  """Makes {name: transformation} of an Adversarial."""
  return {name: optim.lenient(tx) for name, tx in model.optimizers(config).items()}


def frozen(program, config):
  """Loads the constant weights of the model onto every device, or None."""
  if not isinstance(program.model, contract.Frozen):
    return None
  return jax.device_put(program.model.frozen(config.model), program.everywhere)


def count(params):
  """Counts the numbers in a tree of arrays or shapes."""
  return sum(leaf.size for leaf in jax.tree.leaves(params))


def with_extra(model, extra):
  """Keywords that hand a Stateful model its state; none for any other."""
  return {'extra': extra} if isinstance(model, contract.Stateful) else {}


def measurement(model, config):
  """Makes (params, extra, batch, rng, step, frozen) -> metrics: its `evaluate`, else its `loss`."""

  def measure(params, extra, batch, rng, step, frozen):
    rest = dict(config=config, frozen=frozen, **with_extra(model, extra))
    if isinstance(model, contract.Evaluated):
      return model.evaluate(params, batch, rng, **rest)
    value, metrics = model.loss(params, batch, rng, step=step, **rest)
    if isinstance(model, contract.Stateful):
      metrics, _ = metrics  # what a validation would change of the state is dropped
    return {'loss': value, **metrics}

  return measure
