"""Reads the mark of `mark` from frames, however they were scaled or cropped, without the original.

Frames are summed with the sign that the mark has at their times, whereby the still parts of a
picture cancel; what moves is weighed less. The sum is laid over itself tile by tile, once for each
scale that the video may have. The known frequencies say at which scale, place and moment the tile
lies, the others give the payload; its checksum and how well all of it agrees say whether to believe
it.
"""

import functools
import itertools
from typing import NamedTuple

import cv2
import numpy as np

from ifmdm_jax.rates import FPS
from ifmdm_jax.trust import code, mark
from ifmdm_jax.video import read as films

SIDE = 240  # pixels of the shorter side, at most
SCALES = np.geomspace(0.55, 3.4, 500)  # pixels a place, over those of an uncropped frame of 512
SPAN = 4.8  # seconds that are read at once,
TOGETHER = 3  # and so many of them together where each by itself shows nothing
FEWEST = 2.0  # seconds, or it is not looked for
STILL = 3  # degree of the polynomials in time that are taken for the picture's own
BESIDE = 0.5, 1.5, 2.0  # rates at which the mark has no power, over its own
SMOOTH = 3.0  # pixels over which what moves is measured
LARGE = 2.5  # pixels; larger things are no mark
CANDIDATES = 8
FINE = 0.002, 0.001, 0.0005  # steps of the scale
LIKELY = 4.8  # agreement from which on a mark is believed, see experiments/mark


class Mark(NamedTuple):
  """What was read.

  Attributes:
    found: whether there is a mark.
    version, number: of its payload; 0 where nothing is like a mark.
    score: agreement of the known frequencies, in deviations of noise.
    scale: pixels a place, over those of an uncropped frame.
    whole: whether the checksum holds.
    mirrored: whether the video is as in a mirror.
  """

  found: bool
  version: int
  number: int
  score: float
  scale: float
  whole: bool
  mirrored: bool = False


def reduced(light):
  """Shrinks brightness, uint8 [H, W], to what is needed, float32 [h, w]."""
  factor = SIDE / min(light.shape)
  if factor < 1:
    size = [max(1, round(side * factor)) for side in light.shape[::-1]]
    light = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
  return light.astype(np.float32)


def look(path, seconds=60.0):
  """Looks for a mark in a film, stretch by stretch until one is found.

  Args:
    path: of the film.
    seconds: from its start in which it is looked for.

  Returns:
    `Mark`, the likeliest one; None where the film is too short for any.
  """
  best, frames, span = None, [], round(SPAN * FPS)

  def tried(some):
    return _better(best, read(some, np.arange(len(some)) / FPS))

  for frame in itertools.islice(films.frames(path, FPS), round(seconds * FPS)):
    frames.append(reduced(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)))
    if len(frames) % span == 0:
      best = tried(frames[-span:])
    if len(frames) == TOGETHER * span and not best.found:  # weaker ones need longer
      best = tried(frames)
      frames = []
    if best and best.found:
      return best
  rest = frames[-(len(frames) % span) :] if len(frames) % span else []
  if len(rest) >= FEWEST * FPS:
    best = tried(rest)
  if len(frames) > span and not best.found:
    best = tried(frames)
  return best


def _better(best, other):
  return other if best is None or (other.found, other.score) > (best.found, best.score) else best


def read(frames, times, mirrored=True):
  """Reads one stretch of a video.

  Args:
    frames: of `reduced`, [T] of float32 [h, w].
    times: [T], seconds.
    mirrored: whether to look in the mirror, too.

  Returns:
    `Mark`.
  """
  field = _field(np.stack(frames), np.asarray(times, np.float64))
  best = _upright(field)
  if not best.found and mirrored:
    best = _better(best, _upright(field[:, ::-1])._replace(mirrored=True))
  return best


def _upright(field):
  nominal, best = min(field.shape) / mark.GRID, None
  for score, scale in _candidates(field, nominal):
    score, scale, place, shift = _refined(field, nominal, score, scale)
    each = Mark(False, 0, 0, float(score), float(scale), False)
    if score >= LIKELY:
      each = _payload(field, nominal, each, place, shift)
    best = _better(best, each)
    if best.found:
      break
  return best


def _field(stack, times):
  """Sums frames [T, h, w] with the mark's sign, weighed by how still places are: complex [h, w]."""
  times = times - times[0]
  unit = 2 * times / times[-1] - 1
  still = np.linalg.qr(np.stack([unit**k for k in range(STILL + 1)], 1))[0]
  rate = np.pi / mark.PERIOD  # radians a second: sign and opposite sign are a period of two

  def wave(times_rate):
    each = np.exp(-2j * rate * times_rate * times)
    each = each - still @ (still.T @ each)
    return each / np.linalg.norm(each)

  rows = np.stack([wave(1.0), *map(wave, BESIDE)])
  rows = np.concatenate([rows.real, rows.imag]).astype(np.float32)
  sums = (rows @ stack.reshape(len(stack), -1)).reshape(-1, *stack.shape[1:])
  sums = np.stack([each - cv2.GaussianBlur(each, (0, 0), LARGE) for each in sums])
  real, imaginary = np.split(sums, 2)
  power = real**2 + imaginary**2
  noise = cv2.GaussianBlur(power[1:].mean(0), (0, 0), SMOOTH)
  return (real[0] + 1j * imaginary[0]) / (noise + 1) ** 0.75  # the best of what was tried


def _folded(field, scale, shift=(0.0, 0.0)):
  """Lays a picture over itself, complex [64, 64].

  Args:
    scale: pixels a place.
    shift: places, down and across.
  """
  rows, columns = (int(np.ceil(side / scale / mark.TILE)) * mark.TILE for side in field.shape)
  matrix = np.array([
    [scale, 0, scale * (0.5 + shift[1]) - 0.5],
    [0, scale, scale * (0.5 + shift[0]) - 0.5],
  ])  # fmt: skip
  parts = cv2.merge([field.real.astype(np.float32), field.imag.astype(np.float32)])
  drawn = cv2.warpAffine(parts, matrix, (columns, rows), flags=cv2.WARP_INVERSE_MAP)
  drawn = drawn.reshape(rows // mark.TILE, mark.TILE, columns // mark.TILE, mark.TILE, 2)
  drawn = drawn.sum((0, 2))
  return drawn[..., 0] + 1j * drawn[..., 1]


@functools.cache
def _rings():
  """Sorts `mark.frequencies` by radius: (radius [N], number of a ring [N], middles of rings)."""
  chosen, _, _ = mark.frequencies()
  place = np.where(chosen >= mark.TILE // 2, chosen - mark.TILE, chosen)
  radius = np.hypot(*place.T)
  edges = np.linspace(radius.min(), radius.max(), 9)[1:-1]
  which = np.digitize(radius, edges)
  return radius, which, np.array([radius[which == k].mean() for k in range(8)])


def _values(tile):
  """Takes the values at `mark.frequencies` and at their negatives, rings of one power: [2, N]."""
  chosen, _, _ = mark.frequencies()
  full = np.fft.fft2(tile)
  pair = np.stack([full[tuple(chosen.T)], full[tuple(-chosen.T)]])
  radius, which, middles = _rings()
  power = (np.abs(pair) ** 2).mean(0)
  level = np.array([power[which == k].mean() for k in range(len(middles))])
  return pair / np.sqrt(np.interp(radius, middles, level) + 1e-20)


def _synchronised(tile):
  """Finds where a tile begins by its known frequencies: (score, (row, column))."""
  chosen, known, signs = mark.frequencies()
  pair = _values(tile)[:, known]
  product = np.zeros((mark.TILE, mark.TILE), np.complex64)
  product[tuple(chosen[known].T)] = pair[0] * signs[known].conj()
  product[tuple(-chosen[known].T)] = pair[1] * signs[known]
  agreement = np.abs(np.fft.ifft2(product))
  at = np.unravel_index(agreement.argmax(), agreement.shape)
  return agreement[at] * mark.TILE**2 / np.sqrt(2 * known.sum()), at


def _candidates(field, nominal):
  """Returns the best (score, scale) with no better one near them, the best first."""
  scores = np.array([_synchronised(_folded(field, nominal * each))[0] for each in SCALES])
  around = np.stack([np.roll(scores, step) for step in (-2, -1, 1, 2)]).max(0)
  peaks = np.flatnonzero(scores >= around)
  peaks = peaks[np.argsort(-scores[peaks])][:CANDIDATES]
  return [(scores[k], SCALES[k]) for k in peaks]


def _refined(field, nominal, score, scale):
  """Refines a scale, and finds the place to parts of one: (score, scale, place, shift)."""
  for step in FINE:
    near = [(score, scale)]
    for factor in (1 - step, 1 + step):
      near.append((_synchronised(_folded(field, nominal * scale * factor))[0], scale * factor))
    score, scale = max(near)
  best = -1.0, (0, 0), (0.0, 0.0)
  for down in (-1 / 3, 0.0, 1 / 3):
    for across in (-1 / 3, 0.0, 1 / 3):
      agrees, at = _synchronised(_folded(field, nominal * scale, (down, across)))
      best = max(best, (agrees, at, (down, across)))
  return best[0], scale, best[1], best[2]


def _payload(field, nominal, seen, place, shift):
  """Reads the payload of a tile whose scale, place and shift are known, into a `Mark`."""
  tile = np.roll(_folded(field, nominal * seen.scale, shift), [-each for each in place], (0, 1))
  _, known, signs = mark.frequencies()
  radius, _, _ = _rings()
  first, second = _values(tile)
  phase = (first * signs.conj())[known].sum() + (second * signs)[known].sum()
  phase /= abs(phase) + 1e-20
  values = (first / phase + (second / phase).conj()) / np.sqrt(2)
  # How much of the mark is left at a radius: a line through what is left of the known part.
  left = np.polyfit(radius[known], (values * signs.conj()).real[known], 1)
  values = values * np.maximum(np.polyval(left, radius), 0.05)
  parts = (values / signs.real).real, (values.imag / signs.imag)
  chips = np.stack(parts, 1)[~known].ravel()[mark.carriers()]
  soft = np.zeros(mark.CHIPS)
  np.add.at(soft, np.arange(len(chips)) % mark.CHIPS, chips)
  bits, whole = code.decode(soft)
  version = code.to_number(bits[: mark.VERSION_BITS])
  number = code.to_number(bits[mark.VERSION_BITS :])
  found = whole and version == mark.VERSION
  return seen._replace(found=found, version=version, number=number, whole=whole)
