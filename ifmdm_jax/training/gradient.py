"""Gradients of any loss as config.train asks: in pieces, in half precision, in less memory."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax import errors

MATRIX_PRODUCTS = ('dot_general', 'conv_general_dilated')


def value_and_grad(loss, *, pieces=1, compute='float32', remat=''):
  """Turns loss(params, batch, rng, **rest) -> (scalar, aux) into ... -> ((scalar, aux), gradient).

  Called with `extra=`, state that nothing trains, the loss takes it and has (aux, new extra) in
  place of aux; each piece of a batch begins with what the one before left.

  Args:
    loss: pure; aux is a tree of scalars and of arrays whose first axis is the batch.
    pieces: so many parts of the batch, one after the other; their values, gradients and scalars
      are averaged, arrays are put together again in the batch's order. What a loss takes over the
      whole batch (a mean over masked frames, minibatch statistics) it then takes over a part.
    compute: 'bfloat16' for parameters and inputs of matrix products; see `in_half`.
    remat: 'products' keeps only the results of matrix products and convolutions for the backward
      pass and makes the rest again; '' keeps everything.

  Returns the function; gradients have the dtype of params, float32.
  """
  if remat not in ('', 'products'):
    raise errors.InputError(f"config.train.remat is {remat!r}, expected '' or 'products'")
  if compute == 'bfloat16':
    loss = in_half(loss, jnp.bfloat16)
  elif compute != 'float32':
    raise errors.InputError(
      f"config.train.compute is {compute!r}, expected 'float32' or 'bfloat16'"
    )

  def one(params, batch, rng, **rest):
    of_params = lambda p: loss(p, batch, rng, **rest)
    if remat:
      of_params = jax.checkpoint(of_params, policy=_is_product)
    return jax.value_and_grad(of_params, has_aux=True)(params)

  return one if pieces == 1 else functools.partial(_in_pieces, one, pieces)


def in_half(loss, dtype):
  """Makes a loss that casts parameters, and inputs of every layer with a kernel, to `dtype`.

  Parameters stay float32 outside, and so do gradients; means, sums and variances of jnp are taken
  in float32. Where half precision meets float32 the result is float32, so residual streams that
  begin in float32 stay so.
  """

  def cast(tree, wanted=dtype):
    is_float = lambda x: jnp.issubdtype(jnp.result_type(x), jnp.floating)
    return jax.tree.map(lambda x: x.astype(wanted) if is_float(x) else x, tree)

  def intercept(layer, args, kwargs, context):
    if context.method_name == '__call__' and context.module.has_variable('params', 'kernel'):
      args = tuple(cast(x) if isinstance(x, jax.Array) else x for x in args)
    return layer(*args, **kwargs)

  def halved(params, batch, rng, **rest):
    with nn.intercept_methods(intercept), jax.numpy_dtype_promotion('standard'):
      return cast(loss(cast(params), batch, rng, **rest), jnp.float32)

  return halved


def _in_pieces(one, pieces, params, batch, rng, *, extra=None, **rest):
  # Rows i * pieces + j make piece j: each device cuts its own rows, and none has to travel.
  def cut(x):
    if len(x) % pieces:
      raise errors.InputError(
        f'config.train.pieces is {pieces}, expected a divisor of the batch of {len(x)}'
      )
    return x.reshape(len(x) // pieces, pieces, *x.shape[1:]).swapaxes(0, 1)

  def join(x):  # [pieces], or [pieces, B / pieces, ...]
    return x.mean(0) if x.ndim == 1 else x.swapaxes(0, 1).reshape(-1, *x.shape[2:])

  def add(carry, piece):
    total, extra = carry
    index, rows = piece
    state = {} if extra is None else {'extra': extra}
    (value, aux), grads = one(params, rows, jax.random.fold_in(rng, index), **rest, **state)
    aux, extra = (aux, None) if extra is None else aux
    return (jax.tree.map(jnp.add, total, grads), extra), (value, aux)

  zeros = jax.tree.map(jnp.zeros_like, params)
  parts = jnp.arange(pieces), jax.tree.map(cut, batch)
  (total, after), results = jax.lax.scan(add, (zeros, extra), parts)
  value, aux = jax.tree.map(join, results)
  aux = aux if extra is None else (aux, after)
  return (value, aux), jax.tree.map(lambda g: g / pieces, total)


def _is_product(primitive, *_, **__):
  return primitive.name in MATRIX_PRODUCTS
