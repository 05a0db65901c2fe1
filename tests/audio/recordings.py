"""Recordings for the tests, made packet by packet with whatever can go wrong on the way."""

import io
from fractions import Fraction

import av
import numpy as np

RATE = 48_000


def tones(seconds, at, rate=RATE, hz=1000.0, length=0.2):
  """A beep from each of some times on, float32 [L]."""
  time = np.arange(round(seconds * rate)) / rate
  loud = np.zeros_like(time)
  for start in at:
    loud[(time >= start) & (time < start + length)] = 1
  return np.float32(0.5 * loud * np.sin(2 * np.pi * hz * time))


def starts(sound, rate=16_000):
  """Times at which it becomes loud, seconds."""
  hop = rate // 100
  level = np.abs(sound[: len(sound) // hop * hop].reshape(-1, hop)).max(1)
  loud = level > 0.2
  return np.flatnonzero(loud[1:] & ~loud[:-1]) / 100 + 0.01


def encode(container, stream, sound, rate=RATE):
  """Packets of float32 [L] or [L, C]."""
  sound = sound.reshape(len(sound), -1)
  layout, packets = ('mono', 'stereo')[sound.shape[1] - 1], []
  for start in range(0, len(sound), 1024):
    block = np.ascontiguousarray(sound[start : start + 1024].T)
    frame = av.AudioFrame.from_ndarray(block, 'fltp', layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
    packets += stream.encode(frame)
  return packets + stream.encode(None)


def write(path, *tracks, change=None, codec='aac', format=None, default=0, rate=RATE, film=False):
  """Writes tracks of sound, and black pictures of their length if it is to be a film.

  `change(packet, number)` returns the packet that is written in place of one of the first track,
  None: nothing is.
  """
  with av.open(str(path), 'w', format=format) as container:
    pictures = None
    if film:
      pictures = container.add_stream('mpeg4', rate=25)
      pictures.width = pictures.height = 32
    streams = [
      container.add_stream(codec, rate=rate, layout='mono' if sound.ndim == 1 else 'stereo')
      for sound in tracks
    ]
    for stream in streams if len(streams) > 1 else ():
      on = av.stream.Disposition.default
      stream.disposition = on if stream is streams[default] else av.stream.Disposition(0)
    if film:
      for _ in range(round(len(tracks[0]) / rate * 25)):
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        container.mux(pictures.encode(frame))
      container.mux(pictures.encode(None))
    for stream, sound in zip(streams, tracks):
      for number, packet in enumerate(encode(container, stream, sound, rate)):
        packet = change(packet, number) if change and stream is streams[0] else packet
        if packet is not None:
          container.mux(packet)
  return path


def raw(sound, codec='mp3', rate=RATE, format=None):
  """Bytes of a whole file of a format whose files may be joined."""
  file = io.BytesIO()
  with av.open(file, 'w', format=format or codec) as container:
    layout = 'mono' if sound.ndim == 1 else 'stereo'
    stream = container.add_stream(codec, rate=rate, layout=layout)
    for packet in encode(container, stream, sound, rate):
      container.mux(packet)
  return file.getvalue()
