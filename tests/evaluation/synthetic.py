"""Clips for the tests of the metrics: a drawn face, its points known exactly."""

import dataclasses
import pathlib

import cv2
import numpy as np

from ifmdm_jax import testing
from ifmdm_jax.evaluation.types import Pair
from ifmdm_jax.face import pose

PORTRAIT = pathlib.Path(__file__).parents[2] / 'data' / 'fixtures' / 'portrait.jpg'
replace = dataclasses.replace


def portrait():
  """The fixture, uint8 RGB [512, 512, 3]."""
  return cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)


def pair(frames=50, side=64, seed=0):
  """A `Pair` of a drawn video with itself."""
  video, landmarks, waveform = testing.talking_face(frames, side, seed)
  points = (landmarks * side).astype(np.float32)
  return Pair(f'clip{seed}', f'person{seed}', video, video, points, points, waveform)


def still(clip):
  """The first frame repeated, beside the same reference."""
  first = lambda array: np.broadcast_to(array[:1], array.shape)
  return replace(clip, predicted=first(clip.predicted), landmarks=first(clip.landmarks))


def mesh(frames=50, seed=0):
  """A face that turns, nods, opens its mouth and shuts its eyes, float32 [T, 468, 2] in pixels.

  The canonical points of the head are where the canonical face has them.
  """

  rng = np.random.default_rng(seed)
  time = np.arange(frames) / 25
  shape = np.concatenate([rng.normal(0, 4, (468, 2)), rng.normal(-4, 1, (468, 1))], axis=1)
  shape[pose.HEAD] = pose.HEAD_SHAPE
  yaw, roll = 0.2 * np.sin(2 * np.pi * 0.7 * time), 0.1 * np.cos(2 * np.pi * 0.4 * time)
  points = []
  for t in range(frames):
    turn = rotation(yaw[t], 0.0, roll[t])
    points.append(20 * (shape @ turn.T)[:, :2] + 256)
  points = np.stack(points)
  gape = 10 + 8 * np.sin(2 * np.pi * 3 * time)
  points[:, 14] = points[:, 13] + np.stack([0 * gape, gape], -1)
  return points.astype(np.float32)


def rotation(yaw, pitch, roll):
  """Radians -> [3, 3]: pitch about x first, then yaw about y, then roll about z."""
  c, s = np.cos, np.sin
  about_x = np.array([[1, 0, 0], [0, c(pitch), -s(pitch)], [0, s(pitch), c(pitch)]])
  about_y = np.array([[c(yaw), 0, s(yaw)], [0, 1, 0], [-s(yaw), 0, c(yaw)]])
  about_z = np.array([[c(roll), -s(roll), 0], [s(roll), c(roll), 0], [0, 0, 1]])
  return about_z @ about_y @ about_x
