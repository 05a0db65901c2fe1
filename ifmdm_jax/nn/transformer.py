"""Transformer blocks over tokens in time, with causal and key masks and a key/value cache.

Sources: Vaswani et al. 2017, "Attention Is All You Need"; Peebles & Xie 2023, "Scalable Diffusion
Models with Transformers" (DiT), section 3.2 (adaLN-Zero).
Axes: B batch, K tokens, D width, N heads.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ifmdm_jax.errors import InputError

dense_init = nn.initializers.xavier_uniform()
zeros = nn.initializers.zeros


def norm(x):
  """Applies layer norm without scale and shift."""
  centred = x - x.mean(-1, keepdims=True)
  return centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-6)


def modulate(x, shift, scale):
  """Scales and shifts: x * (1 + scale) + shift, all [B, K, D]."""
  return x * (1 + scale) + shift


class Cache(NamedTuple):
  """Keys and values of the last tokens that a causal attention has seen, a ring of L places.

  Attributes:
    key, value: [B, L, N, D / N].
    position: int32 [B, L], place in time of each token; -1 where there is none.
    length: int32 [], tokens seen so far.
  """

  key: jax.Array
  value: jax.Array
  position: jax.Array
  length: jax.Array


def empty_cache(batch, places, heads, head_width, dtype=jnp.float32):
  """Makes a cache of `places` tokens that has seen nothing; one for each block."""
  shape = (batch, places, heads, head_width)
  return Cache(
    jnp.zeros(shape, dtype),
    jnp.zeros(shape, dtype),
    jnp.full((batch, places), -1, jnp.int32),
    jnp.zeros((), jnp.int32),
  )


class Attention(nn.Module):
  """Self-attention over tokens: [B, K, D] -> [B, K, D].

  Attributes:
    heads: N.
    causal: whether a token sees itself and earlier ones alone.
    window: how many of the last tokens a causal one sees, itself among them; None: all. A cache of
      at least so many places gives what the whole sequence would.
  """

  heads: int
  causal: bool = False
  window: int | None = None

  @nn.compact
  def __call__(self, x, valid=None, cache=None):
    """Attends within x, or within the cached tokens and x.

    Args:
      x: [B, K, D].
      valid: bool [B, K], tokens that may be attended to; None: all.
      cache: `Cache` of the tokens before x, of a causal attention; K may be any number.

    Returns:
      [B, K, D]; with a cache ([B, K, D], the cache with x in it).

    Raises:
      InputError: a cache and no causal attention, or one of fewer places than the window.
    """
    b, k, d = x.shape
    qkv = nn.Dense(3 * d, kernel_init=dense_init, name='qkv')(x)
    q, key, value = jnp.unstack(qkv.reshape(b, k, 3, self.heads, d // self.heads), axis=2)
    if cache is not None:
      self._check(cache)
    mask = None if valid is None else valid[:, None, None, :]
    if self.causal:
      place = jnp.arange(k, dtype=jnp.int32) + (0 if cache is None else cache.length)
      position = jnp.broadcast_to(place, (b, k))
      position = position if valid is None else jnp.where(valid, position, -1)
      if cache is not None:
        new = Cache(key, value, position, cache.length + k)
        key = jnp.concatenate([cache.key, key], axis=1)
        value = jnp.concatenate([cache.value, value], axis=1)
        position = jnp.concatenate([cache.position, position], axis=1)
        cache = _store(cache, new)
      mask = self._mask(place, position)
    x = jax.nn.dot_product_attention(q, key, value, mask=mask)
    x = nn.Dense(d, kernel_init=dense_init, name='out')(x.reshape(b, k, d))
    return x if cache is None else (x, cache)

  def _mask(self, query, position):
    """bool [B, 1, K, S]: keys at int [B, S] that queries at int [K] see."""
    query, position = query[None, :, None], position[:, None, :]
    seen = (position >= 0) & (position <= query)
    if self.window is not None:
      seen = seen & (position > query - self.window)
    return seen[:, None]

  def _check(self, cache):
    places = cache.position.shape[1]
    if not self.causal or (self.window is not None and places < self.window):
      raise InputError(
        f'a cache of {places} places for causal={self.causal}, window={self.window}: expected a'
        ' causal attention whose window fits into the cache'
      )


def _store(cache, new):
  """The cache with new tokens in the places of the oldest ones."""
  places, count = cache.position.shape[1], new.position.shape[1]
  kept = min(places, count)  # of more tokens than places, the last
  slots = (new.length - kept + jnp.arange(kept, dtype=jnp.int32)) % places
  put = lambda old, fresh: old.at[:, slots].set(fresh[:, count - kept :].astype(old.dtype))
  return Cache(
    put(cache.key, new.key),
    put(cache.value, new.value),
    put(cache.position, new.position),
    new.length,
  )


class Mlp(nn.Module):
  """Dense, GELU (tanh), Dense with four times the width between them."""

  @nn.compact
  def __call__(self, x):
    d = x.shape[-1]
    x = nn.gelu(nn.Dense(4 * d, kernel_init=dense_init, name='up')(x), approximate=True)
    return nn.Dense(d, kernel_init=dense_init, name='down')(x)


class ModulatedBlock(nn.Module):
  """Attention, then an MLP; the condition of each token modulates both (adaLN-Zero).

  Attributes: see `Attention`.
  """

  heads: int
  causal: bool = False
  window: int | None = None

  @nn.compact
  def __call__(self, x, cond, valid=None, cache=None):
    """x, cond: [B, K, D]; valid, cache and what is returned as those of `Attention`."""
    modulation = nn.Dense(6 * x.shape[-1], kernel_init=zeros, bias_init=zeros, name='modulation')(
      nn.silu(cond)
    )
    shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = jnp.split(modulation, 6, axis=-1)
    attention = Attention(self.heads, self.causal, self.window, name='attention')
    y, cache = _pair(attention(modulate(norm(x), shift_a, scale_a), valid, cache))
    x = x + gate_a * y
    x = x + gate_m * Mlp(name='mlp')(modulate(norm(x), shift_m, scale_m))
    return x if cache is None else (x, cache)


class Block(nn.Module):
  """Attention, then an MLP, each after a learned layer norm; conditions are added to the tokens.

  Attributes: see `Attention`.
  """

  heads: int
  causal: bool = False
  window: int | None = None

  @nn.compact
  def __call__(self, x, valid=None, cache=None):
    """x: [B, K, D]; valid, cache and what is returned as those of `Attention`."""
    attention = Attention(self.heads, self.causal, self.window, name='attention')
    y, cache = _pair(attention(nn.LayerNorm(name='norm_attention')(x), valid, cache))
    x = x + y
    x = x + Mlp(name='mlp')(nn.LayerNorm(name='norm_mlp')(x))
    return x if cache is None else (x, cache)


def _pair(result):
  return result if isinstance(result, tuple) else (result, None)


class ModulatedOutput(nn.Module):
  """Modulated norm and the output projection: [B, K, D] -> [B, K, channels]."""

  channels: int

  @nn.compact
  def __call__(self, x, cond):
    modulation = nn.Dense(2 * x.shape[-1], kernel_init=zeros, name='modulation')(nn.silu(cond))
    shift, scale = jnp.split(modulation, 2, axis=-1)
    linear = nn.Dense(self.channels, kernel_init=zeros, name='linear')
    return linear(modulate(norm(x), shift, scale))
