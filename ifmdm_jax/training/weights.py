"""Parameters without a training run: files of weights, and what a new run takes from another."""

import re

import jax
import numpy as np

from ifmdm_jax import files
from ifmdm_jax.training import state as states


def write(path, params):
  """Writes parameters as one safetensors file in half precision; `files.read_arrays` reads it."""
  files.write_arrays(
    path, {name: leaf for name, leaf in states.by_path(params).items()}, np.float16
  )


def take(params, source, patterns=(), names=()):
  """Replaces every leaf of `params` that `source` has, under its own path or a mapped one.

  Args:
    params: nested dict of arrays, on their shardings.
    source: nested dict of arrays; a leaf of another shape is not taken.
    patterns: regular expressions; with some, only paths of `params` that one of them is found in.
    names: (here, there), ...: a path that begins with `here` is looked up in `source` with `there`
      in its place, as in ('control/', 'base/'); the first that fits counts.

  Returns:
    (params, paths of `params` left as they were, paths of `source` not used).
  """
  source = states.by_path(source)
  origin = {path: _mapped(path, names) for path in states.by_path(params)}
  wanted = lambda path: not patterns or any(re.search(pattern, path) for pattern in patterns)

  def fits(path, leaf):
    new = source.get(origin[path])
    return new is not None and new.shape == leaf.shape and wanted(path)

  def choose(path, leaf):
    if not fits(path, leaf):
      return leaf
    new = np.asarray(source[origin[path]], leaf.dtype)
    # Copies: parameters and average are donated, and may not share a buffer.
    return jax.make_array_from_callback(leaf.shape, leaf.sharding, lambda part: new[part].copy())

  taken = {path for path, leaf in states.by_path(params).items() if fits(path, leaf)}
  used = {origin[path] for path in taken}
  left = [path for path in origin if path not in taken]
  return states.map_with_path(choose, params), left, [path for path in source if path not in used]


def _mapped(path, names):
  return next((there + path[len(here) :] for here, there in names if path.startswith(here)), path)
