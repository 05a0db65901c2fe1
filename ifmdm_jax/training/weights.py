"""Parameters without a training run: files of a release, and what a new run takes from another."""

import re

import flax.traverse_util
import jax
import numpy as np

from ifmdm_jax.training import state as states


def write_weights(path, params):
  """Parameters as one safetensors file in half precision; names are paths."""
  from safetensors.numpy import save_file

  arrays = {name: np.asarray(leaf, np.float16) for name, leaf in states.by_path(params).items()}
  save_file(arrays, path)


def read_weights(path):
  """The inverse of `write_weights`, in float32."""
  from safetensors.numpy import load_file

  arrays = {name: array.astype(np.float32) for name, array in load_file(path).items()}
  return flax.traverse_util.unflatten_dict(arrays, sep='/')


def take(params, given, patterns=()):
  """`params` with every leaf replaced that `given` has under the same path and shape.

  With `patterns` only paths that one of them is found in. Returns (params, paths of `params` left
  as they were, paths of `given` not used).
  """
  given = states.by_path(given)
  wanted = lambda path: not patterns or any(re.search(pattern, path) for pattern in patterns)
  fits = lambda path, leaf: path in given and given[path].shape == leaf.shape and wanted(path)

  def choose(path, leaf):
    if not fits(path, leaf):
      return leaf
    new = np.asarray(given[path], leaf.dtype)
    # Copies: parameters and average are donated, and may not share a buffer.
    return jax.make_array_from_callback(leaf.shape, leaf.sharding, lambda part: new[part].copy())

  taken = {path for path, leaf in states.by_path(params).items() if fits(path, leaf)}
  left = [path for path in states.by_path(params) if path not in taken]
  return states.map_with_path(choose, params), left, [p for p in given if p not in taken]
