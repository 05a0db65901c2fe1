"""Asks what a masked frame says of the mouth: a classifier of open and closed sees nothing else.

  python experiments/difftalk/leak.py --cache runs/open --val runs/shared

Labels are the mouth's opening against the median of its clip, so that chance is a half whoever it
is. The classifier is a ridge regression on 24 x 24 grey pixels, each clip's own mean taken away, of
frames of `train`; it is scored on `val`. It is a weak one; that the outline of the mask itself is
long in frames of an open mouth, or is not, needs no training and is the second table.
"""

import argparse

import cv2
import numpy as np

from ifmdm_jax.face.points import IBUG, eye_distance, mouth_opening
from ifmdm_jax.pipeline import records
from ifmdm_jax.systems.difftalk import masks

SIDE, SMALL, FRAMES, RIDGE = 128, 24, 40, 30.0


def half(landmark):
  def masked(frames, points, chosen):
    frames = frames.copy()
    for frame, each in zip(frames, points[chosen]):
      frame[int(each[IBUG[landmark], 1] * SIDE) :] = 0
    return frames

  return masked


def without(margin, window=masks.WINDOW):
  def masked(frames, points, chosen):
    reach = margin * masks.unit(points, SIDE)
    corners = masks.outlines(points, window)[chosen]
    drawn = [masks.polygon(each, SIDE, reach) for each in corners]
    return np.where(np.stack(drawn)[..., None] > 0, 0, frames)

  return masked


MASKS = {
  'no mask': lambda frames, points, chosen: frames,
  'training: below the tip of the nose': half(masks.TRAINING),
  'sampling: below the base of the nose': half(masks.SAMPLING),
  'kept: published polygon': without(0.0, 1),
  'kept: published polygon, margin': without(masks.MARGIN, 1),
  'kept: polygon of the head': without(0.0),
  'kept: polygon of the head, margin': without(masks.MARGIN),
  'kept: polygon of the head, narrowed as lite': without(-0.06),
  'kept: polygon of the head, three margins': without(3 * masks.MARGIN),
}


def read(folder, split):
  """Returns [(frames uint8 [n, S, S, 3], all points [T, 468, 2], which, labels bool [n])]."""
  found = []
  for clip in records.clips(folder, split, SIDE, sound=False):
    points = clip.landmarks / clip.frames.side
    chosen = np.linspace(0, len(points) - 1, FRAMES).astype(int)
    opening = mouth_opening(points)[chosen]
    found.append((clip.frames[chosen], points, chosen, opening > np.median(opening)))
  return found


def seen(clips, masked):
  """Returns what a classifier sees [n, 576], the clip's mean taken away, and labels [n]."""
  rows, labels = [], []
  for frames, points, chosen, opened in clips:
    shown = masked(frames, points, chosen)
    grey = [cv2.cvtColor(frame.astype(np.uint8), cv2.COLOR_RGB2GRAY) for frame in shown]
    small = [cv2.resize(g, (SMALL, SMALL), interpolation=cv2.INTER_AREA).ravel() for g in grey]
    small = np.float64(small) / 255
    rows.append(small - small.mean(0))
    labels.append(opened)
  return np.concatenate(rows), np.concatenate(labels)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--cache', required=True, help='a prepared set')
  parser.add_argument('--val', help='another one for the people held out')
  flags = parser.parse_args()
  clips = {'train': read(flags.cache, 'train'), 'val': read(flags.val or flags.cache, 'val')}
  print(f'{"mask":<42} {"train":>6} {"val":>6}')
  for name, masked in MASKS.items():
    x, y = seen(clips['train'], masked)
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (2.0 * y - 1))
    right = []
    for split in ('train', 'val'):
      x, y = seen(clips[split], masked)
      right.append(np.mean((x @ weights > 0) == y))
    print(f'{name:<42} {right[0]:6.3f} {right[1]:6.3f}')
  print('\nthe outline alone: is it longer than in the middle of its clip?')
  for name, window in (('published polygon', 1), ('polygon of the head', masks.WINDOW)):
    right = [np.mean([taller(clip, window) for clip in clips[s]]) for s in ('train', 'val')]
    print(f'{name:<42} {right[0]:6.3f} {right[1]:6.3f}')


def taller(clip, window):
  """Returns how often a long outline is an open mouth."""
  _, points, chosen, opened = clip
  corners = masks.outlines(points, window)[chosen]
  height = np.ptp(corners[..., 1], axis=1) / eye_distance(points[chosen])
  return np.mean((height > np.median(height)) == opened)


if __name__ == '__main__':
  main()
