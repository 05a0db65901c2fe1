"""A small batch, a generator that is quick, and makers that processes can be given."""

import os
import signal

import cv2
import numpy as np
import soundfile

from ifmdm_jax import media
from ifmdm_jax.batch import maker


class Quick:
  """Draws the portrait, shifted by frame and seed."""

  name, needs, size, fps = 'quick', frozenset({'image', 'voice'}), 64, 25

  def generate(self, clip, *, seed=0, **_):
    picture = clip.image[::8, ::8]
    for number in range(clip.num_frames):
      yield np.roll(picture, number + seed, 1)[None]


def inputs(folder, portraits=2, voices=2):
  """Writes squares of noise, p0.png and so on, and tones, v0.wav and so on."""
  noise = np.random.default_rng(0)
  for number in range(portraits):
    picture = cv2.resize(noise.integers(0, 256, (8, 8, 3), np.uint8), (64, 64))
    cv2.imwrite(str(folder / f'p{number}.png'), picture)
  for number in range(voices):
    tone = 0.3 * np.sin(np.arange(6_400) / (5 + number))
    soundfile.write(folder / f'v{number}.wav', tone, 16_000)


def table(folder, rows, header='image,audio,output,seed'):
  path = folder / 'jobs.csv'
  path.write_text('\n'.join([header, *rows]) + '\n')
  return path


def unsigned(path):
  """Returns the bytes of a video but for its manifest, a box `uuid` of its own."""
  data, place, kept = path.read_bytes(), 0, []
  while place < len(data):
    size = int.from_bytes(data[place : place + 4])
    size = size or len(data) - place
    if data[place + 4 : place + 8] != b'uuid':
      kept.append(data[place : place + size])
    place += size
  return b''.join(kept)


def dying(_):
  """Returns a maker whose process dies of jobs with an odd number."""

  def make(job):
    if job.number % 2:
      os.kill(os.getpid(), signal.SIGKILL)
    return maker.Outcome(job.number, maker.MADE, os.getpid())

  return make


def count(path):
  with media.opened(path, 'video') as (_, stream):
    return stream.frames
