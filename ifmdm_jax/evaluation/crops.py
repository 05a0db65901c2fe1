"""The one face crop of all metrics, and the boxes inside it.

A square around the mesh, 1.3 times its longer side, cut and resized to 256 pixels. Paired metrics
take it from the reference's landmarks for both videos, unpaired ones from each video's own.
"""

import cv2
import numpy as np

from ifmdm_jax.face import points as face_mesh

SIDE, SCALE = 256, 1.3


def squares(landmarks, scale=SCALE):
  """Centre x, y and side in pixels of the face in every frame, [T, 3]; gaps are bridged.

  Args:
    landmarks: [T, 468, 2] in pixels, NaN where there is no face.
    scale: of the side, 1 is the mesh's longer side.

  Returns:
    float32 [T, 3], or None if no frame has a face.
  """
  low, high = landmarks.min(1), landmarks.max(1)
  boxes = np.concatenate([(low + high) / 2, scale * (high - low).max(1, keepdims=True)], axis=1)
  seen = np.flatnonzero(np.isfinite(boxes).all(1))
  if not seen.size:
    return None
  every = np.arange(len(boxes))
  return np.stack([np.interp(every, seen, boxes[seen, i]) for i in range(3)], 1).astype(np.float32)


def face(frames, landmarks, size=SIDE, scale=SCALE):
  """The face of every frame, uint8 [T, size, size, 3]; beyond the picture its edge repeats.

  Args:
    frames: uint8 [T, H, W, 3].
    landmarks: [T, 468, 2] in pixels, NaN where there is no face.

  Returns:
    None if no frame has a face.
  """
  boxes = squares(landmarks, scale)
  if boxes is None:
    return None
  return np.stack([_cut(frame, box, size) for frame, box in zip(frames, boxes)])


def _cut(frame, box, size):
  x, y, side = box
  zoom = size / side
  if zoom < 0.7:  # area averaging first: bicubic alone would alias
    frame = cv2.resize(frame, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    x, y, zoom = x * zoom, y * zoom, 1.0
  place = np.array([[zoom, 0, size / 2 - zoom * x], [0, zoom, size / 2 - zoom * y]])
  return cv2.warpAffine(
    frame, place, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
  )


def box(points, side, margin):
  """Rows and columns around some points, widened by a share of their longer side.

  Args:
    points: [P, 2] in pixels.
    side: of the picture, pixels.
    margin: share of the longer side that is added at every edge.

  Returns:
    (slice, slice), at least one pixel, inside the picture.
  """
  low, high = points.min(0), points.max(0)
  room = margin * (high - low).max()
  (x_0, y_0), (x_1, y_1) = np.clip(np.round([low - room, high + room]), 0, side).astype(int)
  x_0, y_0 = min(x_0, side - 1), min(y_0, side - 1)
  return slice(y_0, max(y_1, y_0 + 1)), slice(x_0, max(x_1, x_0 + 1))


def mouth_box(points, side, margin=0.3):
  """`box` around the lips of landmarks [468, 2] in pixels."""
  return box(points[face_mesh.LIPS], side, margin)


def face_box(points, side, margin=(SCALE - 1) / 2):
  """`box` around the whole mesh [468, 2] in pixels."""
  return box(points, side, margin)
