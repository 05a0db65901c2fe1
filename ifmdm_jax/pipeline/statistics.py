"""Means and deviations of motion codes and speech features (the paper's section 6.1)."""

import numpy as np


def window_statistics(codes):
  """Computes what the motion model is conditioned on: mean and deviation (n - 1) over a window.

  Args:
    codes: [T, M] of all frames of the window, the hint's included: 65 in the paper.

  Returns:
    mean, std: [1, M] each.
  """
  return codes.mean(0, keepdims=True), codes.std(0, ddof=1, keepdims=True)


def set_statistics(codes, features, frames):
  """Computes what brings the numbers of a set near 0 and 1.

  Args:
    codes: list of [T, M], one per clip.
    features: list of [2T, A].
    frames: length of a window.

  Returns:
    {'code_mean', 'code_std': of all codes; 'change_std': of a code less the one before its window;
    'window_std': typical deviation (n - 1) within a window, all [M]; 'feature_mean',
    'feature_std': [A]}.
  """
  windows = [
    c[s : s + frames] for c in codes for s in range(0, max(1, len(c) - frames), frames // 2)
  ]
  every, sound = np.concatenate(codes), np.concatenate(features)
  return {
    'code_mean': every.mean(0),
    'code_std': every.std(0),
    'change_std': np.sqrt(np.concatenate([(w - w[:1]) ** 2 for w in windows]).mean(0)),
    'window_std': np.mean([w.std(0, ddof=1) for w in windows], axis=0),
    'feature_mean': sound.mean(0),
    'feature_std': sound.std(0),
  }
