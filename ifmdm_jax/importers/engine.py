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
is.

A table is read in both directions. So a pattern is made of literal text and of groups, and every
group stands in our path as well; `export` takes the first rule whose path fits.
"""

import functools
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
      value = rearrange(np.asarray(array), axes if isinstance(axes, str) else axes[0])
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


def export(params, rules, names=None):
  """Our params -> {their key: array}, the inverse of `convert`; a value keeps its dtype.

  Args:
    params: nested dict of arrays.
    rules: of the table.
    names: {our path: their key} where the original came with another name than the first rule's.

  Raises:
    InputError: parameters that no rule leads to, all in one line.
  """
  state, unknown = {}, []
  for path, value in flax.traverse_util.flatten_dict(params, sep=SEPARATOR).items():
    for pattern, ours, axes in rules:
      key = _name(path, pattern, ours)
      if key is not None and names:
        key = names.get(path, key)
      if key is not None:
        state[key] = np.array(rearrange(np.asarray(value), _back(axes)), order='C')
        break
    else:
      unknown.append(f'{path} {_shape(value)}')
  if unknown:
    raise InputError(
      f'{len(unknown)} parameters have no name in the original ({"; ".join(unknown)}): check --kind'
    )
  return state


def sort(state, rules, params):
  """What became of a state dict that `convert` took.

  Returns:
    {our path: their key} of what `params` hold, and {their key: array} of all the rest: nothing
    reads it, an export hands it back.
  """
  held = flax.traverse_util.flatten_dict(params, sep=SEPARATOR)
  names, unused = {}, {}
  for key, array in state.items():
    path, _ = translate(key, rules) or (None, None)
    if path in held:
      names[path] = key
    else:
      unused[key] = np.asarray(array)
  return names, unused


def _name(path, pattern, ours):
  """Their name of our path by this rule, or None.

  Also where a part of their name cannot be told from ours: such a table gives the exact rule too.
  """
  found = _inverse(pattern, ours)
  match = found and re.fullmatch(found[0], path)
  if not match:
    return None
  name = ''.join(match[f'g{piece}'] if isinstance(piece, int) else piece for piece in found[1])
  return name if re.fullmatch(pattern, name) else None


@functools.cache
def _inverse(pattern, path):
  """(pattern of our path, pieces of their name: a text, or the number of a group), or None."""
  pieces = re.split(r'\(([^()]*)\)', pattern)  # text, group, text, ...
  groups = dict(enumerate(pieces[1::2], 1))
  ours, seen = '', set()
  for text, number in re.findall(r'([^\\]+)|\\(\d)', path):
    if text:
      ours += re.escape(text)
    else:
      ours += f'(?P=g{number})' if number in seen else f'(?P<g{number}>{groups[int(number)]})'
      seen.add(number)
  if len(seen) != len(groups):
    return None
  theirs = [re.sub(r'\\(.)', r'\1', text) for text in pieces[::2]]
  return ours, theirs[:1] + [x for pair in enumerate(theirs[1:], 1) for x in pair]


def fir_kernel(gain=1):
  """StyleGAN2's filter as its PyTorch versions store it, float32 [4, 4], for exports."""
  taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32)
  return taps / taps.sum() * np.float32(gain)


def strip_wrapper(key):
  """`module.enc.fc.0.weight` -> `enc.fc.0.weight`."""
  return key.removeprefix('module.')


def strip_all(state):
  """Every name of a state dict without the wrapper."""
  return {strip_wrapper(key): value for key, value in state.items()}


def translate(name, rules):
  """Their name -> (our path, axes) by the first rule that matches, or None."""
  for pattern, path, axes in rules:
    match = re.fullmatch(pattern, name)
    if match:
      return match.expand(path), axes
  return None


def rearrange(array, axes):
  """Transpose, drop and add unit axes as 'OIHW->HWIO' or '1C11->C' say; or the function given."""
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


def _back(axes):
  return '->'.join(reversed(axes.split('->'))) if isinstance(axes, str) else axes[1]


def _shape(array):
  return 'x'.join(map(str, array.shape)) or 'scalar'


def _report(missing, extra, misshapen):
  found = [('missing', missing), ('extra', extra), ('misshapen', misshapen)]
  counts = ', '.join(f'{len(entries)} {kind}' for kind, entries in found)
  head = f'weights do not fit the model ({counts}): check the checkpoint and the model sizes'
  return '; '.join([head] + [f'{kind}: {entry}' for kind, entries in found for entry in entries])
