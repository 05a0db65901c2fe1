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


def take(params, given, patterns=(), names=()):
  """Replaces every leaf of `params` that `given` has, under its own path or a mapped one.

  Args:
    params: nested dict of arrays, on their shardings.
    given: nested dict of arrays; a leaf of another shape is not taken.
    patterns: regular expressions; with some, only paths of `params` that one of them is found in.
    names: (ours, theirs), ...: a path that begins with `ours` is looked for in `given` with
      `theirs` there instead, as in ('control/', 'base/'); the first that fits counts.

  Returns:
    (params, paths of `params` left as they were, paths of `given` not used).
  """
  given = states.by_path(given)
  source = {path: _mapped(path, names) for path in states.by_path(params)}
  wanted = lambda path: not patterns or any(re.search(pattern, path) for pattern in patterns)

  def fits(path, leaf):
    theirs = source[path]
    return theirs in given and given[theirs].shape == leaf.shape and wanted(path)

  def choose(path, leaf):
    if not fits(path, leaf):
      return leaf
    new = np.asarray(given[source[path]], leaf.dtype)
    # Copies: parameters and average are donated, and may not share a buffer.
    return jax.make_array_from_callback(leaf.shape, leaf.sharding, lambda part: new[part].copy())

  taken = {path for path, leaf in states.by_path(params).items() if fits(path, leaf)}
  used = {source[path] for path in taken}
  left = [path for path in source if path not in taken]
  return states.map_with_path(choose, params), left, [p for p in given if p not in used]


def _mapped(path, names):
  return next((theirs + path[len(ours) :] for ours, theirs in names if path.startswith(ours)), path)
