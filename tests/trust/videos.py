"""Short videos of the bundled portrait, moved a little, and what is done to them on their way."""

import pathlib
from fractions import Fraction

import av
import cv2
import numpy as np

from ifmdm_jax.video import image

PORTRAIT = pathlib.Path(__file__).parents[2] / 'data' / 'fixtures' / 'portrait.jpg'


def talk(count=100, side=512):
  """Yields uint8 [side, side, 3]: the picture sways, and a part of it moves by itself."""
  picture = cv2.resize(image.read_image(PORTRAIT), (side, side), interpolation=cv2.INTER_AREA)
  for k in range(count):
    sway = np.float32([[1, 0, 1.5 * np.sin(k / 9)], [0, 1, np.sin(k / 13)]])
    frame = cv2.warpAffine(picture, sway, (side, side), borderMode=cv2.BORDER_REFLECT)
    low = round(side * (0.6 + 0.02 * np.sin(k / 2)))
    frame[low : low + side // 30, side * 2 // 5 : side * 3 // 5] //= 2
    yield frame


def again(source, target, crf=28, crop=1.0, scale=1.0, fps=None, sound=True):
  """Encodes a video anew as platforms do: cropped, scaled, at another rate; tags are lost."""
  with av.open(str(source)) as container:
    rate = container.streams.video[0].average_rate
    frames = [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]
  height, width = (round(side * crop) for side in frames[0].shape[:2])
  top, left = (frames[0].shape[0] - height) // 3, (frames[0].shape[1] - width) * 2 // 3
  size = [round(side * scale) // 2 * 2 for side in (width, height)]
  fps = fps or rate
  with av.open(str(target), 'w') as container:
    stream = container.add_stream('libx264', rate=Fraction(fps))
    (stream.width, stream.height), stream.pix_fmt = size, 'yuv420p'
    stream.options = {'crf': str(crf), 'preset': 'veryfast'}
    for k in range(int(len(frames) * fps / rate)):
      frame = frames[min(len(frames) - 1, int(k * rate / fps))]
      part = np.ascontiguousarray(frame[top : top + height, left : left + width])
      part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
      container.mux(stream.encode(av.VideoFrame.from_ndarray(part, 'rgb24')))
    container.mux(stream.encode(None))
  return target


def remuxed(source, target, voice=None):
  """Copies packets into a new file, with the sound of another one if given."""
  with av.open(str(source)) as old, av.open(str(target), 'w') as new:
    stream = old.streams.video[0]
    copy = new.add_stream_from_template(stream)
    other = sound = None
    if voice is not None:
      other = av.open(str(voice))
      sound = new.add_stream('aac', rate=16_000)
    for packet in old.demux(stream):
      if packet.dts is not None:
        packet.stream = copy
        new.mux(packet)
    if sound:
      for frame in other.decode(audio=0):
        new.mux(sound.encode(frame))
      new.mux(sound.encode(None))
      other.close()
  return target
