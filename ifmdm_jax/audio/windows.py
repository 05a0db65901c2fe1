"""Encoders over recordings of any length, in bounded memory and a handful of compiled shapes."""

import numpy as np

BUCKETS = (100, 250, 500)  # features at 50 Hz: 2, 5 and 10 s; the last is the longest window
OVERLAP = 100  # 2 s


def starts(count, window, overlap):
  """Finds the first feature of each window; all are whole, so the last two may overlap by more."""
  if count <= window:
    return [0]
  return [*range(0, count - window, window - overlap), count - window]


def encode(network, inputs, rate, fill=0.0, buckets=BUCKETS, overlap=OVERLAP):
  """Runs `network` over overlapping windows and cross-fades what they say about the same moment.

  Args:
    network: (inputs [1, N * rate, ...], valid int32 [1]) -> [1, N, D]; jitted by the caller. Only
      the first `valid` features may be read by attention or statistics: a short recording is
      padded up to a bucket, and its features must not depend on which.
    inputs: [S * rate, ...] samples or spectrogram frames.
    rate: inputs per feature.
    fill: value of a silent input, for the padding.
    buckets: the window lengths that get compiled; the last one serves long recordings.
    overlap: features that neighbouring windows share.

  Returns:
    float32 [S, D].
  """
  count = inputs.shape[0] // rate
  # One bucket above: at least one silent input follows the sound whatever the bucket is.
  window = next((size for size in buckets if count < size), buckets[-1])
  total, weights = None, np.zeros((count, 1), np.float32)
  for start in starts(count, window, overlap):
    valid = min(window, count - start)
    block = inputs[start * rate : (start + valid) * rate]
    padding = [(0, (window - valid) * rate)] + [(0, 0)] * (inputs.ndim - 1)
    block = np.pad(block, padding, constant_values=fill)
    features = np.asarray(network(block[None], np.array([valid], np.int32)))[0, :valid]
    # A trapezium: features near the edge of a window have seen least of their surroundings.
    edge = np.minimum(np.arange(valid), np.arange(valid)[::-1]) + 1
    weight = np.float32(np.minimum(edge, overlap) / overlap)[:, None]
    if total is None:
      total = np.zeros((count, features.shape[-1]), np.float32)
    total[start : start + valid] += weight * features
    weights[start : start + valid] += weight
  return total / weights
