"""Foreign weights come through a table: one engine reads every table.

A table is two lists:

  RULES = [  # theirs                         ours                      axes
      (r'enc\\.fc\\.(\\d+)\\.weight',            r'motion_head/fc_\\1/kernel', 'OI->IO'),
  ]
  IGNORED = [  # theirs                       reason
      (r'.*\\.noise\\.weight',                  'noise is never passed'),
  ]

A pattern has to match the whole of a key. Ignored patterns come first (one that is too wide shows
up as a missing entry), then the first rule that matches. The axes are one letter each, `1` for an
axis of size one that goes away or appears ('1C11->C'); without an arrow ('') the array stays as it
is, and a function may stand in for anything stranger.
"""

import re

import flax.traverse_util
import numpy as np

from ifmdm_jax.errors import InputError

SEPARATOR = '/'


def convert(state, rules, ignored, target):
  """Foreign state dict -> params with the tree, shapes and dtypes of `target`.

  Args:
    state: {their key: array}; a leading `module.` (of a data-parallel wrapper) is stripped.
    rules: [(pattern of theirs, path of ours, axes)].
    ignored: [(pattern of theirs, reason)], entries that are known and not wanted.
    target: nested dict of arrays or ShapeDtypeStructs (`jax.eval_shape` of init).

  Raises:
    InputError: one error that lists every missing, extra and misshapen entry.
  """
  wanted = flax.traverse_util.flatten_dict(target, sep=SEPARATOR)
  got, source, extra, misshapen = {}, {}, [], []
  for key, array in state.items():
    name = strip_wrapper(key)
    if any(re.fullmatch(pattern, name) for pattern, _ in ignored):
      continue
    found = translate(name, rules)
    if found is None:
      extra.append(f'{key} {_shape(array)}: no rule')
      continue
    path, axes = found
    if path not in wanted:
      extra.append(f'{key} {_shape(array)}: the model has no {path}')
      continue
    if path in source:
      extra.append(f'{key} {_shape(array)}: {path} is already filled by {source[path]}')
      continue
    source[path] = key
    try:
      value = rearrange(np.asarray(array), axes)
    except ValueError as error:
      misshapen.append(f'{key} {_shape(array)}: {error}')
      continue
    if value.shape != tuple(wanted[path].shape):
      expected = _shape(wanted[path])
      misshapen.append(f'{key} {_shape(array)} gives {path} {_shape(value)}, expected {expected}')
      continue
    got[path] = value.astype(wanted[path].dtype)
  missing = [f'{path} {_shape(wanted[path])}' for path in wanted if path not in source]
  if missing or extra or misshapen:
    raise InputError(_report(missing, extra, misshapen))
  return flax.traverse_util.unflatten_dict({path: got[path] for path in wanted}, sep=SEPARATOR)


def strip_wrapper(key):
  """`module.enc.fc.0.weight` -> `enc.fc.0.weight`."""
  return key.removeprefix('module.')


def translate(name, rules):
  """Their name -> (our path, axes) by the first rule that matches, or None."""
  for pattern, path, axes in rules:
    match = re.fullmatch(pattern, name)
    if match:
      return match.expand(path), axes
  return None


def rearrange(array, axes):
  """Transpose, drop and add unit axes as 'OIHW->HWIO' or '1C11->C' say."""
  if callable(axes):
    return axes(array)
  if '->' not in axes:
    return array
  theirs, ours = axes.split('->')
  if array.ndim != len(theirs):
    raise ValueError(f'expected {len(theirs)} axes ({axes})')
  if any(letter == '1' and size != 1 for letter, size in zip(theirs, array.shape, strict=True)):
    raise ValueError(f'expected size 1 where {axes} says 1')
  kept = theirs.replace('1', '')
  array = array.reshape([n for letter, n in zip(theirs, array.shape, strict=True) if letter != '1'])
  array = array.transpose([kept.index(letter) for letter in ours if letter != '1'])
  sizes = iter(array.shape)
  return array.reshape([1 if letter == '1' else next(sizes) for letter in ours])


def _shape(array):
  return 'x'.join(map(str, array.shape)) or 'scalar'


def _report(missing, extra, misshapen):
  found = [('missing', missing), ('extra', extra), ('misshapen', misshapen)]
  counts = ', '.join(f'{len(entries)} {kind}' for kind, entries in found)
  head = f'weights do not fit the model ({counts}): check the checkpoint and the model sizes'
  return '; '.join([head] + [f'{kind}: {entry}' for kind, entries in found for entry in entries])
