"""The layers of `ifmdm_jax.nn` a second time, in float64 NumPy, by their formulas alone."""

import jax
import numpy as np
import scipy.special


def conv(x, kernel, bias=0.0, stride=1, pad=0):
  """Cross-correlation: x [B, H, W, C], kernel [h, w, C, O]."""
  x = np.pad(np.float64(x), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
  h, w = kernel.shape[:2]
  rows, columns = ((n - m) // stride + 1 for n, m in zip(x.shape[1:3], (h, w)))
  out = np.zeros((len(x), rows, columns, kernel.shape[3]))
  for i in range(rows):
    for j in range(columns):
      part = x[:, i * stride : i * stride + h, j * stride : j * stride + w]
      out[:, i, j] = np.einsum('bhwc,hwco->bo', part, np.float64(kernel))
  return out + bias


def group_norm(x, scale, bias, groups, epsilon):
  x = np.float64(x)
  parts = np.stack(np.split(x, groups, axis=-1), axis=-2)  # [..., G, C / G]
  axes = (*range(1, x.ndim - 1), x.ndim)
  parts = (parts - parts.mean(axes, keepdims=True)) / np.sqrt(
    parts.var(axes, keepdims=True) + epsilon
  )
  return parts.reshape(x.shape) * scale + bias


def layer_norm(x, scale, bias, epsilon):
  x = np.float64(x)
  return (x - x.mean(-1, keepdims=True)) / np.sqrt(
    x.var(-1, keepdims=True) + epsilon
  ) * scale + bias


def silu(x):
  return x * scipy.special.expit(x)


def gelu(x):
  return 0.5 * x * (1 + scipy.special.erf(x / np.sqrt(2)))


def softmax(x):
  e = np.exp(x - x.max(-1, keepdims=True))
  return e / e.sum(-1, keepdims=True)


def attention(q, k, v, heads, mask=True):
  """q [B, Q, D], k, v [B, K, D] -> [B, Q, D], one head after the other."""
  out = []
  split = [np.split(np.float64(a), heads, axis=-1) for a in (q, k, v)]
  for query, key, value in zip(*split):
    scores = np.einsum('bqd,bkd->bqk', query, key) / np.sqrt(query.shape[-1])
    out.append(softmax(np.where(mask, scores, -np.inf)) @ value)
  return np.concatenate(out, axis=-1)


def dense(x, layer):
  return np.float64(x) @ np.float64(layer['kernel']) + np.float64(layer.get('bias', 0.0))


def timestep_features(t, width):
  """[cos, sin] of t times frequencies from 1 down to nearly 1/10000."""
  rates = np.exp(-np.log(10_000) * np.arange(width // 2) / (width // 2))
  angles = np.float64(t)[:, None] * rates
  return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def drawn(module, *inputs, scale=0.3, seed=0, **options):
  """Variables of a Flax module, all drawn from a normal distribution; nothing is compiled."""
  shapes = jax.eval_shape(lambda key: module.init(key, *inputs, **options), jax.random.key(0))
  return redrawn(shapes, scale, seed)


def redrawn(tree, scale=0.3, seed=0):
  """The same tree with other numbers, float32."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda leaf: np.float32(rng.normal(0, scale, leaf.shape)), tree)


def begun(module, *inputs, **options):
  """Variables as a module initialises them, by the random generator that compiles quickly."""
  key = jax.random.key(0, impl='rbg')
  return jax.jit(lambda key: module.init(key, *inputs, **options))(key)
