"""Films for the tests: the bundled portrait opens its mouth; and estimators of their lag.

Workers import this file and nothing else of the tests, so they start fast.
"""

import multiprocessing
import os
import pathlib
import signal
import struct
from fractions import Fraction

import av
import cv2
import numpy as np

from ifmdm_jax.face import lag, points

PORTRAIT = pathlib.Path(__file__).parents[2] / 'data' / 'fixtures' / 'portrait.jpg'
RATE = 16_000
MOUTH = (0.499, 0.644)  # in the part of the portrait that is shown, fractions


def voice(seconds, seed=0):
  """(waveform [L] at 16 kHz, opening(t) in 0..1): loud where the mouth is open, never periodic."""
  rng = np.random.default_rng(seed)
  ticks = np.arange(0, seconds + 1, 0.12)
  heights = np.clip(rng.uniform(-0.3, 1, len(ticks)), 0, 1)
  opening = lambda t: np.interp(t, ticks, heights)
  time = np.arange(round(seconds * RATE)) / RATE
  return (0.4 * opening(time) * np.sin(2 * np.pi * 170 * time)).astype(np.float32), opening


def picture(opening, side=192, flip=False, tint=0):
  """One frame: the lower face of the portrait pulled down by `opening`."""
  still = cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)
  still = cv2.resize(still[:226, 109:335], (side, side), interpolation=cv2.INTER_AREA)
  rows, columns = np.mgrid[:side, :side].astype(np.float32) / side
  x, y = MOUTH
  below = np.clip((rows - y) / 0.03, 0, 1) * np.exp(-(((columns - x) / 0.12) ** 2))
  fade = np.clip((0.98 - rows) / 0.15, 0, 1)
  rows = (rows - np.float32(0.05 * opening) * below * fade) * side
  moved = cv2.remap(still, columns * side, rows, cv2.INTER_LINEAR)
  moved = moved[:, ::-1] if flip else moved
  return np.clip(moved.astype(int) + tint, 0, 255).astype(np.uint8)


def frames(opening, times, **options):
  """The frames at some times; equal openings share their picture."""
  levels = np.round(12 * np.array([opening(t) for t in times])).astype(int)
  known = {level: picture(level / 12, **options) for level in set(levels)}
  return [known[level] for level in levels]


def write(path, pictures, times, waveform=None, late=0.0):
  """An MP4 with a timestamp per picture; the voice `late` seconds behind."""
  with av.open(str(path), 'w') as file:
    video = file.add_stream('libx264', rate=30, options={'preset': 'ultrafast', 'crf': '20'})
    video.height, video.width = pictures[0].shape[:2]
    video.pix_fmt = 'yuv420p'
    base = Fraction(1, 90_000)
    video.codec_context.time_base = base
    if waveform is not None:
      sound = file.add_stream('aac', rate=RATE, layout='mono')
    for image, time in zip(pictures, times):
      frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), 'rgb24')
      frame.pts, frame.time_base = round(time * 90_000), base
      file.mux(video.encode(frame))
    file.mux(video.encode(None))
    if waveform is not None:
      silence = np.zeros(max(0, round(late * RATE)), np.float32)
      put_sound(file, sound, np.concatenate([silence, waveform])[: len(waveform)])
  return path


def put_sound(file, stream, waveform):
  for start in range(0, len(waveform), 1024):
    piece = av.AudioFrame.from_ndarray(waveform[None, start : start + 1024], 'fltp', 'mono')
    piece.sample_rate, piece.pts = RATE, start
    file.mux(stream.encode(piece))
  file.mux(stream.encode(None))


def hold_upright(path, height):
  """Marks a film as a phone held upright does: players turn it a quarter clockwise.

  Args:
    height: of the stored pictures, pixels, which is the width of what is shown.
  """
  data, unit = bytearray(path.read_bytes()), 1 << 16
  at = data.index(b'tkhd') + 44  # the track header's matrix (a, b, u, c, d, v, x, y, w), 16.16
  matrix = struct.pack('>9i', 0, unit, 0, -unit, 0, 0, height * unit, 0, 1 << 30)
  data[at : at + 36] = matrix
  path.write_bytes(data)
  return path


def phone(path, seconds=2.0, side=192, room=(0, 0)):
  """A talking face filmed with a phone held upright: stored lying, with a note to turn it.

  `room`: rows and columns of wall around the face, as shown.
  """
  waveform, opening = voice(seconds)
  times = np.arange(round(seconds * 25)) / 25
  edges = [(r // 2, r - r // 2) for r in room] + [(0, 0)]
  shown = frames(opening, times, side=side)
  lying = {id(frame): np.rot90(np.pad(frame, edges, 'edge')) for frame in shown}
  write(path, [lying[id(frame)] for frame in shown], times, waveform)
  return hold_upright(path, shown[0].shape[1] + room[1])


def talking(path, seconds=3.0, fps=25.0, seed=0, late=0.0, sound=True, **options):
  """A film of one talking face at any frame rate."""
  waveform, opening = voice(seconds, seed)
  times = np.arange(round(seconds * fps)) / fps
  return write(path, frames(opening, times, **options), times, waveform if sound else None, late)


class LevelLag:
  """Estimates lags by the level of the voice: true of these films, and needs no network."""

  def __call__(self, waveform, landmarks):
    level = np.sqrt((waveform[: len(landmarks) * 640].reshape(-1, 640) ** 2).mean(1))
    opening = points.smooth(points.mouth_opening(landmarks))
    return lag.find(level, opening, 8)


class Poisoned:
  """An estimator that a certain film kills, as a broken decoder would."""

  def __call__(self, waveform, landmarks):
    os.kill(os.getpid(), signal.SIGKILL)


class Spawned(LevelLag):
  """An estimator that only a process of its own, that was spawned, can make."""

  here = 'of the parent'

  def __init__(self):
    assert multiprocessing.parent_process() is not None
    assert Spawned.here == 'of the parent', 'the process is a copy of its parent'
