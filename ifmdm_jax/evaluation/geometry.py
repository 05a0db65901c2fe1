"""Measures the geometry of a face mesh, for the landmark metrics.

Landmarks are [..., 468, 2] in pixels, x before y, NaN where no face was found.
"""

import numpy as np

from ifmdm_jax.face import align, points

# Distance of the outer eye corners in MediaPipe's canonical face model: turns pixels into mm.
EYES_MM = 88.9


def to_mm(landmarks, reference):
  """Turns pixels into mm by one scale for the whole clip: the reference's median eye distance."""
  return landmarks * (EYES_MM / np.nanmedian(points.eye_distance(reference)))


def still(landmarks):
  """Brings each frame onto the clip's mean head: what moves is expression. [T, 468, 2]."""
  rigid = landmarks[:, points.RIGID]
  return align.similarity(rigid, np.nanmean(rigid, axis=0, keepdims=True))(landmarks)


def head(landmarks):
  """Brings the clip's mean head, stiff, into each frame: [T, R, 2], R of `points.RIGID`."""
  rigid = landmarks[:, points.RIGID]
  mean = np.broadcast_to(np.nanmean(rigid, axis=0), rigid.shape)
  return align.similarity(mean, rigid)(mean)
