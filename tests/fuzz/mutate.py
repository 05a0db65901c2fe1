"""Damages bytes as disks, networks and strangers do; the same case is always the same damage."""

import random
import re

ODD = [b'0', b'-1', b'1e308', b'NaN', b'null', b'true', b'[]', b'{}', b'""', b'9' * 20, b'1.5',
       b'"\\u0000"', b'"../../x"', b'"/etc/passwd"', b'[[[[[[[[', b'"' + b'x' * 5000 + b'"',
       b'\xff\xfe', b'-0.0']  # fmt: skip
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]
TOKEN = re.compile(rb'"[^"]*"|-?\d+(?:\.\d+)?|true|false|null|[\[\]{}:,=]')


def mutate(data, seed):
  """Returns damaged bytes.

  Args:
    data: of a valid file.
    seed: of the damage, a whole number.
  """
  rng = random.Random(seed)
  data = bytearray(data)
  for _ in range(rng.choice([1, 1, 1, 2, 4])):
    data = rng.choice(KINDS)(data, rng)
  return bytes(data)


def _place(data, rng):
  """Any place; in half of the cases near the start, where headers are."""
  return rng.randrange(min(len(data), 256) if rng.random() < 0.5 else len(data)) if data else 0


def _flip(data, rng):
  for _ in range(rng.choice([1, 4, 32])):
    if data:
      data[_place(data, rng)] ^= 1 << rng.randrange(8)
  return data


def _cut(data, rng):
  return data[: _place(data, rng)]


def _drop(data, rng):
  at = _place(data, rng)
  del data[at : at + rng.choice([1, 4, 100, 4000])]
  return data


def _insert(data, rng):
  at = _place(data, rng)
  data[at:at] = rng.randbytes(rng.choice([1, 4, 100, 4000]))
  return data


def _repeat(data, rng):
  at = _place(data, rng)
  data[at:at] = data[at : at + rng.choice([4, 64, 1000])] * rng.choice([1, 3, 50])
  return data


def _number(data, rng):
  size, at = rng.choice([1, 2, 4, 8]), _place(data, rng)
  number = rng.choice(NUMBERS) % 256**size
  data[at : at + size] = number.to_bytes(size, rng.choice(['little', 'big']))
  return data


def _zeros(data, rng):
  at = _place(data, rng)
  size = min(rng.choice([4, 64, 4000]), len(data) - at)
  data[at : at + size] = bytes(size)
  return data


def _token(data, rng):
  found = list(TOKEN.finditer(data))
  if not found:
    return _flip(data, rng)
  match = rng.choice(found)
  data[match.start() : match.end()] = rng.choice(ODD)
  return data


def _swap(data, rng):
  found = list(TOKEN.finditer(data))
  if len(found) < 2:
    return _flip(data, rng)
  one, other = sorted(rng.sample(found, 2), key=lambda match: match.start())
  return (
    data[: one.start()] + other[0] + data[one.end() : other.start()] + one[0] + data[other.end() :]
  )


KINDS = [_flip, _cut, _drop, _insert, _repeat, _number, _number, _zeros, _token, _token, _swap]
