"""The sound of a clip altered: pauses, room noise, music, or no voice at all.

A network that was trained on speakers alone has no idea what silence asks of a face. Whoever does
not speak rests the lips and goes on living otherwise.
"""

import zlib

import numpy as np

from ifmdm_jax.audio import features as encoders
from ifmdm_jax.rates import FPS, SAMPLE_RATE

SOUNDS = 4  # other sounds for every clip
ROOM = -60.0, -30.0  # dB below full scale, root mean square
MUSIC = -40.0, -15.0
UNHEARD = 0.25  # share of alterations in which nobody speaks at all
SPOKEN, PAUSED = (0.6, 3.0), (0.5, 3.0)  # seconds in a row, else
FADE = 0.03  # seconds
CLOSING, OPENING = 6, 5  # frames that lips take to rest, and before a sound to leave their rest


def encoder(name):
  """Returns what computes the speech features of other sounds for a clip, always the same ones.

  Args:
    name: of the speech encoder.

  Returns:
    (clip, count) -> features [SOUNDS, 2 count, A], how far lips are at rest [SOUNDS, count].
  """
  network = encoders.load(name)

  def encode_altered(clip, count):
    rng = np.random.default_rng(zlib.crc32(clip.name.encode()))
    made = [alter(clip.waveform, SAMPLE_RATE, count, rng) for _ in range(SOUNDS)]
    features = [network.features(sound, SAMPLE_RATE) for sound, _ in made]
    short = [max(0, 2 * count - len(each)) for each in features]
    features = [
      np.pad(each, ((0, missing), (0, 0)), mode='edge')[: 2 * count]
      for each, missing in zip(features, short)
    ]
    return np.stack(features), np.stack([share for _, share in made])

  return encode_altered


def alter(sound, rate, frames, rng):
  """Makes another sound for the same face.

  Args:
    sound: [L], mono.
    rate: Hz.
    frames: of the clip.
    rng: `numpy.random.Generator`.

  Returns:
    float32 [L], and how far lips are at rest, float32 [frames], 0 to 1.
  """
  spoken = _spoken(len(sound), rate, rng)
  fade = max(1, round(FADE * rate))
  gain = np.convolve(np.pad(spoken, fade, mode='edge'), np.ones(fade) / fade, 'same')[fade:-fade]
  made = sound * gain + _bed(len(sound), rate, rng)
  middle = np.minimum((np.arange(frames) + 0.5) * rate / FPS, len(sound) - 1).astype(int)
  return np.clip(made, -1, 1).astype(np.float32), resting(spoken[middle] == 0)


def resting(silent):
  """Says how far lips are at rest, float32 [T]: they close after a voice and open before one."""
  silent = np.asarray(silent, np.float32)
  mean = lambda padded, size: np.convolve(padded, np.ones(size) / size, 'valid')
  after = mean(np.pad(silent, (CLOSING - 1, 0), mode='edge'), CLOSING)
  before = mean(np.pad(silent, (0, OPENING - 1), mode='edge'), OPENING)
  return np.minimum(after, before).astype(np.float32)


def _spoken(length, rate, rng):
  """Chooses where the voice stays: float [length], 1 there and else 0."""
  if rng.random() < UNHEARD:
    return np.zeros(length)
  spoken, place, speaking = np.ones(length), 0, rng.random() < 0.5
  while place < length:
    stretch = round(rng.uniform(*(SPOKEN if speaking else PAUSED)) * rate)
    spoken[place : place + stretch] = speaking
    place, speaking = place + stretch, not speaking
  return spoken


def _bed(length, rate, rng):
  """Makes what sounds besides the voice: nothing, a room, or music."""
  kind = rng.choice(['nothing', 'room', 'room', 'music'])
  if kind == 'nothing':
    return np.zeros(length)
  made = _room(length, rng) if kind == 'room' else _music(length, rate, rng)
  level = rng.uniform(*(ROOM if kind == 'room' else MUSIC))
  return made * 10 ** (level / 20) / (np.sqrt((made**2).mean()) + 1e-9)


def _room(length, rng):
  """Makes noise whose power falls with the frequency, from white to red."""
  spectrum = np.fft.rfft(rng.standard_normal(length))
  return np.fft.irfft(spectrum / np.arange(1, len(spectrum) + 1) ** rng.uniform(0, 0.8), length)


def _music(length, rate, rng):
  """Plucks chords, a few a second."""
  made, beat = np.zeros(length), round(rate * rng.uniform(0.2, 0.6))
  for start in range(0, length, beat):
    time = np.arange(length - start) / rate
    for _ in range(int(rng.integers(1, 4))):
      pitch = 110 * 2 ** (rng.integers(0, 36) / 12)
      for overtone in range(1, 5):
        wave = np.sin(2 * np.pi * pitch * overtone * time + rng.uniform(0, 6.28))
        made[start:] += wave * np.exp(-time * 3 * overtone) / overtone
  return made
