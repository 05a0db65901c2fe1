"""What the trainer asks of a model, a loader and a preview, written down.

A module is the usual implementation: its functions are the protocol's methods. What a model can do
besides learning is a protocol of its own, so that the loop asks `isinstance(model, Pictures)` and
no name stands anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

from ifmdm_jax.errors import InputError

Tree = Any  # nested dicts of arrays


@runtime_checkable
class Differentiable(Protocol):
  """A model with one loss, wherever its parameters come from. `config` is config.model."""

  def loss(self, params, batch, rng, *, config, step, frozen) -> tuple[Any, dict]:
    """Returns (scalar, {name: scalar}); `step` is an int32 scalar that counts from 0.

    A `Stateful` model also takes `extra=` and returns (scalar, ({name: scalar}, new extra)).
    """


@runtime_checkable
class Trainable(Differentiable, Protocol):
  """A model with one loss that is trained from fresh parameters."""

  def init(self, rng, config) -> Tree:
    """Draws fresh parameters; traced, no side effects."""


@runtime_checkable
class Adversarial(Protocol):
  """A model of several networks that learn against each other; `params` is a dict of them."""

  def init(self, rng, config) -> dict[str, Tree]: ...

  def optimizers(self, config) -> dict[str, Any]:
    """Makes {name: optax transformation}, names as those of params, of the whole config."""

  def step(self, state, batch, rng, *, config, frozen, optimizers, gradient) -> tuple[Any, dict]:
    """Makes one update: (state.replace(params=..., opt_state=..., extra=...), {name: scalar}).

    The loop itself counts `state.step` and averages `state.ema`. `gradient(loss)` turns
    loss(params, batch, rng, **rest) -> (scalar, aux) into ((scalar, aux), gradient), in pieces and
    in half precision as config.train says; see `gradient.value_and_grad` for `extra`. The norm of
    every gradient belongs among the metrics: an update with one that is not finite is left out.
    """


@runtime_checkable
class Stateful(Protocol):
  """A model that carries state which no gradient trains (power iteration, codebook averages)."""

  def init_extra(self, rng, config) -> Tree:
    """Makes the state before the first step, from the key that `init` gets."""


@runtime_checkable
class Frozen(Protocol):
  """A model that reads constant weights (VGG, ...)."""

  def frozen(self, config) -> Tree:
    """Loads them; they are never trained, saved or averaged."""


@runtime_checkable
class Begins(Protocol):
  """A model of several stages, that makes something of the parameters of the stage before."""

  def begin(self, params, config) -> Tree:
    """Returns the parameters that a run starts with, of those that --init_from gave it."""


@runtime_checkable
class Evaluated(Protocol):
  """A model whose validation figures are not those of its loss."""

  def evaluate(self, params, batch, rng, *, config, frozen) -> dict:
    """Returns {name: scalar}; a `Stateful` model also takes `extra=`."""


@runtime_checkable
class Pictures(Protocol):
  """A model that shows what it does."""

  def pictures(self, params, batch, config) -> dict:
    """Draws {name: uint8 [H, W, 3]}; a `Stateful` model also takes `extra=`."""


@runtime_checkable
class Example(Protocol):
  """A model that can be planned without data."""

  def example(self, config, batch) -> dict:
    """Returns {name: ShapeDtypeStruct} of a batch of so many rows."""


@runtime_checkable
class Adaptable(Protocol):
  """A model that can be fitted to one person; see `training.adapt`."""

  def adapt(self, params, frames, config) -> Tree:
    """Turns trained parameters and K frames of a person into the start of a fine-tuning.

    The result is what the model's `loss` or `step` trains from there on: the same tree, or another
    one (a style vector that becomes free, a row of a table that stands for the person). A
    `Stateful` model also takes `extra=`, its trained state, and returns (params, extra).

    Args:
      frames: {name: [K, ...]}, rows of a batch.
    """


class Loader(Protocol):
  """An iterator over dicts of NumPy arrays [batch, ...], as grain's DatasetIterator is one."""

  def __iter__(self) -> Iterator[dict]: ...
  def __next__(self) -> dict: ...
  def get_state(self) -> Any: ...  # can be written as JSON
  def set_state(self, state) -> None: ...


@runtime_checkable
class Data(Protocol):
  """The module that config.data names."""

  make_loader: Callable[..., Loader]


@runtime_checkable
class Preview(Protocol):
  """The module that config.preview names."""

  def histograms(self, params, batch, config) -> dict:
    """Returns {name: numbers}."""

  def videos(self, params, config) -> Iterable:
    """Yields (name, frames uint8 [T, H, W, 3], waveform, rate in Hz)."""


def check(module, name, *protocols):
  """Returns a module that fulfils one of the protocols.

  Raises:
    InputError: it fulfils none; the message names what is missing of the nearest.
  """
  if any(isinstance(module, protocol) for protocol in protocols):
    return module
  missing = min((_missing(module, protocol) for protocol in protocols), key=len)
  raise InputError(
    f'{name} has no {", ".join(missing)}: expected '
    f'{" or ".join(protocol.__name__ for protocol in protocols)}, see training/contract.py'
  )


def _missing(module, protocol):
  own = lambda each: {*vars(each), *getattr(each, '__annotations__', {})}
  members = set().union(*map(own, protocol.__mro__))
  return sorted(name for name in members if name[0] != '_' and name not in dir(module))
