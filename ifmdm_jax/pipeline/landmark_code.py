"""Landmarks to twenty numbers and back: the motion code of `lite`.

The numbers come in four blocks, each the principal directions of what the blocks before left
over, so that they can be steered apart: pose, then lips, lids and brows relative to the head.
All is linear and fitted on differences within clips: who somebody is shifts a code by a
constant, which relative codes cancel. The way back loses 0.3 pixels of 512 (experiments/release).
"""

import dataclasses
import pathlib

import numpy as np

from ifmdm_jax.face.points import BROWS, CHIN, EYES, LIPS, RIGID

BLOCKS = (
  ('pose', RIGID, 6),
  ('lips', np.concatenate([LIPS, CHIN]), 8),
  ('lids', EYES, 3),
  ('brows', BROWS, 3),
)
BLOCK = {'pose': slice(0, 6), 'lips': slice(6, 14), 'lids': slice(14, 17), 'brows': slice(17, 20)}
BUNDLED = pathlib.Path(__file__).parents[1] / 'weights' / 'landmark_code.npz'


@dataclasses.dataclass(frozen=True)
class LandmarkCode:
  """code = landmarks @ encode - bias; one unit is one standard deviation within a clip."""

  encode: np.ndarray  # [936, 20]
  bias: np.ndarray  # [20]
  decode: np.ndarray  # [20, 936]: how landmarks move with a difference of codes

  def __call__(self, landmarks):
    """[..., 468, 2] fractions of the side -> [..., 20]."""
    flat = landmarks.reshape(*landmarks.shape[:-2], -1)
    return (flat @ self.encode - self.bias).astype(np.float32)

  def save(self, path):
    np.savez(path, **dataclasses.asdict(self))


def load(path=BUNDLED):
  """The code that the bundled weights speak, or another one that `save` wrote."""
  with np.load(path) as file:
    return LandmarkCode(**file)


def fit(tracks):
  """The code of a list of landmark tracks, each [T, 468, 2] of one clip.

  Clips weigh by the root of their length, so that one long take does not rule.
  """
  centred = [t - t.mean(0) for t in tracks]
  weight = np.concatenate([np.full(len(t), len(t) ** -0.25) for t in tracks])
  motion = np.concatenate(centred).reshape(-1, 468 * 2).astype(np.float64)
  mean = np.concatenate(tracks).reshape(-1, 468 * 2).mean(0)
  columns = lambda points: np.stack([2 * np.array(points), 2 * np.array(points) + 1], 1).ravel()
  left, maps = motion, []
  encode = np.zeros((468 * 2, 0))
  decode = np.zeros((0, 468 * 2))
  for _, points, count in BLOCKS:
    here = columns(points)
    directions = np.linalg.svd(weight[:, None] * left[:, here], full_matrices=False)[2][:count]
    block = np.zeros((468 * 2, count))
    block[here] = directions.T
    block = block - encode @ (decode @ block)  # what earlier blocks explain is not looked at
    maps.append(block)
    encode = np.concatenate(maps, axis=1)
    codes = motion @ encode
    decode = np.linalg.lstsq(weight[:, None] * codes, weight[:, None] * motion, rcond=None)[0]
    left = motion - codes @ decode
  scale = (motion @ encode).std(0)
  encode, decode = encode / scale, decode * scale[:, None]
  return LandmarkCode(*(x.astype(np.float32) for x in (encode, mean @ encode, decode)))
