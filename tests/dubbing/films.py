"""Films for the tests of the dub: the bundled portrait, moved over backgrounds; and stand-ins."""

import pathlib
from fractions import Fraction

import av
import cv2
import numpy as np
import soundfile

from ifmdm_jax.shot import Painted

PORTRAIT = pathlib.Path(__file__).parents[2] / 'data' / 'fixtures' / 'portrait.jpg'
SPEECH = PORTRAIT.with_name('speech.wav')
RATE = 16_000


def face(side, flip=False, tint=(1, 1, 1), angle=0.0):
  """The portrait, uint8 RGB [side, side, 3]; its face is about 0.45 of that high."""
  still = cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)
  still = cv2.resize(still, (side, side), interpolation=cv2.INTER_AREA)
  still = still[:, ::-1] if flip else still
  if angle:
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), angle, 1)
    still = cv2.warpAffine(still, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)
  return np.clip(still * np.array(tint), 0, 255).astype(np.uint8)


def wall(height, width, seed=0):
  """A background without a face, uint8 RGB [height, width, 3]."""
  rng = np.random.default_rng(seed)
  small = rng.integers(60, 200, (6, 8, 3)).astype(np.uint8)
  return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def put(background, picture, x, y):
  """Lays a picture over a copy of a background, as far as it fits."""
  result = background.copy()
  height, width = result.shape[:2]
  low_x, low_y = max(0, x), max(0, y)
  high_x, high_y = min(width, x + picture.shape[1]), min(height, y + picture.shape[0])
  if high_x > low_x and high_y > low_y:
    result[low_y:high_y, low_x:high_x] = picture[low_y - y : high_y - y, low_x - x : high_x - x]
  return result


def talk(count=20, height=240, width=320, side=220, seed=0, **options):
  """Frames in which one face drifts a little."""
  background, still = wall(height, width, seed), face(side, **options)
  return [
    put(background, still, 40 + n // 3, (height - side) // 2 + round(3 * np.sin(n / 4)))
    for n in range(count)
  ]


def write(path, pictures, times=None, *, codec='libx264', pixels='yuv420p', options=None,
          turned=0, waveforms=(), subtitle='', sound='aac', **settings):  # fmt: skip
  """Writes frames uint8 RGB at 25 a second or at `times`, seconds, sounds [L] at 16 kHz, a text."""
  with av.open(str(path), 'w') as container:
    stream = container.add_stream(codec, rate=25, options=options or {'crf': '12'})
    stream.height, stream.width = pictures[0].shape[:2]
    stream.pix_fmt, stream.codec_context.time_base = pixels, Fraction(1, 90_000)
    for name, value in settings.items():
      setattr(stream.codec_context, name, value)
    if turned:
      stream.set_display_rotation(turned)
    sounds = [container.add_stream(sound, rate=RATE, layout='mono') for _ in waveforms]
    if subtitle:
      text = container.add_stream('ass')
      text.metadata['language'] = 'ger'
    for number, picture in enumerate(pictures):
      frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), 'rgb24')
      frame.pts = round(90_000 * (number / 25 if times is None else times[number]))
      frame.time_base = Fraction(1, 90_000)
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
    if subtitle:
      packet = av.Packet(f'0,0,Default,,0,0,0,,{subtitle}'.encode())
      packet.pts = packet.dts = 200
      packet.duration, packet.time_base, packet.stream = 300, Fraction(1, 1000), text
      container.mux(packet)
    for track, waveform in zip(sounds, waveforms):
      frame = av.AudioFrame.from_ndarray(np.float32(waveform)[None], 'fltp', 'mono')
      frame.sample_rate, frame.pts = RATE, 0
      container.mux(track.encode(frame))
      container.mux(track.encode(None))
  return path


def voice(path, seconds, rate=RATE):
  """Writes some seconds of the bundled speech, repeated as needed."""
  speech, own = soundfile.read(SPEECH, dtype='float32')
  assert own == RATE
  count = round(seconds * RATE)
  soundfile.write(path, np.tile(speech, -(-count // len(speech)))[:count], RATE)
  return path


class Painter:
  """A stand-in for a generator: paints the lower face in one colour, and remembers the shots."""

  name = 'painter'

  def __init__(self, size=128, colour=(250, 20, 20), block=7):
    self.size, self.colour, self.block, self.shots = size, colour, block, []

  def dub(self, shot, *, seed=0, **options):
    self.shots.append(shot)
    self.options = dict(seed=seed, **options)
    side = shot.size
    mask = np.zeros((side, side), np.float32)
    cv2.ellipse(mask, (side // 2, round(0.66 * side)), (side // 4, side // 5), 0, 0, 360, 1, -1)
    mask = cv2.GaussianBlur(mask, (9, 9), 0)
    seen = shot.blocks()  # a little ahead, as generators do
    for start in range(0, len(shot), self.block):
      next(seen, None)
      count = min(self.block, len(shot) - start)
      frames = np.full((count, side, side, 3), self.colour, np.uint8)
      yield Painted(frames, np.repeat(mask[None], count, 0))
