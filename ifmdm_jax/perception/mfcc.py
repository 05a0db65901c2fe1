"""Thirteen MFCC at 100 Hz as python_speech_features has them: the published SyncNet's input."""

import numpy as np

RATE = 16_000
WINDOW, HOP, SPECTRUM = 400, 160, 512  # samples
COEFFICIENTS, BANDS, LIFTER, EMPHASIS = 13, 26, 22, 0.97


def mfcc(waveform):
  """Computes MFCC of mono float [L] at 16 kHz -> float32 [F, 13], F = 1 + ceil((L - 400) / 160).

  The samples count as 16-bit integers, the first coefficient is the log energy of a window.
  """
  samples = np.round(np.clip(np.asarray(waveform, np.float64), -1, 1 - 2**-15) * 32768)
  samples = np.append(samples[:1], samples[1:] - EMPHASIS * samples[:-1])
  count = 1 + max(0, -(-(len(samples) - WINDOW) // HOP))
  samples = np.pad(samples, (0, max(0, (count - 1) * HOP + WINDOW - len(samples))))
  frames = samples[HOP * np.arange(count)[:, None] + np.arange(WINDOW)]
  power = np.abs(np.fft.rfft(frames, SPECTRUM)) ** 2 / SPECTRUM
  tiny = np.finfo(float).eps
  energy = np.maximum(power.sum(1), tiny)
  bands = np.maximum(power @ filters().T, tiny)
  cepstrum = np.log(bands) @ dct().T * lifter()
  cepstrum[:, 0] = np.log(energy)
  return cepstrum.astype(np.float32)


def filters():
  """Makes triangles on the HTK mel scale, rounded to whole bins as published: [26, 257]."""
  top = 2595 * np.log10(1 + RATE / 2 / 700)
  hertz = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
  edges = np.floor((SPECTRUM + 1) * hertz / RATE)[:, None]
  bins = np.arange(SPECTRUM // 2 + 1)
  left, centre, right = edges[:-2], edges[1:-1], edges[2:]
  rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
  inside = lambda low, high: (bins >= low) & (bins < high)
  return np.where(inside(left, centre), rising, np.where(inside(centre, right), falling, 0.0))


def dct():
  """Makes the first rows of the orthonormal DCT-II: [13, 26]."""
  rows, columns = np.arange(COEFFICIENTS)[:, None], np.arange(BANDS)
  matrix = np.sqrt(2 / BANDS) * np.cos(np.pi * rows * (2 * columns + 1) / (2 * BANDS))
  matrix[0] /= np.sqrt(2)
  return matrix


def lifter():
  return 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
