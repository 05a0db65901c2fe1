"""Writes a mark into the pixels of a video: a number that survives encoding, scaling and cropping.

The mark is a faint pattern on brightness, the same tile again and again, whose sign changes about
once a second. A tile is 64 x 64 places of a grid that has 128 places along the shorter side of a
frame, and holds periods of 3 to 8 places: what codecs keep and eyes hardly see. A third of its
frequencies is known (they say where the tile lies), the others carry the payload: a version and a
random number of 28 bits, protected by `code`. Strength follows the picture: more where it is busy,
and never more than keeps the whole frame at 42 dB. All of it is public, anybody can read the mark,
and who tries can remove it: it labels, it does not protect. `find_mark` reads it.
"""

import functools
import hmac
import secrets

import cv2
import numpy as np

from ifmdm_jax.trust import code

VERSION, VERSION_BITS, NUMBER_BITS = 1, 4, 28
CHIPS = len(code.POLYNOMIALS) * (VERSION_BITS + NUMBER_BITS + code.CHECK)
TILE, GRID = 64, 128  # places
SMALLEST = 4  # pixels a place
LOWEST, HIGHEST = 1 / 8, 1 / 3  # cycles a place
KNOWN = 3  # of so many frequencies one is known
PERIOD = 0.96  # seconds of the pattern, and as its negative
RISE = 0.16  # seconds in which it changes
PSNR = 41.4  # dB, of RGB where the pattern is full, and so 42.2 on average
LIGHT = 255 / 219  # of RGB for one of brightness in video
CELL = 8  # pixels, of a cell of the map of strength
FINE = 4  # samples a place, of the tile as it is kept
QUIET, GAIN, BUSY = 0.9, 0.35, 3.0  # strengths, levels, of flat parts and most of busy ones


def number_of(secret, text):
  """Computes a number for `Marker` that only who has the secret (bytes) can compute of a text."""
  digest = hmac.digest(secret, b'number of a mark\0' + text.encode(), 'sha256')
  return int.from_bytes(digest[:8], 'big') % 2**NUMBER_BITS


def random_number():
  """Draws a number for `Marker`."""
  return secrets.randbits(NUMBER_BITS)


@functools.cache
def frequencies():
  """Chooses where the tile has power.

  Returns:
    (int [N, 2] rows and columns of half of its spectrum, bool [N] which are known, complex64 [N]
    signs that whiten them).
  """
  places = np.fft.fftfreq(TILE)
  rows, columns = np.meshgrid(places, places, indexing='ij')
  radius = np.hypot(rows, columns)
  half = (columns > 0) | ((columns == 0) & (rows > 0))
  chosen = np.argwhere(half & (radius >= LOWEST) & (radius <= HIGHEST))
  shuffle = np.random.Generator(np.random.PCG64(20412)).permutation(len(chosen))
  chosen = chosen[shuffle]
  draw = np.random.Generator(np.random.PCG64(4000)).integers(0, 2, (len(chosen), 2)) * 2 - 1
  signs = (draw[:, 0] + 1j * draw[:, 1]).astype(np.complex64) / np.sqrt(2)
  return chosen, np.arange(len(chosen)) % KNOWN == 0, signs


@functools.cache
def carriers():
  """Orders the parts of the unknown frequencies, real and imaginary, as places for chips [C]."""
  _, known, _ = frequencies()
  count = 2 * int((~known).sum())
  return np.random.Generator(np.random.PCG64(1)).permutation(count)


def payload(number, version=VERSION):
  """Joins the bits of a mark, uint8 [32]."""
  return np.concatenate(
    [code.to_bits(version, VERSION_BITS), code.to_bits(number, NUMBER_BITS)]
  ).astype(np.uint8)


def spectrum(bits):
  """Makes the values at `frequencies`, complex64 [N], of the payload's bits."""
  _, known, signs = frequencies()
  order = carriers()
  chips = np.empty(len(order), np.float32)
  chips[order] = np.resize(code.encode(bits), len(order))
  real, imaginary = chips.reshape(-1, 2).T
  values = signs.copy()
  values[~known] = real * signs[~known].real + 1j * imaginary * signs[~known].imag
  return values


def tile(bits, fine=1):
  """Draws the pattern once, float32 [64 fine, 64 fine], of deviation 1."""
  side = TILE * fine
  chosen, _, _ = frequencies()
  place = np.where(chosen >= TILE // 2, chosen - TILE, chosen)
  full = np.zeros((side, side), np.complex64)
  full[place[:, 0], place[:, 1]] = spectrum(bits)
  drawn = np.fft.ifft2(full).real
  return (drawn / drawn.std()).astype(np.float32)


def wave(time):
  """Tells sign and size of the pattern at times in seconds: a square wave with soft flanks."""
  phase = np.asarray(time, np.float64) / PERIOD % 1
  steep = np.pi * RISE / PERIOD  # of the phase, from one sign to the other
  return np.clip(np.sin(2 * np.pi * phase) / np.sin(steep), -1, 1)


class Marker:
  """Marks frames one after the other; keeps what depends on their size alone."""

  def __init__(self, number=None, shown=None):
    """Prepares.

    Args:
      number: of 28 bits; by default a random one.
      shown: ((width, height), [2, 3]) of frames as players show them, and the map from places there
        to places of a frame as stored; None: they are stored as they are shown.
    """
    self.number = random_number() if number is None else int(number)
    self.shown, self.pattern = shown, None

  def _prepare(self, height, width):
    size, stored = self.shown or ((width, height), np.eye(2, 3))
    place = max(SMALLEST, min(size) / GRID)  # pixels
    margin = 4 * FINE
    drawn = np.pad(tile(payload(self.number), FINE), margin, 'wrap')
    back = np.linalg.inv(np.vstack([stored, [0, 0, 1]]))[:2]
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = (
      ((row[0] * columns + row[1] * rows + row[2]) / place % TILE * FINE - 0.5 + margin)
      for row in back
    )
    self.pattern = cv2.remap(drawn, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC)

  def change(self, light, time, scale=LIGHT):
    """Computes what is to be added to brightness.

    Args:
      light: uint8 [H, W].
      time: seconds.
      scale: of RGB for one of brightness.

    Returns:
      float32 [H, W].
    """
    height, width = light.shape
    if self.pattern is None or self.pattern.shape != light.shape:
      self._prepare(height, width)
    strength = activity(light)
    most = 255 / 10 ** (PSNR / 20) / scale
    strength *= min(1.0, most / max(1e-6, float(np.sqrt(np.mean(strength**2)))))
    strength *= float(wave(time))
    strength = cv2.resize(strength, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.multiply(strength, self.pattern, dst=strength)

  def mark_light(self, light, time, scale=LIGHT):
    """Marks brightness in place, uint8 [H, W], or uint16 of ten bits."""
    if min(light.shape) < CELL:
      return
    if light.dtype == np.uint8:
      light[:] = cv2.add(light, self.change(light, time, scale), dtype=cv2.CV_8U)
    else:
      change = 4 * self.change((light >> 2).astype(np.uint8), time, scale)
      light[:] = np.clip(np.rint(light + change), 0, 1023).astype(light.dtype)

  def mark(self, frame, time):
    """Returns a marked copy of an RGB frame, uint8 [H, W, 3]."""
    light = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    if min(light.shape) < CELL:
      return frame.copy()
    change = np.rint(self.change(light, time, scale=1.0)).astype(np.int16)
    return cv2.add(frame, cv2.merge([change] * 3), dtype=cv2.CV_8U)


def live(blocks, fps=25, number=None):
  """Marks frames that go to people by another way than a `Writer`: a call, a broadcast, a window.

  Args:
    blocks: iterable of uint8 RGB [n, H, W, 3], such as a generator's `stream`.
    fps: of the frames.
    number: see `Marker`.

  Yields:
    The same, marked.
  """
  marker, count = Marker(number), 0
  for block in blocks:
    yield np.stack([marker.mark(frame, (count + k) / fps) for k, frame in enumerate(block)])
    count += len(block)


def activity(light):
  """Measures how busy cells of a picture are: strengths float32 [h, w]."""
  # Whole cells, of which the last pixels are none: OpenCV averages those six times as fast.
  rows, columns = (max(1, (side - 1) // CELL) for side in light.shape)
  high, wide = (min(CELL * count, side - 1) for count, side in zip((rows, columns), light.shape))
  here = light[:high, :wide]
  across = cv2.absdiff(light[:high, 1 : wide + 1], here)
  down = cv2.absdiff(light[1 : high + 1, :wide], here)
  busy = cv2.add(across, down)
  busy = cv2.resize(busy, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
  busy = cv2.GaussianBlur(busy, (3, 3), 0)
  return np.clip(QUIET + GAIN * busy, QUIET, BUSY)
