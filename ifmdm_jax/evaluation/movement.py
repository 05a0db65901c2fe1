"""How a video moves, without looking at the real one frame by frame: amount, steadiness.

Ratios are to the same figure of the real video. Jitter of tracked landmarks is mostly the
tracker's noise, so only its ratio says something; the formula is
J = mean over frames and points of |p(t+3) - 3 p(t+2) + 3 p(t+1) - p(t)| * fps^3.
"""

import warnings

import cv2
import numpy as np

from ifmdm_jax.evaluation import geometry
from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.face import pose
from ifmdm_jax.face.points import EXPRESSIVE, mouth_opening

METRICS = {
  'motion_amplitude': Metric('truth', 'mm', 'deviation over time of the 468 points, mean', 2),
  'motion_ratio': Metric('truth', '', 'the same over ground truth', 2),
  'opening_std': Metric('truth', '', 'deviation of the mouth opening over eye distance', 4),
  'opening_ratio': Metric('truth', '', 'the same over ground truth', 2),
  'expression_std': Metric('truth', 'mm', 'deviation of lips, lids, brows seen from the head', 2),
  'expression_ratio': Metric('truth', '', 'the same over ground truth', 2),
  'yaw_std': Metric('truth', '°', 'deviation of the head over the clip', 2),
  'pitch_std': Metric('truth', '°', 'deviation of the head over the clip', 2),
  'roll_std': Metric('truth', '°', 'deviation of the head over the clip', 2),
  'head_ratio': Metric('truth', '', 'root mean square of the three over ground truth', 2),
  'jitter': Metric('truth', 'mm/s³', 'mean third difference of the 468 points times fps³', 0),
  'jitter_ratio': Metric('truth', '', 'the same over ground truth', 2),
  'jitter_head_ratio': Metric('truth', '', 'jitter of the stiff head over ground truth', 2),
  'jitter_expression_ratio': Metric('truth', '', 'of lips, lids, brows from the head, same', 2),
  'flicker': Metric('truth', '/255', 'mean |I(t+1) - I(t)| where the reference is static', 3),
}  # fmt: skip
FEWEST = 10  # frames with a face
STATIC = 2.0  # grey levels of deviation over the clip
SMALLEST_AREA = 0.01  # of the picture


def load(weights=None):
  return Scorer()


def jitter(points, fps):
  """Averages the norm of the third difference times fps^3; runs of frames with a face only.

  Args:
    points: [T, P, D]; the result has their unit per second cubed.

  Returns:
    float, NaN if no four frames in a row have a face.
  """
  change = np.linalg.norm(np.diff(points, 3, axis=0), axis=-1) * fps**3
  return float(change[np.isfinite(change)].mean()) if np.isfinite(change).any() else float('nan')


def deviation(points):
  """Measures the deviation over time of points [T, P, D], root of the sum over D, mean over P."""
  return float(np.sqrt(np.nanvar(points, axis=0).sum(-1)).mean())


def grey(frames):
  return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])


def flicker(predicted, real):
  """Averages the change between frames [T, H, W, 3] where those of `real` do not change.

  Returns:
    grey levels, or None if under one per cent of the reference is static.
  """
  if len(real) < 2:
    return None
  shades = grey(real)
  area = np.sqrt(np.mean([_square(s - shades[0].astype(np.float32)) for s in shades], 0)) < STATIC
  if area.mean() < SMALLEST_AREA:
    return None
  shades = grey(predicted)
  return float(np.mean([cv2.absdiff(a, b)[area].mean() for a, b in zip(shades, shades[1:])]))


def _square(x):
  return x * x


def measures(points, reference, fps):
  """Measures all of one video but its flicker; lengths in mm by the reference's scale."""
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', RuntimeWarning)  # points that are NaN throughout
    place = geometry.to_mm(points, reference)
    inner = geometry.still(place)[:, EXPRESSIVE]
    yaw, pitch, roll = np.nanstd(np.degrees(pose.angles(pose.fit(points).turn)), axis=0)
    return {
      'motion_amplitude': deviation(place),
      'opening_std': float(np.nanstd(mouth_opening(points))),
      'expression_std': deviation(inner),
      'yaw_std': float(yaw),
      'pitch_std': float(pitch),
      'roll_std': float(roll),
      'head': float(np.sqrt((yaw**2 + pitch**2 + roll**2) / 3)),
      'jitter': jitter(place, fps),
      'jitter_head': jitter(geometry.head(place), fps),
      'jitter_expression': jitter(inner, fps),
    }


RATIOS = {
  'motion_ratio': 'motion_amplitude',
  'opening_ratio': 'opening_std',
  'expression_ratio': 'expression_std',
  'head_ratio': 'head',
  'jitter_ratio': 'jitter',
  'jitter_head_ratio': 'jitter_head',
  'jitter_expression_ratio': 'jitter_expression',
}


class Scorer:
  """See METRICS."""

  def score(self, pair):
    steady = flicker(pair.predicted, pair.reference)
    result = {'flicker': Absent('no static region in the reference') if steady is None else steady}
    for video, has_face in (('video', pair.has_face), ('reference', pair.reference_has_face)):
      if has_face.sum() < FEWEST:
        reason = f'a face in {has_face.sum()} of {len(has_face)} frames of the {video}'
        return {name: result.get(name, Absent(reason)) for name in METRICS}
    predicted = measures(pair.landmarks, pair.reference_landmarks, pair.fps)
    real = measures(pair.reference_landmarks, pair.reference_landmarks, pair.fps)
    for name, measure in RATIOS.items():
      truth = real[measure]
      result[name] = predicted[measure] / truth if truth > 0 else Absent('0 in truth')
    result |= predicted
    missing = Absent('no four frames in a row with a face')
    return {name: result[name] if np.isfinite(_number(result[name])) else missing
            for name in METRICS}  # fmt: skip


def _number(value):
  return 0.0 if isinstance(value, Absent) else value
