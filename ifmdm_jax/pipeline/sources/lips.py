"""Draws windows of lips and voice for the sync network."""

import cv2
import numpy as np

from ifmdm_jax.face.crop import LIPS_SIDE, warp
from ifmdm_jax.face.points import MIRROR as MESH_MIRROR
from ifmdm_jax.pipeline import lip_crops, loader

FRAMES, SHIFTS = 5, 15  # of a window; frames that voice and lips are moved apart
POINT_UNIT = 1.5  # pixels of the crop
LIPS = np.array(lip_crops.POINTS)
MIRROR = (LIPS == MESH_MIRROR[LIPS][:, None]).argmax(1)  # which of LIPS it is in the mirror


class Clips(loader.Listed):
  """Offers a clip as often as windows fit into it, all in memory; `draw` cuts one."""

  def __init__(self, folder, split, features, frames):
    """Reads the lips of a set.

    Args:
      folder: of the set, or of several.
      split: 'train' or 'val'; what is for training is varied.
      features: kind of speech feature, see `lip_crops.WIDTHS`.
      frames: T of a window.
    """
    every = lip_crops.read(folder, split, features)
    self.clips = [every[i] for i, entry in enumerate(every.entries) if entry.count >= frames]
    self.frames, self.train = frames, split == 'train'
    self.items = loader.by_windows([len(clip.lips) for clip in self.clips], frames)

  def draw(self, item, rng):
    """Cuts a window of T frames at random.

    Args:
      item: index of a clip.
      rng: NumPy generator.

    Returns:
      {'lips': uint8 [T, 48, 48], 'points': [T - 4, 80] of the middle frames, 'features': of T + 30
      frames from 15 frames before, 'valid': [T - 4 + 30], which windows of voice the clip holds}.
    """
    clip = self.clips[item]
    count, total = self.frames, len(clip.lips)
    start = int(rng.integers(total - count + 1))
    lips, points = clip.lips[start : start + count], clip.points[start : start + count]
    lips, points = self.augment(lips, points, rng) if self.train else centre(lips, points)
    rate = len(clip.features) // total
    begin, end = start - SHIFTS, start + count + SHIFTS
    inside = clip.features[max(0, begin) * rate : min(total, end) * rate].astype(np.float32)
    before, after = max(0, -begin), max(0, end - total)
    features = np.pad(inside, ((before * rate, after * rate), (0, 0)))
    first = begin + np.arange(count - FRAMES + 1 + 2 * SHIFTS)  # frame where a window begins
    valid = ((first >= 0) & (first + FRAMES <= total)).astype(np.float32)
    middle = points[FRAMES // 2 : count - FRAMES // 2].reshape(count - FRAMES + 1, -1)
    return dict(lips=lips, points=np.float32(middle / POINT_UNIT), features=features, valid=valid)

  def augment(self, lips, points, rng):
    """Moves, lights and blurs all frames of a window alike."""
    size = np.exp(rng.normal(0, 0.07))
    angle = rng.normal(0, 0.07)
    linear = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (lips.shape[1] - 1) / 2
    shift = (LIPS_SIDE - 1) / 2 + rng.normal(0, 1.5, 2) - linear @ (middle, middle)
    matrix = np.column_stack([linear, shift])
    points = points @ linear.T + shift
    lips = np.stack([warp(each, matrix, LIPS_SIDE) for each in lips])
    if rng.random() < 0.5:
      lips = lips[:, :, ::-1]
      points = mirror(points)
    if rng.random() < 0.3:
      lips = np.stack([cv2.GaussianBlur(p, (0, 0), rng.uniform(0.4, 1.0)) for p in lips])
    gain, offset, gamma = np.exp(rng.normal(0, 0.2)), rng.normal(0, 15), np.exp(rng.normal(0, 0.2))
    light = np.clip((np.arange(256) / 255) ** gamma * 255 * gain + offset, 0, 255)
    return light.astype(np.uint8)[lips], points


def centre(lips, points):
  """Cuts what the network sees out of a wider crop."""
  edge = (lips.shape[1] - LIPS_SIDE) // 2
  return lips[:, edge : edge + LIPS_SIDE, edge : edge + LIPS_SIDE], points - edge


def mirror(points):
  """Returns the lip points of the mirrored picture, in their order: the rings change sides."""
  flipped = points[:, MIRROR].copy()
  flipped[..., 0] = LIPS_SIDE - 1 - flipped[..., 0]
  return flipped


def make_loader(config, *, batch, seed, split, process_index=0, process_count=1):
  """Returns endless batches, see `Clips.draw` and `loader.endless`."""
  source = Clips(config.cache, split, config.features, config.frames)
  where = dict(process_index=process_index, process_count=process_count)
  return loader.endless(source, batch=batch, seed=seed, **where)
