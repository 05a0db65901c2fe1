"""Means and deviations of motion codes and speech features (the paper's section 6.1)."""

import numpy as np

from ifmdm_jax.pipeline.landmark_code import BLOCK

CLOSED = 0.025  # opening, in distances of the eyes, that is read off lips that may be closed
RANGE = 0.0005, 0.9995  # 99.9 % of what people do
RIDGE = 1e-3  # times the number of frames


def window_statistics(codes):
  """Computes what the motion model is conditioned on: mean and deviation (n - 1) over a window.

  Args:
    codes: [T, M] of all frames of the window, the hint's included: 65 in the paper.

  Returns:
    mean, std: [1, M] each.
  """
  return codes.mean(0, keepdims=True), codes.std(0, ddof=1, keepdims=True)


def set_statistics(codes, features, frames, openings=None):
  """Computes what brings the numbers of a set near 0 and 1.

  Args:
    codes: list of [T, M], one per clip.
    features: list of [2T, A].
    frames: length of a window.
    openings: list of [T], how far the mouth is open; None leaves out `reference_statistics`.

  Returns:
    {'code_mean', 'code_std': of all codes; 'change_std': of a code less the one before its window;
    'window_std': typical deviation (n - 1) within a window, all [M]; 'feature_mean',
    'feature_std': [A]}, and those of `reference_statistics`.
  """
  windows = [
    c[s : s + frames] for c in codes for s in range(0, max(1, len(c) - frames), frames // 2)
  ]
  every, sound = np.concatenate(codes), np.concatenate(features)
  numbers = {
    'code_mean': every.mean(0),
    'code_std': every.std(0),
    'change_std': np.sqrt(np.concatenate([(w - w[:1]) ** 2 for w in windows]).mean(0)),
    'window_std': np.mean([w.std(0, ddof=1) for w in windows], axis=0),
    'feature_mean': sound.mean(0),
    'feature_std': sound.std(0),
  }
  return numbers | (reference_statistics(codes, openings) if openings is not None else {})


def reference_statistics(codes, openings, lips=BLOCK['lips']):
  """Computes how the codes of a clip lie around one frame of it with its lips closed.

  Args:
    codes: list of [T, M], one per clip.
    openings: list of [T], inner-lip gap over the distance of the eyes.
    lips: the directions that open a mouth.

  Returns:
    {'opening_weight' [M], 'opening_bias' [1]: how far a mouth is open beyond what may be closed is
    code @ weight + bias; 'opening_way' [M]: how lips move by an opening of 1; 'reference_std' [M]:
    of a code less the rest of another frame; 'lowest', 'highest' [M]: `RANGE` of the same}.
  """
  seen = [np.isfinite(opening) for opening in openings]
  codes = [c[s].astype(np.float64) for c, s in zip(codes, seen)]
  openings = [o[s].astype(np.float64) for o, s in zip(openings, seen)]
  every, opening = np.concatenate(codes), np.concatenate(openings)
  inputs = np.c_[every, np.ones(len(every))]
  gram = inputs.T @ inputs + RIDGE * len(every) * np.diag([1.0] * every.shape[1] + [0.0])
  weight = np.linalg.solve(gram, inputs.T @ opening)
  weight, bias = weight[:-1], weight[-1:] - CLOSED
  within = np.concatenate([c - c.mean(0) for c in codes])
  apart = np.concatenate([o - o.mean() for o in openings])
  way = np.zeros(every.shape[1])
  way[lips] = (apart @ within / max(apart @ apart, 1e-9))[lips]
  way /= max(weight @ way, 1e-6)

  def rest(reference):
    open_by = reference @ weight + bias
    return reference - np.maximum(open_by, 0.0)[:, None] * way

  away = np.concatenate(
    [(c[::3, None] - rest(c[::20])[None]).reshape(-1, c.shape[1]) for c in codes if len(c)]
  )
  lowest, highest = np.quantile(away, RANGE, axis=0)
  return {
    'opening_weight': weight,
    'opening_bias': bias,
    'opening_way': way,
    'reference_std': np.sqrt((away**2).mean(0)),
    'lowest': np.minimum(lowest, 0.0),
    'highest': np.maximum(highest, 0.0),
  }
