"""Foreign weights come through a table: one engine reads every table, in both directions.

A table is two lists:

  RULES = [  # original                    path                        axes
      ('enc.fc.{i}.weight',                'motion_head/fc_{i}/kernel', 'OI->IO'),
      ('dec.{head:to_flows|to_rgbs}.bias', 'synthesis/{head}/bias',     '1C11->C'),
  ]
  IGNORED = [  # original                  reason
      ('*.noise.weight',                   'noise is never passed'),
  ]

A name in braces stands for a part that both names share: one letter for a number, a longer name for
letters, digits and underscores, `{head:a|b}` for one of several words, `{i+1}` in our path where
the original counts from 0 and we from 1. `*` is anything, in IGNORED alone. A name has to match as
a whole. Ignored ones come first (one that is too wide shows up as a missing entry), then the first
rule that matches. The axes are one letter each, `1` for an axis of size one that goes away or
appears ('1C11->C'); without an arrow ('') the array stays as it is.
"""

import functools
import re

import flax.traverse_util
import numpy as np

from ifmdm_jax.errors import InputError

SEPARATOR = '/'
PLACEHOLDER = re.compile(r'\{(\w+)(\+1)?(?::([^{}]*))?\}')


def convert(state, rules, ignored, target):
  """Fills params of the tree, shapes and dtypes of `target` from a foreign state dict.

  Args:
    state: {their key: array}; a leading `module.` (of a data-parallel wrapper) is stripped.
    rules: [(their name, our path, axes)].
    ignored: [(their name, reason)], entries that are known and not wanted.
    target: nested dict of arrays or ShapeDtypeStructs (`jax.eval_shape` of init).

  Raises:
    InputError: one error that lists every missing, extra and misshapen entry.
  """
  wanted = flax.traverse_util.flatten_dict(target, sep=SEPARATOR)
  got, source, extra, misshapen = {}, {}, [], []
  for key, array in state.items():
    name = strip_wrapper(key)
    if any(matches(pattern, name) for pattern, _ in ignored):
      continue
    place = translate(name, rules)
    if place is None:
      extra.append(f'{key} {_shape(array)}: no rule')
      continue
    path, axes = place
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
  """Writes our params as {their key: array}, the inverse of `convert`; a value keeps its dtype.

  Args:
    params: nested dict of arrays.
    rules: of the table.
    names: {our path: their key} where the original came with another name than the first rule's.

  Raises:
    InputError: parameters that no rule leads to, all in one line.
  """
  state, unknown = {}, []
  for path, value in flax.traverse_util.flatten_dict(params, sep=SEPARATOR).items():
    for original, own, axes in rules:
      parts = _row(original, own).parts_of_own(path)
      if parts is not None:
        key = (names or {}).get(path, fill(original, parts))
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
  """Sorts what became of a state dict that `convert` took.

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


class _Row:
  """Both names of a rule as patterns with named groups."""

  def __init__(self, original, own):
    words = {name: words for name, _, words in PLACEHOLDER.findall(original) if words}
    names = [{name for name, *_ in PLACEHOLDER.findall(text)} for text in (original, own)]
    if names[0] != names[1]:
      lost = ', '.join(sorted(names[0] ^ names[1]))
      raise ValueError(f'{original} -> {own}: {lost} stands on one side alone, expected on both')
    self.original, self.own = _pattern(original, words), _pattern(own, words)
    self.shifted = {name for name, plus, _ in PLACEHOLDER.findall(own) if plus}

  def parts_of_original(self, name):
    """Returns {placeholder: text} of their name, or None."""
    match = self.original.fullmatch(name)
    return match and match.groupdict()

  def parts_of_own(self, path):
    """Returns {placeholder: text} of our path, as they count, or None."""
    match = self.own.fullmatch(path)
    if not match:
      return None
    less = lambda name, text: str(int(text) - 1) if name in self.shifted else text
    return {name: less(name, text) for name, text in match.groupdict().items()}


_row = functools.cache(_Row)


def _pattern(text, words):
  """A name with placeholders as a compiled pattern; a placeholder means the same wherever it is."""
  pieces, end, seen = [], 0, set()
  for match in PLACEHOLDER.finditer(text):
    name = match[1]
    kind = words.get(name) or match[3] or (r'\d+' if len(name) == 1 else r'\w+')
    pieces.append(re.escape(text[end : match.start()]))
    pieces.append(f'(?P={name})' if name in seen else f'(?P<{name}>{kind})')
    seen.add(name)
    end = match.end()
  pieces.append(re.escape(text[end:]))
  return re.compile(''.join(pieces))


def fill(text, parts):
  """Fills the placeholders of a name: fill('block_{i+1}/bias', {'i': '2'}) is block_3/bias."""
  number = lambda match: str(int(parts[match[1]]) + 1) if match[2] else parts[match[1]]
  return PLACEHOLDER.sub(number, text)


@functools.cache
def _ignored(text):
  return re.compile(_pattern(text, {}).pattern.replace(r'\*', '.*'))


def matches(text, name):
  """Says whether a name of the original is one that `text` stands for; `*` is anything."""
  return bool(_ignored(text).fullmatch(name))


def fir_kernel(gain=1):
  """Makes StyleGAN2's filter as its PyTorch versions store it, float32 [4, 4], for exports."""
  taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32)
  return taps / taps.sum() * np.float32(gain)


def strip_wrapper(key):
  """Strips a wrapper: `module.enc.fc.0.weight` -> `enc.fc.0.weight`."""
  return key.removeprefix('module.')


def strip_all(state):
  """Strips the wrapper off every name of a state dict."""
  return {strip_wrapper(key): value for key, value in state.items()}


def translate(name, rules):
  """Translates their name -> (our path, axes) by the first rule that matches, or None."""
  for original, own, axes in rules:
    parts = _row(original, own).parts_of_original(name)
    if parts is not None:
      return fill(own, parts), axes
  return None


def rearrange(array, axes):
  """Transposes, drops and adds unit axes as 'OIHW->HWIO' or '1C11->C' say, or by a function."""
  if callable(axes):
    return axes(array)
  if '->' not in axes:
    return array
  before, after = axes.split('->')
  if array.ndim != len(before):
    raise ValueError(f'expected {len(before)} axes ({axes})')
  if any(letter == '1' and size != 1 for letter, size in zip(before, array.shape, strict=True)):
    raise ValueError(f'expected size 1 where {axes} says 1')
  kept = before.replace('1', '')
  array = array.reshape([n for letter, n in zip(before, array.shape, strict=True) if letter != '1'])
  array = array.transpose([kept.index(letter) for letter in after if letter != '1'])
  sizes = iter(array.shape)
  return array.reshape([1 if letter == '1' else next(sizes) for letter in after])


def _back(axes):
  return '->'.join(reversed(axes.split('->'))) if isinstance(axes, str) else axes[1]


def _shape(array):
  return 'x'.join(map(str, array.shape)) or 'scalar'


def _report(missing, extra, misshapen):
  groups = [('missing', missing), ('extra', extra), ('misshapen', misshapen)]
  counts = ', '.join(f'{len(entries)} {kind}' for kind, entries in groups)
  head = f'weights do not fit the model ({counts}): check the checkpoint and the model sizes'
  return '; '.join([head] + [f'{kind}: {entry}' for kind, entries in groups for entry in entries])
