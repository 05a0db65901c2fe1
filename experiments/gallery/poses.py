"""What a portrait of the gallery is asked to do, as landmarks and gestures. Needs no renderer."""

import pathlib
from typing import NamedTuple

import numpy as np

from ifmdm_jax.face import points

MEAN = np.load(pathlib.Path(__file__).parents[2] / 'ifmdm_jax/weights/face_surface.npz')['mean']

ROOM = 0.15  # of a face's extent, on every side of it


class Pose(NamedTuple):
  """Degrees to the picture's left and down, heights of the face, shares of gestures, eye widths."""

  yaw: float = 0.0
  pitch: float = 0.0
  opening: float = 0.0
  smile: float = 0.0
  blink: float = 0.0
  gaze: float = 0.0


POSES = {
  'rest': Pose(), 'left': Pose(yaw=20), 'right': Pose(yaw=-20), 'up': Pose(pitch=-15),
  'down': Pose(pitch=15), 'open': Pose(opening=0.07), 'smile': Pose(smile=1),
  'blink': Pose(blink=1), 'aside': Pose(gaze=0.12),
}  # fmt: skip
TURNS = 'left', 'right', 'up', 'down'


def depth_of(landmarks):
  """Fits a mean face to landmarks [468, 2]: their depth [468], the unit of x."""
  height = np.linalg.norm(landmarks[points.FOREHEAD] - landmarks[points.CHIN_TIP])
  rigid = MEAN[points.RIGID] - MEAN[points.RIGID].mean(0)
  seen = landmarks[points.RIGID] - landmarks[points.RIGID].mean(0)
  moment = rigid.T @ rigid
  ridge = 0.02 * np.trace(moment) / 3 * np.eye(3)
  turn = np.linalg.solve(moment + ridge, rigid.T @ seen + height * ridge[:, :2]).T
  size = np.linalg.norm(turn, axis=1).mean()
  return (MEAN - MEAN[points.RIGID].mean(0)) @ np.cross(*turn) / size


def posed(landmarks, pose):
  """Moves landmarks [468, 2] of a portrait: turned rigidly in space, then the mouth."""
  height = np.linalg.norm(landmarks[points.FOREHEAD] - landmarks[points.CHIN_TIP])
  down = (landmarks[points.CHIN_TIP] - landmarks[points.FOREHEAD]) / height
  right = np.array([down[1], -down[0]])
  whole = np.concatenate([landmarks, depth_of(landmarks)[:, None]], 1)
  pivot = whole[[points.LEFT_CHEEK, points.RIGHT_CHEEK]].mean(0) + height * np.array([0, 0.15, 0.1])
  (c, d), (s, t) = (f(np.radians([pose.yaw, pose.pitch])) for f in (np.cos, np.sin))
  turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ [[1, 0, 0], [0, d, -t], [0, t, d]]
  whole = ((whole - pivot) @ turn.T + pivot)[:, :2]
  return whole + height * (
    pose.opening * _opening(landmarks, down, right, height)[:, None] * down
    + pose.smile * _smile(landmarks, down, right, height)
  )


def box(landmarks, side):
  """Marks the box around a face with some room: landmarks [468, 2] -> bool [side, side]."""
  low, high = landmarks.min(0), landmarks.max(0)
  low, high = low - ROOM * (high - low), high + ROOM * (high - low)
  place = (np.stack(np.meshgrid(*[np.arange(side)] * 2), -1) + 0.5) / side
  return ((place > low) & (place < high)).all(-1)


def _opening(landmarks, down, right, height):
  """How far points go down as the jaw does: [468], 1 the middle of the lower lip."""
  middle = landmarks[[points.UPPER_MIDDLE, points.LOWER_MIDDLE]].mean(0)
  below = (landmarks - middle) @ down / height
  beside = np.abs((landmarks - middle) @ right) / height
  share = np.clip(below / 0.12, 0, 1) * np.clip(1.3 - beside / 0.28, 0, 1)
  x = np.linspace(-1, 1, 11)[1:-1]
  share[points.LOWER_LIP_INNER[1:-1]] = 1 - x**2
  share[points.LOWER_LIP_OUTER[1:-1]] = 0.5 * (1 - x**2) + 0.5 * (1 - np.abs(x) ** 3)
  return share


def _smile(landmarks, down, right, height):
  """How far points go with corners that go out and up: [468, 2], heights of the face."""
  moved = np.zeros_like(landmarks)
  for corner, side in ((points.LEFT_MOUTH_CORNER, -1), (points.RIGHT_MOUTH_CORNER, 1)):
    away = np.square(landmarks - landmarks[corner]).sum(-1) / (0.11 * height) ** 2
    moved += np.exp(-away)[:, None] * (0.035 * side * right - 0.03 * down)
  return moved
