"""Small grey pictures of the mouth, held still: what a sync network looks at.

Eyes and nose fix the place, so that turning the head moves little and the jaw moves all it does.
"""

import cv2
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline.landmark_code import smooth

EYES, NOSE = ((33, 133), (362, 263)), 4  # corners of the eyes, tip of the nose in the face mesh
# The same in the 112 px chip of face recognition, and the square of it that holds the mouth.
TEMPLATE = np.array([(38.29, 51.70), (73.53, 51.50), (56.03, 71.74)])
CENTRE, SPAN = np.array((56.0, 92.0)), 58.0
SIDE = 48  # pixels


def matrices(landmarks, side=SIDE, room=1.0):
  """Similarities [T, 2, 3] from pixels of the frame to pixels of the crop.

  Args:
    landmarks: [T, 468, 2], pixels of the frame; frames without a face (NaN) take the nearest one's.
    side: of the crop, pixels.
    room: how much wider than the mouth's square the crop is.

  Raises:
    InputError: no frame has a face.
  """
  points = np.asarray(landmarks, np.float64)
  anchors = np.stack([points[:, list(eye)].mean(1) for eye in EYES] + [points[:, NOSE]], axis=1)
  seen = np.flatnonzero(np.isfinite(anchors).all((1, 2)))
  if not seen.size:
    raise InputError('no face in any frame: expected landmarks of at least one frame')
  nearest = seen[np.abs(np.arange(len(anchors))[:, None] - seen).argmin(1)]
  anchors = smooth(smooth(anchors[nearest]))
  goal = (TEMPLATE - CENTRE) * side / (SPAN * room) + (side - 1) / 2
  centre, goal_centre = anchors.mean(1, keepdims=True), goal.mean(0)
  a, b = (anchors - centre) @ (1, 1j), (goal - goal_centre) @ (1, 1j)
  turn = (a.conj() * b).sum(1) / (np.abs(a) ** 2).sum(1)  # least squares, as complex numbers
  linear = np.stack([turn.real, -turn.imag, turn.imag, turn.real], -1).reshape(-1, 2, 2)
  shift = goal_centre - (linear @ centre[:, 0, :, None])[..., 0]
  return np.concatenate([linear, shift[..., None]], axis=-1)


def crop(frames, landmarks, side=SIDE, room=1.0):
  """Grey uint8 [T, side, side] of RGB uint8 frames [T, H, W, 3]; see `matrices`."""
  where = matrices(landmarks, side, room)
  # Shrinking by more than two would alias: halve the picture first.
  made = []
  for frame, matrix in zip(frames, where):
    picture, matrix = cv2.cvtColor(np.asarray(frame), cv2.COLOR_RGB2GRAY), matrix.copy()
    while np.hypot(*matrix[:, 0]) < 0.5:
      picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
      matrix[:, 2] += matrix[:, :2] @ (
        0.5,
        0.5,
      )  # pixel p of the whole is (p - 1/2) / 2 of the half
      matrix[:, :2] *= 2
    made.append(
      cv2.warpAffine(
        picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
      )
    )
  return np.stack(made)


def place(points, where):
  """Points [T, N, 2] of the frames -> of the crops, pixels."""
  return points @ where[:, :, :2].transpose(0, 2, 1) + where[:, None, :, 2]
