"""Protects a few bits: a checksum, and a convolutional code that is decoded from soft values.

A tail-biting code of constraint length 15 and rate 1/6, of the polynomials that a space probe had
(Cassini): from 44 bits come 264, and noise that turns a third of them is mended.
"""

import functools

import numpy as np

POLYNOMIALS = 0o46321, 0o51271, 0o70535, 0o63667, 0o73277, 0o76513
MEMORY = 14  # bits
CHECK = 12  # bits
CHECK_POLYNOMIAL = 0x80F
WRAPS = 3  # times that a decoder goes round a word


def checksum(bits):
  """Computes the CRC-12 of bits, as bits."""
  register = 0xFFF
  for bit in bits:
    top = (register >> (CHECK - 1)) ^ int(bit)
    register = ((register << 1) & 0xFFF) ^ (CHECK_POLYNOMIAL if top & 1 else 0)
  return to_bits(register, CHECK)


def to_bits(number, count):
  """Writes a whole number as bits, the highest first: uint8 [count]."""
  return np.array([number >> place & 1 for place in reversed(range(count))], np.uint8)


def to_number(bits):
  """Reads bits, the highest first."""
  return int(''.join(str(int(bit)) for bit in bits), 2)


@functools.cache
def _signs():
  """Makes what the code sends for each window of 15 bits: +-1, float32 [2^15, 6]."""
  windows = np.arange(1 << (MEMORY + 1))[:, None] & np.array(POLYNOMIALS)
  return (1 - 2 * (np.bitwise_count(windows) & 1).astype(np.float32)).astype(np.float32)


def encode(bits):
  """Encodes bits [K] and their checksum: +-1, float32 [6 (K + 12)]."""
  word = np.concatenate([bits, checksum(bits)]).astype(int)
  padded = np.concatenate([word[-MEMORY:], word])
  window = np.array([to_number(padded[at : at + MEMORY + 1]) for at in range(len(word))])
  return _signs()[window].ravel()


def decode(soft):
  """Decodes soft values [6 (K + 12)], positive for +1, by Viterbi's algorithm.

  Returns:
    (bits [K], whether their checksum holds).
  """
  soft = np.asarray(soft, np.float32).reshape(-1, len(POLYNOMIALS))
  count, states = len(soft), 1 << MEMORY
  high = states >> 1
  value = np.zeros(states, np.float32)
  came = []
  for step in range(WRAPS * count):
    gain = (_signs() @ soft[step % count]).reshape(2, states)  # by the oldest bit, the new state
    before = np.stack([np.repeat(value[:high], 2), np.repeat(value[high:], 2)])
    total = before + gain
    came.append(total[1] > total[0])
    value = total.max(0)
    value -= value.max()
  state, word = int(value.argmax()), []
  for choice in reversed(came):
    word.append(state & 1)
    state = (state >> 1) | (int(choice[state]) << (MEMORY - 1))
  word = np.array(word[::-1], np.uint8)
  word = word[(WRAPS - 2) * count : (WRAPS - 1) * count]  # the round that has both neighbours
  return word[:-CHECK], bool((checksum(word[:-CHECK]) == word[-CHECK:]).all())
