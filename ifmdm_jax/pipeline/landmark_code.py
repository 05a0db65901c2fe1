"""Turns landmarks into twenty numbers and back: the motion code that needs no autoencoder.

The numbers come in four blocks, each the principal directions of what the blocks before left
over, so that they can be steered apart: pose, then lips, lids and brows relative to the head.
All is linear and fitted on differences within clips: who somebody is shifts a code by a
constant, which relative codes cancel. The way back loses 0.5 pixels of 512 (experiments/release).
"""

import dataclasses
import itertools
import pathlib

import numpy as np

from ifmdm_jax.face import points

BLOCKS = (
  ('pose', points.RIGID, 6),
  ('lips', np.concatenate([points.LIPS, points.CHIN]), 8),
  ('lids', points.EYES, 3),
  ('brows', points.BROWS, 3),
)
_ENDS = list(itertools.accumulate(count for _, _, count in BLOCKS))
BLOCK = {name: slice(end - count, end) for (name, _, count), end in zip(BLOCKS, _ENDS)}
LIPS = BLOCK['lips']
BUNDLED = pathlib.Path(__file__).parents[1] / 'weights' / 'landmark_code.npz'


def per_number(value, **blocks):
  """Lists a value for each number of the code: `value`, or what `blocks` say of a block."""
  return tuple(blocks.get(name, value) for name, _, count in BLOCKS for _ in range(count))


@dataclasses.dataclass(frozen=True)
class LandmarkCode:
  """code = landmarks @ encode - bias; one unit is one standard deviation within a clip."""

  encode: np.ndarray  # [936, 20]
  bias: np.ndarray  # [20]
  decode: np.ndarray  # [20, 936]: how landmarks move with a difference of codes

  def __call__(self, landmarks):
    """Encodes [..., 468, 2], fractions of the side, to [..., 20]."""
    flat = landmarks.reshape(*landmarks.shape[:-2], -1)
    return (flat @ self.encode - self.bias).astype(np.float32)

  def save(self, path):
    """Writes the three arrays to an NPZ file."""
    np.savez(path, **dataclasses.asdict(self))


def load(path=BUNDLED):
  """Reads the code of the bundled weights, or another one that `save` wrote."""
  with np.load(path) as file:
    return LandmarkCode(**file)


def fit(tracks):
  """Fits a code to a list of landmark tracks, each [T, 468, 2] of one clip.

  Clips weigh by the root of their length, so that one long take does not rule.
  """
  centred = [t - t.mean(0) for t in tracks]
  weight = np.concatenate([np.full(len(t), len(t) ** -0.25) for t in tracks])
  motion = np.concatenate(centred).reshape(-1, 468 * 2).astype(np.float64)
  mean = np.concatenate(tracks).reshape(-1, 468 * 2).mean(0)
  columns = lambda chosen: np.stack([2 * chosen, 2 * chosen + 1], 1).ravel()
  left, maps = motion, []
  encode = np.zeros((468 * 2, 0))
  decode = np.zeros((0, 468 * 2))
  for _, chosen, count in BLOCKS:
    here = columns(chosen)
    directions = np.linalg.svd(weight[:, None] * left[:, here], full_matrices=False)[2][:count]
    block = np.zeros((468 * 2, count))
    block[here] = directions.T
    block = block - encode @ (decode @ block)  # what earlier blocks explain is left out
    maps.append(block)
    encode = np.concatenate(maps, axis=1)
    codes = motion @ encode
    decode = np.linalg.lstsq(weight[:, None] * codes, weight[:, None] * motion, rcond=None)[0]
    left = motion - codes @ decode
  scale = (motion @ encode).std(0)
  encode, decode = encode / scale, decode * scale[:, None]
  return LandmarkCode(*(x.astype(np.float32) for x in (encode, mean @ encode, decode)))


def aligned(code, like, tracks):
  """Turns the directions of each block of a code until they are most like those of another one.

  What has a name, or has been learned, of one code then nearly holds for the other.

  Args:
    code, like: `LandmarkCode`.
    tracks: list of landmarks [T, 468, 2].
  """
  centred = lambda code: np.concatenate([(c - c.mean(0)) for c in map(code, tracks)])
  codes, wanted = centred(code), centred(like)
  encode, bias, decode = code.encode.copy(), code.bias.copy(), code.decode.copy()
  for block in BLOCK.values():
    left, _, right = np.linalg.svd(codes[:, block].T @ wanted[:, block])
    turn = left @ right
    scale = (codes[:, block] @ turn).std(0)
    encode[:, block] = encode[:, block] @ turn / scale
    bias[block] = bias[block] @ turn / scale
    decode[block] = scale[:, None] * (turn.T @ decode[block])
  return LandmarkCode(encode, bias, decode)
